"""What a process counts comes out once, in the record that was due."""

import numpy as np
import pytest

from pipeline.clock import NS_PER_MS, Instant
from pipeline.rows import NO_TIMESTAMP, Outcome, Rows
from pipeline.telemetry.histogram import bucket_of
from pipeline.telemetry.meter import Meter
from pipeline.wire.metrics import MetricsRecord, decode_metrics


def at(second: float) -> Instant:
    return Instant(int(second * 1e9), 1_700_000_000_000 + int(second * 1e3))


class Bench:
    """A meter, the rows that it reads, and the records that it gave."""

    def __init__(self) -> None:
        self.rows = Rows(8, 1)
        self.counts = {"read": 0, "late": 0, "absorbed": 0}
        self.records: list[MetricsRecord] = []
        self.meter = Meter(
            self.rows,
            pipeline="fraud",
            instance="a",
            tiers=["primary", "lite"],
            interval_ms=1000,
            started=at(0),
            counts=lambda: self.counts,
            lag=lambda: {"transactions/0": self.counts["read"]},
            levels=lambda: {"rows_in_flight": self.counts["read"] / 2},
            sinks=[lambda record, totals: self.records.append(record)],
        )


def slots(*numbers: int) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    return np.array(numbers, np.int32)


def one_of_each(bench: Bench) -> None:
    rows = bench.rows
    rows.tier[:4] = (0, 1, 2, 0)
    rows.outcome[:4] = (Outcome.SCORED, Outcome.DEGRADED, Outcome.EXPIRED, Outcome.DEAD_LETTER)
    rows.arrival_ns[:] = 100 * NS_PER_MS
    rows.dispatch_ns[:] = 103 * NS_PER_MS
    rows.features_ns[:], rows.score_ns[:] = NS_PER_MS, 2 * NS_PER_MS
    rows.handed_ns[:] = 110 * NS_PER_MS
    rows.deadline_ns[:] = 200 * NS_PER_MS
    rows.timestamp_ms[:] = at(0.09).wall_ms
    rows.event_time_ms[:4] = (at(0.5).wall_ms, at(0.6).wall_ms, at(0.4).wall_ms, at(5).wall_ms)
    bench.counts.update(read=5, late=2, absorbed=1)
    bench.meter.batch(2)
    bench.meter.batch(1)
    bench.meter.decided(slots(0, 1, 2), 110 * NS_PER_MS)
    bench.meter.dead_letter("wrong-type")
    bench.meter.delivered(slots(0, 1, 2, 3).astype(np.int64), at(0.115))


def test_a_record_holds_what_happened() -> None:
    bench = Bench()
    one_of_each(bench)
    bench.meter.tick(at(1))
    (record,) = bench.records
    assert record.outcomes == {"scored": 1, "degraded": 1, "expired": 1, "dead_letter": 1, "absorbed": 1}
    assert sum(record.outcomes.values()) == record.counts["read"] == 5
    assert (record.delivered, record.dead_letters, record.late) == (4, 1, 2)
    assert record.dead_letter_codes == {"wrong-type": 1}
    assert record.deadline_misses == 1
    assert record.tiers == {"primary": 1, "lite": 1}
    assert (record.in_time, record.overdue) == ({"primary": 1, "lite": 1}, {"primary": 0, "lite": 0})
    assert record.batch_rows == {1: 1, 2: 1}
    assert record.lag == {"transactions/0": 5}
    assert record.levels == {"rows_in_flight": 2.5, "event_time_delay_ms": 400}
    assert (record.from_ms, record.to_ms) == (at(0).wall_ms, at(1).wall_ms)
    assert record.histograms == {
        "queue": {bucket_of(2000): 2, bucket_of(9000): 1},
        "features": {bucket_of(1000): 3},
        "score": {bucket_of(2000): 2},
        "total": {bucket_of(10_000): 3},
        "delivery": {bucket_of(5000): 3},
        "age": {bucket_of(25_000): 3},
    }


def test_nothing_is_counted_twice_and_totals_add_up() -> None:
    bench = Bench()
    one_of_each(bench)
    bench.meter.tick(at(1))
    bench.meter.tick(at(2))
    assert bench.records[1].counts == {"read": 0}
    assert not any(bench.records[1].outcomes.values())
    assert not any(bench.records[1].histograms.values())
    one_of_each(bench)
    totals = bench.meter.finish(at(2.5))
    assert sum(totals.outcomes.values()) == 9  # the lone label is a running total, and did not run on
    assert totals.delivered == 8
    assert totals.histograms["total"] == {bucket_of(10_000): 6}
    assert (totals.from_ms, totals.to_ms) == (at(0).wall_ms, at(2.5).wall_ms)


def test_a_delivery_after_the_deadline_is_a_miss_and_one_without_timestamp_has_no_age() -> None:
    bench = Bench()
    one_of_each(bench)
    bench.rows.timestamp_ms[0] = NO_TIMESTAMP
    bench.meter.delivered(slots(0).astype(np.int64), at(0.2000001))
    record = bench.meter.finish(at(1))
    assert record.deadline_misses == 2
    assert (record.in_time, record.overdue) == ({"primary": 1, "lite": 1}, {"primary": 1, "lite": 0})
    assert sum(record.histograms["age"].values()) == 3


@pytest.mark.parametrize(("second", "records", "next_due"), [(0.9, 0, 1.0), (1.0, 1, 2.0), (3.25, 1, 4.0)])
def test_a_record_is_given_when_due_and_once_after_a_stall(second: float, records: int, next_due: float) -> None:
    bench = Bench()
    bench.meter.tick(at(second))
    assert len(bench.records) == records
    assert bench.meter.due_ns() == at(next_due).mono_ns


def test_only_the_last_record_of_a_process_that_was_told_to_stop_says_that_it_ended() -> None:
    bench = Bench()
    bench.meter.tick(at(1))
    bench.meter.finish(at(1.5), ended=True)
    assert [record.ended for record in bench.records] == [False, True]


def test_a_record_reads_back_as_it_was_and_its_buckets_are_json_names() -> None:
    bench = Bench()
    one_of_each(bench)
    bench.meter.tick(at(1))
    value = bench.records[0].encode()
    assert decode_metrics(value) == bench.records[0]
    assert b'"batch_rows":{"1":1,"2":1}' in value
    assert decode_metrics(value.replace(b'{"pipeline"', b'{"added_later":[1],"pipeline"')) == bench.records[0]


@pytest.mark.parametrize("value", [b"", b"{}", b'{"v":2,"pipeline":"p","instance":"i","from_ms":1,"to_ms":2}'])
def test_what_is_no_record_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="metrics record"):
        decode_metrics(value)


def test_the_newest_event_is_that_of_the_interval_or_the_last_before_it() -> None:
    """An event that is dated into the future is not the newest for ever."""
    bench = Bench()
    bench.meter.tick(at(1))
    for second, newest in ((2, 9.0), (3, 2.5), (4, None), (5, None), (6, 5.5)):
        if newest is not None:
            bench.rows.event_time_ms[:2] = (at(newest).wall_ms, at(1).wall_ms)
            bench.meter.decided(slots(0, 1), at(second).mono_ns)
        bench.meter.tick(at(second))
    delays = [record.levels.get("event_time_delay_ms") for record in bench.records]
    assert delays == [None, -7000, 500, 1500, 2500, 500]
