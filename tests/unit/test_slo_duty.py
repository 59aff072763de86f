"""On duty: what is acknowledged when, what a process that takes over knows, and what its HTTP says."""

import asyncio
import json
from collections.abc import Sequence
from typing import cast

from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from pipeline.slo.asking import Sample
from pipeline.slo.config import SloConfig
from pipeline.slo.duty import Duty
from pipeline.slo.expected import Position
from pipeline.slo.http import SloHttp
from pipeline.slo.keeping import Keeper
from pipeline.slo.load import load_slo
from pipeline.slo.notify import Notifier, now_ms
from pipeline.slo.snapshot import Snapshot, snapshot_of
from pipeline.telemetry.histogram import bucket_of
from pipeline.telemetry.slo_source import slos_of
from pipeline.wire.alert import AlertRecord
from pipeline.wire.metrics import MetricsRecord

CONFIG = load_slo("slo", environ={}, assignments=["webhook.url=http://localhost:1/"])


class Shelf:
    """Keeps the last snapshot here rather than in a topic; may be told to fail."""

    def __init__(self) -> None:
        self.fails = False
        self.snapshot: Snapshot | None = None
        self.alerts: list[AlertRecord] = []

    def write(self, alerts: Sequence[AlertRecord]) -> bool:
        if not self.fails:
            self.alerts += alerts
        return not self.fails

    def keep(self, snapshot: Snapshot) -> bool:
        if not self.fails:
            self.snapshot = snapshot
        return not self.fails


def duty_of(shelf: Shelf, config: SloConfig = CONFIG) -> tuple[Duty, Notifier]:
    notifier = Notifier(config)
    return Duty(config, notifier, cast(Keeper, shelf)), notifier


def value(from_ms: int, slow: int = 0, fast: int = 100) -> bytes:
    ages = {bucket_of(5000): fast, bucket_of(900_000): slow}
    return MetricsRecord(
        pipeline="fraud",
        instance="a",
        from_ms=from_ms,
        to_ms=from_ms + 1000,
        delivered=slow + fast,
        histograms={"age": {bucket: count for bucket, count in ages.items() if count}},
    ).encode()


def test_a_record_is_acknowledged_when_a_snapshot_that_counts_it_is_written() -> None:
    async def run() -> None:
        shelf, acknowledged = Shelf(), []
        duty, _ = duty_of(shelf)
        duty.take_over(None)
        begin_ms = now_ms() - 10_000
        await duty.taken(0, 7, value(begin_ms), lambda: acknowledged.append(7))
        shelf.fails = True
        await duty.evaluate()
        assert not acknowledged
        shelf.fails = False
        await duty.taken(0, 8, b"{", lambda: acknowledged.append(8))
        await duty.evaluate()
        assert acknowledged == [7, 8]
        assert duty.unreadable == 1
        assert shelf.snapshot is not None
        assert shelf.snapshot.offsets == {0: 9}

    asyncio.run(run())


def test_who_takes_over_passes_over_what_was_counted_and_delivers_what_was_owed() -> None:
    async def run() -> None:
        shelf = Shelf()
        first, notifier = duty_of(shelf)
        first.take_over(None)
        begin_ms = now_ms() - 10_000
        for offset in range(3):
            await first.taken(0, offset, value(begin_ms + 1000 * offset, slow=50), lambda: None)
        await first.evaluate()
        assert {alert.key for alert in shelf.alerts} == {"fraud-latency/page", "fraud-latency/ticket"}
        assert len(notifier.changes.waiting) == 2
        second, again = duty_of(shelf)
        second.take_over(shelf.snapshot)
        assert list(again.changes.waiting) == list(notifier.changes.waiting)
        for offset in range(2, 5):
            await second.taken(0, offset, value(begin_ms + 1000 * offset, slow=50), lambda: None)
        assert (second.watch.slos["fraud-latency"].good, second.watch.slos["fraud-latency"].bad) == (500, 250)
        await second.evaluate()
        assert len(shelf.alerts) == 2, "nothing changed, so nothing is said again"
        await second.taken(0, 1, b"{", lambda: None)
        assert not second.unreadable, "it was counted before, whatever it is"

    asyncio.run(run())


def test_a_page_is_held_until_it_is_written_down_and_not_when_it_cannot_be() -> None:
    class Watching(Shelf):
        held: list[bool]

        def keep(self, snapshot: Snapshot) -> bool:
            self.held.append(notifier.held)
            return super().keep(snapshot)

    async def run() -> None:
        nonlocal notifier
        for fails in (False, True):
            shelf = Watching()
            shelf.fails, shelf.held = fails, []
            duty, notifier = duty_of(shelf)
            duty.take_over(None)
            await duty.taken(0, 0, value(now_ms() - 5000, slow=50), lambda: None)
            await duty.evaluate()
            assert (shelf.held, notifier.held) == ([True], False)
            await duty.evaluate()
            assert shelf.held == [True, False], "nothing new is told, so nothing waits"

    notifier = Notifier(CONFIG)
    asyncio.run(run())


def test_alerts_that_could_not_be_written_are_written_later_by_whoever_is_on_duty() -> None:
    async def run() -> None:
        shelf = Shelf()
        first, _ = duty_of(shelf)
        first.take_over(None)
        await first.taken(0, 0, value(now_ms() - 5000, slow=50), lambda: None)
        shelf.fails = True
        await first.evaluate()
        assert not shelf.alerts
        shelf.fails = False
        second, _ = duty_of(shelf)
        kept = snapshot_of(first.watch, 1, now_ms(), first.offsets, list(first.unwritten.waiting))
        second.take_over(kept)
        await second.evaluate()
        assert {alert.key for alert in shelf.alerts} == {"fraud-latency/page", "fraud-latency/ticket"}

    asyncio.run(run())


def test_records_wait_until_the_windows_are_there() -> None:
    async def run() -> None:
        duty, _ = duty_of(Shelf())
        waiting = asyncio.create_task(duty.taken(0, 0, value(now_ms()), lambda: None))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        duty.take_over(None)
        await waiting
        duty.stand_by()
        assert duty.state == "standing by"
        assert not duty.watch.slos["fraud-latency"].good

    asyncio.run(run())


def test_all_is_heard_only_when_all_is_read_and_kafka_answers() -> None:
    duty, _ = duty_of(Shelf())
    duty.take_over(None)
    assert not duty.hears_all
    duty.sampled(Sample(now_ms(), {}, {0: (0, 2), 1: (5, 5)}))
    assert not duty.hears_all
    duty.offsets = {0: 2}
    assert duty.hears_all
    duty.sampled_ms -= 60_000
    assert not duty.hears_all


async def answers(config: SloConfig, duty: Duty, notifier: Notifier, *paths: str) -> list[tuple[int, str]]:
    async with TestClient(TestServer(SloHttp(config, duty, notifier).application())) as client:
        return [(answer.status, await answer.text()) for path in paths for answer in [await client.get(path)]]


def test_http_says_how_it_is() -> None:
    async def run() -> None:
        duty, notifier = duty_of(Shelf())
        ((status, _),) = await answers(CONFIG, duty, notifier, "/readyz")
        assert status == 503
        duty.take_over(None)
        await duty.taken(0, 0, value(now_ms() - 5000, slow=50), lambda: None)
        duty.sampled(Sample(now_ms(), {"fraud": {"transactions/0": Position(10, 4)}}, {0: (0, 1)}))
        await duty.evaluate()
        told = await answers(CONFIG, duty, notifier, "/readyz", "/healthz", "/api/slo", "/metrics")
        assert [status for status, _ in told] == [200, 200, 200, 200]
        state = json.loads(told[2][1])
        latency = state["slos"][0]
        assert (latency["name"], latency["good"], latency["bad"]) == ("fraud-latency", 100, 50)
        assert latency["firing"] == ["page", "ticket"]
        assert {alert["slo"] for alert in state["alerts"]} == {"fraud-latency"}
        shown = {slo["slo"]: slo for slo in slos_of(state, "fraud")}["fraud-latency"]  # on the pipeline's own page
        assert {alert["severity"] for alert in shown["alerts"]} == {"page", "ticket"}
        assert shown["objective"] == latency["objective"]
        assert shown["budget_left"] == latency["budget_left"] < 0
        assert max(shown["burn"].values()) > 1
        assert state["pipelines"][0]["lag"] == {"transactions/0": 6}
        samples = {
            (sample.name, sample.labels.get("slo", "")): sample.value
            for family in text_string_to_metric_families(told[3][1])
            for sample in family.samples
        }
        assert samples["headrace_slo_bad_events_total", "fraud-latency"] == 50
        assert samples["headrace_slo_on_duty", ""] == 1
        duty.evaluated_ms -= 1_000_000
        ((status, _),) = await answers(CONFIG, duty, notifier, "/healthz")
        assert status == 503

    asyncio.run(run())


def test_the_token_guards_what_the_page_reads_and_nothing_else() -> None:
    config = load_slo("slo", environ={}, assignments=["http.host=0.0.0.0", "http.token=secret"])

    async def run() -> None:
        duty, notifier = duty_of(Shelf(), config)
        told = await answers(
            config,
            duty,
            notifier,
            "/api/slo",
            "/api/slo?token=wrong",
            "/api/slo?token=secret",
            "/healthz",
            "/metrics",
        )
        assert [status for status, _ in told] == [401, 401, 200, 200, 200]

    asyncio.run(run())
