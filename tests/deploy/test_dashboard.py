"""The dashboard asks for what there is, in PromQL that Prometheus takes; nobody edited the JSON by hand."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.test_rules import NAMES, PROMETHEUS, there_is
from tests.tools import ask

GRAFANA = PROMETHEUS.parent / "grafana"
MADE = runpy.run_path(str(GRAFANA / "dashboard.py"))["dashboard"]()
SHIPPED = json.loads((GRAFANA / "dashboards" / "headrace.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in SHIPPED["panels"] if panel["type"] != "row"]


def queries() -> dict[str, str]:
    found = {f"{p['title']} {t['refId']}": t["expr"] for p in PANELS for t in p["targets"]}
    return {**found, **{item["name"]: item["expr"] for item in SHIPPED["annotations"]["list"]}}


def test_the_shipped_dashboard_is_the_one_that_the_code_makes() -> None:
    assert SHIPPED == MADE, "python deploy/grafana/dashboard.py > deploy/grafana/dashboards/headrace.json"


def test_panels_ask_for_what_there_is() -> None:
    known = there_is()
    for title, expression in queries().items():
        names = NAMES.findall(expression)
        assert names or "ALERTS" in expression, title
        assert set(names) <= known, title


@pytest.mark.slow
def test_queries_are_promql(tmp_path: Path) -> None:
    """promtool takes expressions in rules alone; Grafana's own variables stand for something there."""
    expressions = [
        text.replace("$pipeline", "fraud").replace("$__rate_interval", "1m") for text in queries().values()
    ]
    rules = [{"record": f"panel{number}", "expr": text} for number, text in enumerate(expressions)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    tmp_path.chmod(0o755)  # a container's user reads it
    assert f"{len(rules)} rules found" in ask("promtool", tmp_path, "check", "rules", "panels.yml")


def test_panels_do_not_overlap_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in SHIPPED["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert all(panel["description"] and panel["title"] for panel in PANELS)
    assert len({panel["id"] for panel in SHIPPED["panels"]}) == len(SHIPPED["panels"])


def test_grafana_finds_its_source_and_its_dashboards() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    named = {panel["datasource"]["uid"] for panel in PANELS} | {
        t["datasource"]["uid"] for p in PANELS for t in p["targets"]
    }
    assert named == {source["uid"]}
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/headrace.yml").read_text())["providers"]
    assert provider["type"] == "file"


def test_a_label_that_a_panel_shows_is_one_that_its_query_has() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
            if grouped:
                assert shown <= set(re.split(r",\s*", grouped[0])), panel["title"]
