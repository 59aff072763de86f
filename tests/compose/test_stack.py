"""The shipped compose file, run: traffic is decided, watched and alerted on, and survives any crash."""

import json
import time
from itertools import count
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.compose.burns import decided_late, first_exceeded_ms
from tests.compose.conftest import BUDGET_MS, EVALUATE_S, METRICS_MS, TIME_SCALE
from tests.compose.outcomes import asked, decided, ends, records
from tests.compose.stack import SERVICES, Stack, eventually
from tests.compose.stalling_model import STALLS_ABOVE

pytestmark = [pytest.mark.compose, pytest.mark.slow, pytest.mark.timeout(900)]
INPUTS = ("transactions", "frames")
SIMULATORS = ("simulate-fraud", "simulate-vision")
READY = {"fraud": "FRAUD_PORT", "vision": "VISION_PORT", "slo": "SLO_PORT"}
OBJECTIVE = 0.999
HOUR_MS = 3_600_000 // TIME_SCALE
PAIRS = ((14.4, HOUR_MS, HOUR_MS // 12), (6.0, 6 * HOUR_MS, HOUR_MS // 2))
"""When a page is due: a factor, a long and a short window."""
POISON_EVERY_S = 2.0
POISON_ID = 10**12


def test_both_pipelines_decide(stack: Stack) -> None:
    def deciding() -> bool:
        found = decided(stack.bootstrap)
        return all(sum(topic == name for topic, _, _ in found) > 50 for name in INPUTS)

    assert eventually(deciding, "decisions of both pipelines")
    pipelines = {json.loads(record.value())["pipeline"] for record in records(stack.bootstrap, ["decisions"])}
    assert pipelines == {"fraud", "vision"}


def test_the_page_asks_for_its_token_and_metrics_do_not(stack: Stack) -> None:
    assert stack.good("FRAUD_PORT", "/metrics")
    assert stack.good("FRAUD_PORT", "/?token=local")
    with pytest.raises(OSError, match="401"):
        stack.good("FRAUD_PORT", "/")


def test_prometheus_scrapes_every_target_and_takes_every_rule(stack: Stack) -> None:
    def targets() -> dict[str, str]:
        found = stack.ask("PROMETHEUS_PORT", "/api/v1/targets?state=active")["data"]["activeTargets"]
        return {target["scrapePool"] + " " + target["scrapeUrl"]: target["health"] for target in found}

    eventually(lambda: set(targets().values()) == {"up"}, "all targets up")
    scraped = " ".join(targets())
    assert all(f"//{service}:" in scraped for service in ("fraud", "vision", "slo")), scraped
    groups = stack.ask("PROMETHEUS_PORT", "/api/v1/rules")["data"]["groups"]
    assert groups
    unwell = [rule["name"] for group in groups for rule in group["rules"] if rule["health"] == "err"]
    assert not unwell
    told = stack.compose("exec", "-T", "prometheus", "sh", "-c", "promtool check rules /etc/prometheus/rules/*.yml")
    assert "FAILED" not in told
    told = stack.compose("exec", "-T", "prometheus", "sh", "-c", "promtool test rules /etc/prometheus/tests/*.yml")
    assert "SUCCESS" in told
    assert "FAILED" not in told


def pages(stack: Stack, slo: str) -> list[dict[str, Any]]:
    """The page-level alerts of an SLO that Alertmanager holds, as the SLO app posted them."""
    found = stack.ask("ALERTMANAGER_PORT", "/api/v2/alerts?active=true")
    return [
        alert
        for alert in found
        if alert["labels"].get("severity") == "page"
        and alert["labels"].get("slo") == slo
        and alert["labels"].get("evaluator") != "prometheus"
    ]


def stall(producer: Producer, number: int) -> None:
    """Send a transaction that the model takes seconds for."""
    identity = POISON_ID + number
    event = {"transaction_id": identity, "event_time": time.time_ns() // 1_000_000, "customer_id": identity}
    value = json.dumps({**event, "terminal_id": identity, "amount": 2 * STALLS_ABOVE})
    producer.produce("transactions", value, str(identity))
    producer.poll(0)


def stall_until_paged(stack: Stack) -> None:
    """Let the model stall again and again until Alertmanager holds the page."""
    producer = Producer({"bootstrap.servers": stack.bootstrap})
    numbers = count()

    def paged() -> list[dict[str, Any]]:
        stall(producer, next(numbers))
        time.sleep(POISON_EVERY_S)
        return pages(stack, "fraud-latency")

    eventually(paged, "a page for the latency of fraud")
    assert producer.flush(30) == 0


def test_a_stalling_model_pages_and_its_end_resolves_the_page(stack: Stack) -> None:
    eventually(lambda: not pages(stack, "fraud-latency"), "a quiet start")
    stall_until_paged(stack)
    eventually(lambda: not pages(stack, "fraud-latency"), "the page is resolved")
    alerts = [json.loads(record.value()) for record in records(stack.bootstrap, ["alerts"])]
    fired_ms = [
        alert["since_ms"]
        for alert in alerts
        if (alert["slo"], alert["severity"], alert["state"]) == ("fraud-latency", "page", "firing")
    ]
    answers = decided_late(records(stack.bootstrap, ["decisions"]), "fraud", BUDGET_MS)
    exceeded_ms = first_exceeded_ms(answers, PAIRS, 1 - OBJECTIVE)
    assert min(fired_ms) <= exceeded_ms + METRICS_MS + 2 * EVALUATE_S * 1000 + BUDGET_MS


def healed(stack: Stack, service: str, restarts: int) -> bool:
    """Whether Docker has started it again by itself and it is of use again."""
    if stack.restarts(service) <= restarts:
        return False
    if service in READY:
        return stack.good(READY[service], "/readyz")
    if service == "kafka":
        return bool(ends(stack.bootstrap, INPUTS))
    return service in SIMULATORS or stack.good(f"{service.upper()}_PORT", "/-/ready")


def sent(stack: Stack) -> list[int]:
    """How many records each input topic has had."""
    return [sum(ends(stack.bootstrap, [topic]).values()) for topic in INPUTS]


def test_any_container_can_crash_and_nothing_is_lost(stack: Stack) -> None:
    assert set(decided(stack.bootstrap).values()) == {1}
    for service in (*SERVICES, "kafka"):
        restarts = stack.restarts(service)
        stack.crash(service)
        eventually(lambda service=service, restarts=restarts: healed(stack, service, restarts), f"{service} is back")
    before = sent(stack)
    eventually(lambda: all(now > then for now, then in zip(sent(stack), before, strict=True)), "traffic flows")
    stack.compose("stop", *SIMULATORS)
    every = asked(stack.bootstrap, INPUTS)
    eventually(lambda: decided(stack.bootstrap).keys() >= every, "an outcome of each record")
    assert decided(stack.bootstrap).keys() == every
    stack.compose("start", *SIMULATORS)
