"""The SLO app as a process on a real broker: it alerts, is killed, goes on, and resolves."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from slo_ground import App, Receiver, Traces, alerts_written, until

from pipeline.kafka.broker import JarBroker, java_problem
from pipeline.kafka.jar_cluster import SMALL_JAVA

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def app_of(tmp_path: Path, receiver: Receiver) -> Iterator[Callable[[Traces], App]]:
    """Makes processes, not started, that all end with the test."""
    made: list[App] = []

    def make(traces: Traces) -> App:
        made.append(App(tmp_path, traces, receiver.url))
        return made[-1]

    yield make
    for app in made:
        app.end()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)


def test_an_outage_reaches_alertmanager_over_a_kill_and_resolves(
    kafka_bootstrap: str, topic_suffix: str, receiver: Receiver, app_of: Callable[[Traces], App]
) -> None:
    receiver.refuses = 2
    with Traces(kafka_bootstrap, topic_suffix) as traces:
        first, app = app_of(traces), app_of(traces)
        first.start()
        until(lambda: first.promise("latency").get("good", 0) > 3000, "nothing was counted")
        app.start()
        until(lambda: app.get("/readyz") == "standing by\n", "the second does not stand by")
        assert first.on_duty()
        assert not first.state()["alerts"]
        traces.answers = False
        until(lambda: receiver.of("latency", "page"), "no page for latency")
        until(lambda: receiver.of("outcomes", "page"), "no page for outcomes")
        firing = receiver.of("latency", "page")[0]
        assert firing["endsAt"] > firing["startsAt"]
        known = first.promise("latency")
        first.kill()
        posted = len(receiver.of("latency", "page"))
        until(app.on_duty, "nobody took over")
        assert app.promise("latency")["good"] == known["good"], "the windows were lost, or counted again"
        # What was overdue in the moment before the kill is found again, when it is known to be that old.
        until(lambda: app.promise("latency")["bad"] > known["bad"], "it counts no more")
        until(lambda: len(receiver.of("latency", "page")) > posted, "it forgot what fires")
        assert {alert["startsAt"] for alert in receiver.of("latency", "page")} == {firing["startsAt"]}
        traces.answers = True
        until(lambda: receiver.resolved("latency", "page"), "the page for latency does not end")
        until(lambda: receiver.resolved("outcomes", "page"), "the page for outcomes does not end")
    for name in ("latency", "outcomes"):
        until(lambda name=name: total(app.promise(name)) == traces.sent, f"{name}: not every event counts once")
    assert 'headrace_slo_good_events_total{pipeline="fraud",slo="latency"}' in app.get("/metrics")
    assert app.get("/healthz") == "ok\n"
    assert app.stop() == 0
    for key in ("latency/page", "outcomes/page"):
        written = [
            alert.state for alert in alerts_written(kafka_bootstrap, f"alerts-{topic_suffix}") if alert.key == key
        ]
        assert written[:2] == ["firing", "resolved"]
        assert key in {alert.key for alert in receiver.hooks}


def total(promise: dict[str, Any]) -> int:
    return int(promise.get("good", 0) + promise.get("bad", 0))


@pytest.mark.soak
@pytest.mark.skipif(java_problem() is not None, reason=str(java_problem()))
def test_a_broker_that_restarts_ends_nothing(
    topic_suffix: str, tmp_path: Path, app_of: Callable[[Traces], App]
) -> None:
    with JarBroker(data=tmp_path / "data", java_options=SMALL_JAVA) as broker:
        with Traces(broker.bootstrap, topic_suffix) as traces:
            app = app_of(traces)
            app.start()
            until(lambda: app.promise("latency").get("good", 0) > 1000, "nothing was counted")
            broker.kill()
            until(lambda: "Kafka does not say" in app.log.read_text(), "it did not notice")
            broker.start()
            known = app.promise("latency")["good"]
            until(lambda: app.promise("latency").get("good", 0) > known + 2000, "it does not go on counting")
            assert app.running()
        assert app.stop() == 0
