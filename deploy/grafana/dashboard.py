"""The dashboard as Grafana's JSON, made of panels.toml: `python dashboard.py > dashboards/headrace.json`."""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

PANELS = Path(__file__).parent / "panels.toml"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
COLUMNS = 24
WIDTHS = {"whole": 24, "half": 12, "third": 8, "quarter": 6}
HEIGHTS = {"stat": 4}
HEIGHT = 8
FORMATS = {"table": "table", "heatmap": "heatmap"}
OPTIONS: dict[str, dict[str, Any]] = {
    "stat": {"colorMode": "value", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"]}},
    "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    "heatmap": {"calculate": False, "color": {"scheme": "Turbo"}},
    "table": {},
}


def placed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All panels from left to right, row by row."""
    made: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        made.append({"id": len(made) + 1, "type": "row", "title": row["title"], "panels": [], "gridPos": place})
        x, y, height = 0, y + 1, 0
        for panel in row["panel"]:
            width = WIDTHS[panel["width"]]
            if x + width > COLUMNS:
                x, y = 0, y + height
            height = HEIGHTS.get(panel["kind"], HEIGHT)
            place = {"x": x, "y": y, "w": width, "h": height}
            made.append({"id": len(made) + 1, "gridPos": place, **drawn(panel)})
            x += width
        y += height
    return made


def drawn(panel: dict[str, Any]) -> dict[str, Any]:
    """A panel but for its place."""
    kind = panel["kind"]
    now = kind in ("stat", "table")
    targets = [
        {
            "refId": chr(ord("A") + index),
            "datasource": SOURCE,
            "expr": query["expr"],
            "legendFormat": query["legend"],
            "format": FORMATS.get(kind, "time_series"),
            "instant": now,
            "range": not now,
        }
        for index, query in enumerate(panel["queries"])
    ]
    return {
        "type": kind,
        "title": panel["title"],
        "description": panel["says"],
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": fields(panel), "overrides": []},
        "options": OPTIONS[kind],
    }


def fields(panel: dict[str, Any]) -> dict[str, Any]:
    """Unit, limits and stacking."""
    limits = [{"color": color, "value": at} for at, color in panel.get("limits", [])]
    steps = [{"color": "green", "value": None}, *limits]
    made: dict[str, Any] = {"unit": panel["unit"], "thresholds": {"mode": "absolute", "steps": steps}}
    if panel["kind"] == "timeseries":
        stacking = {"mode": "normal" if panel.get("stacked") else "none"}
        made |= {"min": 0, "custom": {"fillOpacity": 10, "showPoints": "never", "stacking": stacking}}
    return made


def dashboard() -> dict[str, Any]:
    """The whole of it, for the pipeline that is chosen."""
    pipelines = {
        "name": "pipeline",
        "label": "pipeline",
        "type": "query",
        "datasource": SOURCE,
        "refresh": 2,
        "query": {"query": "label_values(headrace_build_info, pipeline)", "refId": "pipelines"},
    }
    firing = {
        "name": "alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "red",
        "titleFormat": "{{alertname}}",
        "expr": 'ALERTS{alertstate="firing",pipeline="$pipeline"}',
        "step": "15s",
    }
    return {
        "uid": "headrace",
        "title": "Headrace",
        "tags": ["headrace"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [pipelines]},
        "annotations": {"list": [firing]},
        "panels": placed(tomllib.loads(PANELS.read_text())["row"]),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dashboard(), indent=1) + "\n")
