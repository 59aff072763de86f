"""A process tells of itself from its first moment on: alive at once, ready when it decides, counts that add up."""

import json
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Producer

from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from tests.told import Running, free_port
from tests.traffic import configured, send, transaction_records

POPULATION = Population(customers=60, terminals=40, terminals_near=10, seed=3)
START_MS = 1_577_836_800_000
TOPICS = {"transactions": 2, "labels": 1, "decisions": 2, "dead-letters": 1, "metrics": 1}


@pytest.fixture
def running(embedded: Callable[[dict[str, int]], str]) -> Iterator[tuple[Running, str]]:
    bootstrap = embedded(TOPICS)
    process = Running(configured(bootstrap, f"http.port={free_port()}"))
    yield process, bootstrap
    process.end()


def test_it_is_alive_at_once_and_ready_when_it_decides(running: tuple[Running, str]) -> None:
    process, _ = running
    status, kind, _body = process.ask("/healthz")
    assert (status, kind.split(";")[0]) == (200, "application/json")
    seen = set()

    def ready() -> bool:
        status, _, body = process.ask("/readyz")
        told = json.loads(body)
        assert (status == 200) == told["ok"] == all(check["ok"] for check in told["checks"].values())
        seen.add((status, told["phase"]))
        return status == 200

    process.wait(ready)
    assert (503, "starting") in seen
    assert (200, "deciding") in seen


def test_what_is_scraped_is_what_happened(running: tuple[Running, str]) -> None:
    process, bootstrap = running
    records = transaction_records(simulated_table(POPULATION, 10, START_MS))
    send(bootstrap, "transactions", [*records, (b"1", b"{")])
    process.wait(lambda: process.metric("headrace_delivered_total") == len(records) + 1)
    assert process.metric("headrace_outcomes_total") == process.metric("headrace_read_total") == len(records) + 1
    assert process.metric("headrace_outcomes_total", outcome="scored") == len(records)
    assert process.metric("headrace_dead_letters_total") == 1
    assert process.metric("headrace_age_seconds_count") == len(records)
    assert process.metric("headrace_batch_rows_sum") == pytest.approx(len(records), rel=0.016)
    assert process.metric("headrace_partitions") == 2
    process.wait(lambda: process.metric("headrace_lag_records") == 0)
    assert process.metric("headrace_model_info", tier="primary", model="fraud-gbt") == 1
    assert process.metric("headrace_event_time_delay_seconds") > 86_400
    kind = process.ask("/metrics", "application/openmetrics-text; version=1.0.0")[1]
    assert kind.startswith("application/openmetrics-text")


def test_a_loop_that_hangs_is_noticed_without_its_help(embedded: Callable[[dict[str, int]], str]) -> None:
    release = threading.Event()
    config = configured(embedded(TOPICS), f"http.port={free_port()}", "health.loop_s_max=1")
    process = Running(config, on_meter=lambda record, totals: release.wait() and None)
    try:
        process.wait(lambda: process.ask("/healthz")[0] == 503)
        told = json.loads(process.ask("/healthz")[2])
        assert [name for name, check in told["checks"].items() if not check["ok"]] == ["loop"]
        assert told["checks"]["loop"]["says"].endswith(", 1 s at most")
        assert process.metric("headrace_alive") == process.metric("headrace_ready") == 0
        release.set()
        process.wait(lambda: process.ask("/healthz")[0] == process.ask("/readyz")[0] == 200)
    finally:
        release.set()
        process.end()


def test_producers_whose_clocks_are_ahead_are_told(running: tuple[Running, str]) -> None:
    process, bootstrap = running
    producer = Producer({"bootstrap.servers": bootstrap})
    for key, value in transaction_records(simulated_table(POPULATION, 1, START_MS)):
        producer.produce("transactions", value, key, timestamp=time.time_ns() // 1_000_000 + 600_000)
    assert producer.flush(30) == 0
    process.wait(lambda: process.metric("headrace_clock_skew_seconds") > 0)
    assert 500 < process.metric("headrace_clock_skew_seconds") <= 600


def test_a_replay_is_ready_while_it_replays(embedded: Callable[[dict[str, int]], str]) -> None:
    bootstrap = embedded(TOPICS)
    send(bootstrap, "transactions", transaction_records(simulated_table(POPULATION, 40, START_MS)))
    process = Running(
        configured(bootstrap, f"http.port={free_port()}", "pipeline.mode=replay", "engine.poll_rows_max=64")
    )
    try:
        process.wait(lambda: process.ask("/readyz")[0] == 200 or process.summary is not None)
        assert process.summary is None, "it had begun"
        assert process.ask("/healthz")[0] == 200
    finally:
        process.end()
