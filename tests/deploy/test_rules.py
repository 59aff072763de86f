"""Rules and alerts: promtool holds what they do; here is held that they speak of what there is, and what to do."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tools import ask
from tests.unit.test_prometheus import exported

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
OURS = ("recording.yml", "alerting.yml")
NAMES = re.compile(r"\b(?:[a-z]+:)?headrace_[a-z0-9_:]+\b|\bprocess_[a-z_]+\b")
SEVERITIES = {"page", "ticket"}


def rules() -> Iterator[dict[str, Any]]:
    for name in OURS:
        for group in yaml.safe_load((PROMETHEUS / "rules" / name).read_text())["groups"]:
            yield from group["rules"]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def there_is() -> set[str]:
    """Every name that an expression may use."""
    names = {rule["record"] for rule in rules() if "record" in rule}
    for name, (kind, _, _) in exported().items():
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


@pytest.mark.slow
def test_the_rules_are_rules() -> None:
    said = ask("promtool", PROMETHEUS, "check", "rules", *(f"rules/{name}" for name in OURS))
    assert said.count("SUCCESS") == len(OURS)


@pytest.mark.slow
def test_the_rules_do_what_their_own_tests_say() -> None:
    assert "SUCCESS" in ask("promtool", PROMETHEUS, "test", "rules", "tests/pipeline.yml")


@pytest.mark.slow
def test_the_configurations_are_taken() -> None:
    assert "SUCCESS" in ask("promtool", PROMETHEUS, "check", "config", "prometheus.yml")
    assert "SUCCESS" in ask("amtool", ROOT / "deploy" / "alertmanager", "check-config", "alertmanager.yml")


@pytest.mark.slow
def test_a_page_pages_and_all_else_waits() -> None:
    folder = ROOT / "deploy" / "alertmanager"
    for severity in SEVERITIES:
        labels = (f"severity={severity}", "alertname=Any")
        said = ask("amtool", folder, "config", "routes", "test", "--config.file=alertmanager.yml", *labels)
        assert severity in said.splitlines()


def test_rules_ask_for_what_there_is() -> None:
    known = there_is()
    asked = {name for rule in rules() for name in NAMES.findall(rule["expr"])}
    assert asked
    assert asked <= known, asked - known


def test_every_alert_says_how_bad_it_is_what_is_wrong_and_where_to_read_on() -> None:
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in SEVERITIES, name
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}, name
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"


def test_every_alert_is_seen_firing_by_its_own_tests() -> None:
    tests = yaml.safe_load((PROMETHEUS / "tests" / "pipeline.yml").read_text())["tests"]
    cases = [case for test in tests for case in test.get("alert_rule_test", [])]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == set(alerts())


def test_the_runbook_has_a_section_for_every_alert_and_no_other() -> None:
    page = (ROOT / "docs" / "runbook.md").read_text()
    sections = dict(re.findall(r"^## (Headrace\w+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert set(sections) == set(alerts())
    for name, text in sections.items():
        assert all(f"- **{part}**: " in text for part in ("Says", "Look at", "Do")), name
    table = re.findall(r"^\| \[(\w+)\]\(#(\w+)\) \| (\w+) \|", page, re.MULTILINE)
    assert table == [(name, name.lower(), rule["labels"]["severity"]) for name, rule in alerts().items()]


def test_the_runbook_speaks_of_what_there_is() -> None:
    known, page = there_is(), (ROOT / "docs" / "runbook.md").read_text()
    assert set(NAMES.findall(page)) <= known


def test_what_follows_from_another_alert_exists() -> None:
    text = (ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text()
    assert set(re.findall(r"Headrace\w+", text)) <= set(alerts())
