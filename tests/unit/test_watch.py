"""The whole of the app's reasoning, in virtual time: metrics and offsets in, alerts out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from pipeline.slo.config import SloConfig
from pipeline.slo.expected import Position
from pipeline.slo.load import load_slo
from pipeline.slo.snapshot import newest_whole, pieces_of, restore, snapshot_of
from pipeline.slo.watch import Watch
from pipeline.telemetry.histogram import Histogram, bucket_of
from pipeline.wire.alert import AlertRecord, decode_alert
from pipeline.wire.metrics import MetricsRecord

CONFIG = load_slo("slo", environ={})
EVALUATE_S = 15
STEP_S = 5


def record(
    at_s: float, ages_ms: "Mapping[int, int] | None" = None, instance: str = "a", ended: bool = False
) -> MetricsRecord:
    ages = {bucket_of(age_ms * 1000): count for age_ms, count in (ages_ms or {}).items()}
    count = sum(ages.values())
    return MetricsRecord(
        pipeline="fraud",
        instance=instance,
        from_ms=round((at_s - STEP_S) * 1000),
        to_ms=round(at_s * 1000),
        outcomes={"scored": count},
        delivered=count,
        histograms={"age": ages},
        ended=ended,
    )


@dataclass
class Bench:
    """A pipeline of so many events a second, one process, and the app beside it."""

    rate: int = 50
    watch: Watch = field(default_factory=lambda: Watch(CONFIG))
    now_s: int = 0
    end: int = 0
    committed: int = 0
    alerts: list[tuple[int, AlertRecord]] = field(default_factory=list)

    def run(self, seconds: int, *, answers: bool = True, step_s: int = STEP_S) -> None:
        for _ in range(seconds // step_s):
            self.now_s += step_s
            now_ms = self.now_s * 1000
            events = self.rate * step_s
            self.end += events
            if answers:
                ages = {10: events}
                late = self.end - self.committed - events
                if late:
                    ages = {**ages, 60_000: late}
                self.watch.take(record(self.now_s, ages), now_ms)
                self.committed = self.end
            if self.now_s % EVALUATE_S == 0:
                position = {"transactions/0": Position(self.end, self.committed)}
                self.watch.sampled(now_ms, {"fraud": position})
                self.alerts += [(self.now_s, alert) for alert in self.watch.evaluate(now_ms)]

    def told(self, state: str = "firing") -> dict[str, int]:
        """When each alert first came to the state."""
        return {alert.key: at_s for at_s, alert in reversed(self.alerts) if alert.state == state}


@pytest.mark.parametrize("rate", [5, 50, 5000])
def test_a_full_outage_pages_within_five_minutes_for_latency_and_outcomes(rate: int) -> None:
    bench = Bench(rate)
    bench.run(2 * 3600, step_s=15)
    assert not bench.alerts
    bench.run(300, answers=False)
    began = 2 * 3600
    told = bench.told()
    assert told["fraud-latency/page"] - began <= 300
    assert told["fraud-outcomes/page"] - began <= 300
    assert told["fraud-stuck/page/transactions/0"] - began <= 90
    assert told["fraud-silent/page"] - began <= 60
    assert "fraud-degraded/page" not in told


def test_an_outage_that_is_over_is_counted_once_and_resolves() -> None:
    bench = Bench()
    bench.run(3600)
    bench.run(600, answers=False)
    slo = bench.watch.slos["fraud-latency"]
    charged = slo.bad
    assert 500 * 50 < charged <= 600 * 50
    bench.run(STEP_S)
    # The events younger than what was counted are late too, and bad for the first time.
    assert slo.bad == 600 * 50
    assert slo.good + slo.bad == bench.end
    outcomes = bench.watch.slos["fraud-outcomes"]
    assert outcomes.good + outcomes.bad == bench.end
    assert outcomes.bad == charged
    bench.run(10)
    bench.run(7 * 3600, step_s=60)
    assert slo.bad == 600 * 50
    assert slo.good + slo.bad == bench.end
    over = bench.told("resolved")
    assert {"fraud-latency/page", "fraud-outcomes/page", "fraud-silent/page"} <= over.keys()
    assert not [key for key in bench.watch.firing if key.endswith("/page")]


def test_the_app_that_is_killed_and_started_again_counts_the_same() -> None:
    steady, killed = Bench(), Bench()
    for bench in (steady, killed):
        bench.run(3600)
        bench.run(120, answers=False)
    kept = pieces_of(snapshot_of(killed.watch, 7, killed.now_s * 1000, {0: 42}))
    snapshot = newest_whole(dict(kept))
    assert snapshot is not None
    assert snapshot.offsets == {0: 42}
    killed.watch = Watch(CONFIG)
    restore(killed.watch, snapshot)
    assert killed.watch.firing == steady.watch.firing
    for bench in (steady, killed):
        bench.run(60, answers=False)
        bench.run(3600)
    for name, slo in steady.watch.slos.items():
        again = killed.watch.slos[name]
        assert (slo.good, slo.bad) == (again.good, again.bad), name
    assert killed.watch.firing == steady.watch.firing
    assert {a.key for _, a in killed.alerts} == {a.key for _, a in steady.alerts}


def test_records_that_come_twice_count_once_and_strangers_not_at_all() -> None:
    watch = Watch(CONFIG)
    for _ in range(3):
        watch.take(record(10, {5: 7}), 10_000)
    watch.take(MetricsRecord(pipeline="other", instance="a", from_ms=0, to_ms=1), 10_000)
    assert watch.slos["fraud-latency"].good == 7
    assert (watch.tallies.taken, watch.tallies.repeated, watch.tallies.foreign) == (1, 2, 1)


def test_late_and_unordered_records_count_where_they_belong() -> None:
    orders = ([10, 20, 30, 4000], [4000, 30, 10, 20])
    held = []
    for order in orders:
        watch = Watch(CONFIG)
        for at_s in order:
            watch.take(record(at_s, {500: 3}), 4_000_000)
        held.append([w.counts(4_000_000) for w in watch.slos["fraud-latency"].burn.windows.values()])
    assert held[0] == held[1]
    assert [counts.bad for counts in held[0]] == [3, 3, 3, 12, 12]


def test_a_process_whose_clock_is_ahead_counts_now() -> None:
    watch = Watch(CONFIG)
    watch.take(record(1_000_000, {500: 3}), 1000)
    assert watch.slos["fraud-latency"].burn.counts(1000).bad == 3


@pytest.mark.parametrize(
    ("threshold_ms", "age_ms", "bad"), [(100, 100, False), (100, 101, True), (1000, 960, False), (1000, 1001, True)]
)
def test_the_latency_threshold_is_exact_or_stricter(threshold_ms: int, age_ms: int, bad: bool) -> None:
    slos = [{"name": "x", "pipeline": "fraud", "kind": "latency", "objective": 0.99, "threshold_ms": threshold_ms}]
    tables = {**CONFIG.model_dump(), "slos": slos, "burn": CONFIG.burn, "kafka": CONFIG.kafka}
    watch = Watch(SloConfig.model_validate(tables))
    watch.take(record(1, {age_ms: 1}), 1000)
    assert bool(watch.slos["x"].bad) is bad


def test_each_kind_counts_what_it_says() -> None:
    slos = [
        {"name": kind, "pipeline": "fraud", "kind": kind, "objective": 0.99}
        for kind in ("deadlines", "outcomes", "dead_letters", "degraded")
    ]
    watch = Watch(SloConfig.model_validate({**CONFIG.model_dump(), "slos": slos, "burn": CONFIG.burn}))
    told = MetricsRecord(
        pipeline="fraud",
        instance="a",
        from_ms=0,
        to_ms=1000,
        outcomes={"scored": 80, "degraded": 10, "expired": 5, "dead_letter": 4, "absorbed": 900},
        delivered=99,
        dead_letters=4,
        deadline_misses=8,
        in_time={"primary": 78, "lite": 9},
        overdue={"primary": 2, "lite": 1},
    )
    watch.take(told, 1000)
    found = {name: (slo.good, slo.bad) for name, slo in watch.slos.items()}
    assert found == {"deadlines": (87, 8), "outcomes": (99, 0), "dead_letters": (95, 4), "degraded": (80, 15)}


def test_nobody_is_called_silent_while_the_app_has_not_read_all() -> None:
    watch = Watch(CONFIG)
    watch.take(record(10, {5: 1}), 10_000)
    assert not watch.evaluate(500_000, hears_all=False)
    fired = watch.evaluate(500_000)
    assert {alert.kind for alert in fired} == {"instance-silent", "silent"}
    watch.take(record(500, {5: 1}), 500_500)
    assert not watch.evaluate(501_000, hears_all=False)
    assert {alert.state for alert in watch.evaluate(501_000)} == {"resolved"}


def test_a_process_that_said_goodbye_is_not_missed() -> None:
    watch = Watch(CONFIG)
    watch.take(record(10, {5: 1}), 10_000)
    watch.take(record(11, {5: 1}, ended=True), 11_000)
    assert not watch.evaluate(500_000)


def test_percentiles_of_three_processes_are_those_of_all_latencies() -> None:
    random = np.random.default_rng(7)
    raw_us = [np.exp(random.normal(mean, 1.2, 40_000)).astype(np.int64) + 1 for mean in (8.0, 9.5, 11.0)]
    watch = Watch(CONFIG)
    for number, latencies_us in enumerate(raw_us):
        for part, chunk in enumerate(np.array_split(latencies_us, 20)):
            ages = Histogram()
            ages.record(chunk)
            at_ms = 1000 * (part + 1)
            made = MetricsRecord(
                pipeline="fraud",
                instance=f"process-{number}",
                from_ms=at_ms - 1000,
                to_ms=at_ms,
                histograms={"age": ages.sparse()},
            )
            watch.take(made, at_ms)
    merged = watch.pipelines["fraud"].ages.merged(20_000)
    everything_us = np.sort(np.concatenate(raw_us))
    for fraction in (0.5, 0.9, 0.99, 0.999):
        exact_us = everything_us[int(np.ceil(fraction * len(everything_us))) - 1]
        assert merged.quantile(fraction) == pytest.approx(exact_us, rel=0.01)


def test_an_alert_says_what_it_is_about_and_is_read_back() -> None:
    bench = Bench()
    bench.run(3600)
    bench.run(300, answers=False)
    (alert,) = [alert for _, alert in bench.alerts if alert.key == "fraud-latency/page"]
    assert decode_alert(alert.encode()) == alert
    assert alert.long_burn is not None
    assert alert.long_burn > 6
    assert alert.budget_left is not None
    assert alert.budget_left < 0
    assert "fraud-latency: the error budget of latency (objective 0.999) burns" in alert.summary
    assert "it is spent" in alert.summary
    with pytest.raises(ValueError, match="not an alert"):
        decode_alert(b"{}")


def test_a_snapshot_in_pieces_is_whole_or_the_one_before_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.slo.snapshot.PIECE_BYTES_MAX", 100)
    bench = Bench()
    bench.run(600)
    older = pieces_of(snapshot_of(bench.watch, 8, 600_000, {0: 1}))
    newer = pieces_of(snapshot_of(bench.watch, 9, 601_000, {0: 2}))
    assert len(newer) > 2
    whole = newest_whole(dict([*older, *newer]))
    torn = newest_whole(dict([*older, *newer[:-1]]))
    assert whole is not None
    assert torn is not None
    assert (whole.number, torn.number) == (9, 8)
    assert newest_whole({}) is None
    with pytest.raises(ValueError, match="no piece of a snapshot"):
        newest_whole({b"0/0": b"?"})
