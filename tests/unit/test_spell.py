"""What keeps happening is told when it begins, once a minute, and once when it is over."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kafka.lane import TopicPartition
from pipeline.kafka.named import listed
from pipeline.telemetry.on_call import OnCall
from pipeline.telemetry.spell import NS_PER_S, Spell, Told
from pipeline.wire.metrics import MetricsRecord


def test_told_at_the_beginning_once_a_minute_and_at_the_end() -> None:
    spell = Spell()
    told = [spell.happened(at_s * NS_PER_S) for at_s in range(130)]
    assert [(at_s, each) for at_s, each in enumerate(told) if each] == [
        (0, Told(0.0, 1)),
        (60, Told(60.0, 61)),
        (120, Told(120.0, 121)),
    ]
    assert spell.over(138 * NS_PER_S) is None
    assert spell.over(139 * NS_PER_S) == Told(129.0, 130)
    assert spell.over(200 * NS_PER_S) is None


@given(steps=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=60))
def test_beginnings_and_ends_take_turns_and_nothing_is_counted_twice(steps: list[tuple[int, int]]) -> None:
    spell, now_ns, on, counted, happened = Spell(), 0, False, 0, 0
    for passed_s, count in steps:
        now_ns += passed_s * NS_PER_S
        if (ended := spell.over(now_ns)) is not None:
            assert on
            on, counted = False, counted + ended.count
        if count:
            happened += count
            told = spell.happened(now_ns, count)
            assert on or (told is not None and told.lasted_s == 0)
            on = True
        assert spell.on == on
    if (ended := spell.over(now_ns, certain=True)) is not None:
        counted += ended.count
    assert counted == happened


def test_partitions_are_named_by_topic_neighbours_drawn_together() -> None:
    numbers = [("b", 1), *(("a", number) for number in (7, 0, 1, 2, 9))]
    assert listed(TopicPartition(*each) for each in numbers) == "a[0-2,7,9], b[1]"
    assert listed([]) == "nothing"


def metrics(at_s: float, *, held: int = 0, in_flight: int = 0, buried: int = 0, **outcomes: int) -> MetricsRecord:
    to_ms = round(at_s * 1000)
    return MetricsRecord(
        pipeline="fraud",
        instance="host-1",
        from_ms=to_ms - 1000,
        to_ms=to_ms,
        outcomes=outcomes,
        delivered=0,
        dead_letters=0,
        dead_letter_codes={"undeliverable": buried} if buried else {},
        deadline_misses=0,
        late=0,
        lag={"transactions/0": 40, "transactions/1": 2},
        batch_rows={},
        tiers={"primary": outcomes.get("scored", 0), "lite": outcomes.get("degraded", 0)},
        in_time={},
        overdue={},
        histograms={},
        counts={"held": held},
        levels={"rows_in_flight": in_flight, "rows_pending": 7},
    )


def lines_of(records: list[MetricsRecord], caplog: pytest.LogCaptureFixture) -> list[str]:
    on_call = OnCall(100, 1000)
    with caplog.at_level(logging.INFO):
        for record in records:
            on_call.tell(record, record)
    return caplog.messages


def test_an_overload_is_two_lines_however_many_batches_it_has(caplog: pytest.LogCaptureFixture) -> None:
    calm = [metrics(at, scored=100) for at in range(5)]
    hard = [metrics(at, scored=60, degraded=40) for at in range(5, 35)]
    began, ended = lines_of([*calm, *hard, *(metrics(at, scored=100) for at in range(35, 60))], caplog)
    assert began.startswith("events are degraded: 40 of the last 100, since the best tier could not answer in time")
    assert "answered by primary 60, lite 40" in began
    assert "7 rows wait, lag 42" in began
    assert ended == "events are degraded no more: 1200 events in 29 s"


def test_expired_events_are_told_apart_from_degraded_ones(caplog: pytest.LogCaptureFixture) -> None:
    told = lines_of([metrics(1, expired=3), metrics(2, degraded=1, expired=1)], caplog)
    assert [line.split(":")[0] for line in told] == ["events are expired", "events are degraded"]
    assert ["no tier could answer in time" in line for line in told] == [True, False]


def test_back_pressure_lasts_while_there_is_no_room_although_reading_stopped_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stuck = [metrics(at, in_flight=1000) for at in range(2, 40)]
    began, ended = lines_of(
        [metrics(1, held=1, in_flight=1000), *stuck, *(metrics(at) for at in range(40, 60))], caplog
    )
    assert began == "back-pressure: reading waits for room, 1000 of 1000 rows are in flight, lag 42"
    assert ended == "no back-pressure any more, after 38 s; reading stopped 1 times"


def test_decisions_that_can_never_be_delivered_are_an_error(caplog: pytest.LogCaptureFixture) -> None:
    told = lines_of([metrics(1, buried=2), metrics(2, buried=1), *(metrics(at) for at in range(3, 30))], caplog)
    assert told == ["decisions can never be delivered: 2 became dead letters in 0 s"]
    assert caplog.records[0].levelno == logging.ERROR
