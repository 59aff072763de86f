"""What both sides are sent and when, and that figures of rounds are pooled."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_recording import ROWS, by_name, decided, played, recording, side

from pipeline.evaluation import speed
from pipeline.evaluation.recording import RecordingError
from pipeline.evaluation.replayed import BLOCK_ROWS, _places
from pipeline.evaluation.rounds import Pace, _parts, due_times


def test_quantiles_are_of_merged_rounds_and_never_averaged() -> None:
    """Nine rounds of 10 fast events and one of 1,000 slow ones: the median is slow, the mean of medians is not."""
    one = played([[100] * 10] * 9 + [[50_000] * 1000])
    figures = by_name(speed.figures(one, one, 1.0, 0.04, "USD"))
    assert figures["age_p50_ms"].a == pytest.approx(50, rel=0.01)
    assert {figure.verdict for figure in figures.values()} == {"no difference seen"}
    assert {figure.change for figure in figures.values()} == {0.0}


def test_a_slower_dearer_side_is_found_worse() -> None:
    random = np.random.default_rng(1)
    noise = random.lognormal(0, 0.2, 8)
    a = played([(1000 * each * random.lognormal(0, 0.3, 500)).astype(int).tolist() for each in noise], 0.1)
    b = played([(1500 * each * random.lognormal(0, 0.3, 500)).astype(int).tolist() for each in noise], 0.2, good=400)
    figures = by_name(speed.figures(a, b, 2.0, 3.6, "EUR"))
    for name in ("cpu_us", "cost", "age_p50_ms", "total_p99_ms", "goodput", "good"):
        assert figures[name].verdict == "worse", name
    assert figures["cpu_us"].change == pytest.approx(1.0)
    assert figures["cost"].a == pytest.approx(figures["cpu_us"].a / 1000)
    assert (figures["cost"].unit, figures["goodput"].a, figures["goodput"].b) == ("EUR", 250, 200)


def test_the_tail_is_drawn_from_all_rounds() -> None:
    tail = speed.tail_ms(played([[1000] * 90, [9000] * 10]), "age")
    assert tail == [(pytest.approx(1, rel=0.01), pytest.approx(0.1))]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200), st.integers(1, 9))
def test_events_of_one_instant_share_a_partition_and_keep_their_order(times: list[int], partitions: int) -> None:
    time_ms = np.sort(np.array(times, np.int64))
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr("pipeline.evaluation.replayed.BLOCK_ROWS", 4)
        places = _places(time_ms, partitions)
    assert ((places >= 0) & (places < partitions)).all()
    # merged by (time, partition, offset) the rows come out as they went in
    assert (np.lexsort((np.arange(len(places)), places, time_ms)) == np.arange(len(places))).all()


def test_partitions_are_filled_alike() -> None:
    counts = np.bincount(_places(np.arange(BLOCK_ROWS * 40), 4))
    assert counts.tolist() == [BLOCK_ROWS * 10] * 4


def test_a_rate_or_a_speed_says_when_events_are_sent() -> None:
    time_ms = np.arange(0, 100_000, 10)
    even, rate = due_times(time_ms, Pace(8, 4, rate=500))
    assert rate == pytest.approx(500)
    assert even[-1] < 10
    assert np.allclose(np.diff(even), 1 / 500)
    recorded, rate = due_times(time_ms, Pace(8, 4, speed_up=2))
    assert rate == pytest.approx(200)
    assert np.allclose(recorded, time_ms[: len(recorded)] / 2000)
    assert due_times(time_ms, Pace(8, 4))[1] == pytest.approx(1000)
    assert due_times(np.arange(10**6), Pace(8, 4))[1] == pytest.approx(2000)


@pytest.mark.parametrize(
    ("events", "pace", "told"),
    [
        (
            1000,
            Pace(8, 4, rate=500),
            "1,000 judged events last 2.0 s at that speed, and 4 rounds and one to warm up take",
        ),
        (100, Pace(8, 4), "a round of 2.0 s has 20 events, expected 50 or more: raise --rate"),
        (1000, Pace(8, 4, speed_up=1000), "lower --rate, --speed-up or --seconds, or judge more events"),
    ],
)
def test_a_recording_that_does_not_last_is_said(events: int, pace: Pace, told: str) -> None:
    with pytest.raises(RecordingError, match=re.escape(told)):
        due_times(np.arange(events) * 10, pace)


def test_every_event_is_sent_once_in_its_round_with_the_labels_known_by_then() -> None:
    of = recording()
    pace = Pace(8, 4)
    due_s, _ = due_times(of.time_ms, pace)
    parts = _parts(of, side("A"), pace, due_s)
    assert [part.events for part in parts] == [ROWS // 5] * 5
    sent = [record for part in parts for record in part.records]
    assert sum(topic == "transactions" for topic, _, _ in sent) == ROWS
    assert 70 < sum(topic == "labels" for topic, _, _ in sent) <= 80
    assert all(0 <= due <= pace.round_s for part in parts for due in part.due_s)
    assert all(part.due_s == sorted(part.due_s) for part in parts)
    first = next(record for record in sent if record[0] == "transactions")
    assert first[1] == str(of.cluster[0]).encode()
    assert b'"transaction_id":0' in first[2]


def test_the_cost_of_full_batches_is_told_from_replays_and_one_alone_tells_no_difference() -> None:
    of = recording()
    a, b = decided(of, 0.1), decided(of, 0.1)
    dear = replace(b, cpu_s=(0.05, 0.07, 0.06))
    cpu, cost = speed.full_batches(a, dear, 3.6, "EUR")
    assert (cpu.a, cpu.b) == (pytest.approx(0.025 / ROWS * 1e6), pytest.approx(0.06 / ROWS * 1e6))
    assert cost.b == pytest.approx(cpu.b / 1000)
    assert cpu.verdict == cost.verdict == "worse"
    assert speed.full_batches(a, a, 3.6, "EUR")[0].verdict == "no difference seen"
    once = replace(a, cpu_s=(0.02,)), replace(a, cpu_s=(0.04,))
    assert speed.full_batches(*once, 3.6, "EUR")[0].verdict == "cannot be told"
