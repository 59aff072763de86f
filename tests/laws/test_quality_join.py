"""Quality is the same in whatever order decisions and labels come, and its measures are what they are called."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.quality.join import NO_SCORE, Join, Period
from pipeline.quality.measures import ap_of, auc_of, brier_of, calibration_of, cards_of, midranks
from pipeline.quality.report import EVERYBODY, Answerer, line_of, records_of
from pipeline.quality.watermark import LONG_AGO_MS, Watermark
from pipeline.wire.quality import decode_quality

PERIOD_MS, DELAY_MS, ROWS_MAX = 100, 250, 10_000
END_MS = 10**6
Decision = tuple[int, int, int]  # event, id, score in hundredths
Label = tuple[int, int, int, bool]  # id, delay of being known, place, hit

DECISIONS = st.lists(st.tuples(st.integers(0, 499), st.integers(0, 12), st.integers(0, 100)), max_size=40)
LABELS = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from([0, 250, 349, 350, 600]), st.integers(0, 5), st.booleans()),
    max_size=60,
    unique_by=lambda label: label[:3],
)


def event_of(identity: int) -> int:
    return identity * 37 % 500


def taken(
    decisions: list[Decision], labels: list[Label], order: list[int], rows_max: int = ROWS_MAX
) -> tuple[dict[int, Period], Join]:
    """All periods when decisions and labels come in this order, and each decision a second time."""
    join = Join(PERIOD_MS, DELAY_MS, rows_max)
    steps: list[Any] = [("d", n, d) for n, d in enumerate(decisions)] + [("l", 0, label) for label in labels]
    steps += [("d", n, d) for n, d in enumerate(decisions)]
    for at in sorted(range(len(steps)), key=lambda number: order[number % len(order)] if order else 0):
        kind, number, what = steps[at]
        if kind == "d":
            _, identity, score = what
            value = NO_SCORE if score == 0 else score / 100
            join.decision(event_of(identity), number, identity, identity % 7, value, identity % 2)
        else:
            identity, known, place, hit = what
            join.label(event_of(identity), event_of(identity) + known, place, identity, hit=hit)
    return {period.start_ms: period for period in join.close(END_MS)}, join


def expected(decisions: list[Decision], labels: list[Label]) -> dict[int, list[tuple[int, int, float, bool]]]:
    """The same by looking through all labels for each decision."""
    found: dict[int, list[tuple[int, int, float, bool]]] = {}
    for _, identity, score in decisions:
        event = event_of(identity)
        start = event // PERIOD_MS * PERIOD_MS
        own = [(event + known, place, hit) for i, known, place, hit in labels if i == identity]
        own = [label for label in own if label[0] <= start + PERIOD_MS + DELAY_MS]
        hit = max(own)[2] if own else False
        found.setdefault(start, []).append((event, identity % 2, -1.0 if score == 0 else score / 100, hit))
    return found


def rows_of(period: Period) -> list[tuple[int, int, float, bool]]:
    score = np.where(np.isnan(period.score), -1.0, np.round(period.score.astype(np.float64), 2))
    columns = (period.event_ms, period.answer, score, period.hit)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


@settings(max_examples=150)
@given(DECISIONS, LABELS, st.lists(st.integers(0, 99), max_size=30))
def test_any_order_and_repeats_give_the_same(
    decisions: list[Decision], labels: list[Label], order: list[int]
) -> None:
    periods, join = taken(decisions, labels, order)
    wanted = expected(decisions, labels)
    found = {start: rows_of(period) for start, period in periods.items() if len(period.score)}
    assert found == {start: sorted(rows) for start, rows in wanted.items()}
    assert all(period.end_ms == start + PERIOD_MS for start, period in periods.items())
    tally = join.tally
    assert tally.decisions == 2 * len(decisions)
    assert tally.decisions_repeated == len(decisions)
    assert tally.labels == len(labels)
    assert join.rows == (0, 0)


@given(DECISIONS, LABELS, st.integers(1, 30))
def test_no_more_is_kept_than_there_is_room_for_and_what_fell_out_is_counted(
    decisions: list[Decision], labels: list[Label], room: int
) -> None:
    periods, join = taken(decisions, labels, [], room)
    kept = sum(len(period.score) for period in periods.values()) + join.tally.decisions_repeated
    assert kept <= room
    assert kept + join.tally.decisions_left_out == join.tally.decisions
    assert sum(period.left_out for period in periods.values()) == join.tally.decisions_left_out


def test_a_period_is_over_when_its_labels_are_due_and_stays_as_it_was_told() -> None:
    join = Join(PERIOD_MS, DELAY_MS, ROWS_MAX)
    join.decision(150, 1, 1, 0, 0.5, 0)
    join.decision(199, 2, 2, 0, 0.5, 0)
    join.decision(200, 3, 3, 0, 0.5, 0)
    join.label(150, 450, 0, 1, hit=True)
    join.label(199, 451, 0, 2, hit=True)
    assert join.tally.labels_late == 1
    assert list(join.close(449)) == []
    (period,) = join.close(450)
    assert (period.start_ms, period.hit.tolist()) == (100, [True, False])
    join.decision(150, 4, 4, 0, 0.5, 0)
    join.label(150, 200, 9, 1, hit=False)
    assert (join.tally.decisions_late, join.tally.labels_late) == (1, 2)
    assert [period.start_ms for period in join.close(10_000)] == [200]


def test_a_label_of_nobodys_decision_is_counted() -> None:
    join = Join(PERIOD_MS, DELAY_MS, ROWS_MAX)
    join.label(10, 20, 0, 5, hit=True)
    join.label(10, 30, 1, 5, hit=False)
    join.decision(10, 1, 6, 0, 0.5, 0)
    (period,) = join.close(END_MS)
    assert period.hit.tolist() == [False]
    assert join.tally.labels_unmatched == 1


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 100), st.booleans()), max_size=30))
def test_the_clock_waits_for_the_slowest_partition_that_has_more(steps: list[tuple[int, int, bool]]) -> None:
    mark = Watermark()
    newest, ended = dict.fromkeys(range(3), LONG_AGO_MS), dict.fromkeys(range(3), False)
    for number in range(3):
        mark.expect(number)
    for number, event_ms, end in steps:
        if end:
            mark.ended(number)
            ended[number] = True
        else:
            mark.read(number, event_ms)
            newest[number], ended[number] = max(newest[number], event_ms), False
        waiting = [newest[n] for n in range(3) if not ended[n]]
        assert mark.caught_up == (not waiting)
        assert mark.clock_ms() == (min(waiting) if waiting else max(newest.values()))


SCORED = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=2, max_size=60)


def arrays(rows: list[tuple[bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([hit for hit, _ in rows]), np.array([score / 20 for _, score in rows])


@settings(max_examples=40)
@given(SCORED)
def test_areas_and_brier_are_scikit_learns_and_lie_in_their_intervals(rows: list[tuple[bool, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    hit, score = arrays(rows)
    auc, ap = auc_of(hit, score), ap_of(hit, score)
    assert (auc is None) == (hit.all() or not hit.any())
    assert (ap is None) == (not hit.any())
    brier = brier_of(hit, score)
    assert brier.value == pytest.approx(((score - hit) ** 2).mean())
    if auc is not None and ap is not None:
        assert auc.value == pytest.approx(metrics.roc_auc_score(hit, score))
        assert ap.value == pytest.approx(metrics.average_precision_score(hit, score))
        assert brier.value == pytest.approx(metrics.brier_score_loss(hit, score))
    for found in (auc, ap, brier):
        assert found is None or 0 <= found.low <= found.value <= found.high <= 1


@given(SCORED)
def test_the_interval_of_auc_is_delongs_by_its_definition(rows: list[tuple[bool, int]]) -> None:
    hit, score = arrays(rows)
    found = auc_of(hit, score)
    if found is None or hit.sum() < 2 or (~hit).sum() < 2:
        return
    pairs = (score[hit][:, None] > score[~hit]) + 0.5 * (score[hit][:, None] == score[~hit])
    assert found.value == pytest.approx(pairs.mean())
    spread = pairs.mean(axis=1).var(ddof=1) / hit.sum() + pairs.mean(axis=0).var(ddof=1) / (~hit).sum()
    assert found.high == pytest.approx(min(1.0, found.value + 1.96 * spread**0.5))
    assert midranks(score).sum() == len(score) * (len(score) + 1) / 2


@pytest.mark.slow
def test_intervals_hold_what_95_of_100_samples_give() -> None:
    rng = np.random.default_rng(4)

    def sample(rows: int) -> tuple[np.ndarray, np.ndarray]:
        hit = rng.random(rows) < 0.1
        return hit, np.clip(rng.beta(1 + 2 * hit, 4, rows), 0, 1)

    hit, score = sample(400_000)
    auc, ap = auc_of(hit, score), ap_of(hit[:50_000], score[:50_000])
    assert auc is not None
    assert ap is not None
    truth = auc.value, ap.value, brier_of(hit, score).value
    held = np.zeros(3)
    for _ in range(200):
        hit, score = sample(600)
        measures = auc_of(hit, score), ap_of(hit, score), brier_of(hit, score)
        held += [m is not None and m.low <= true <= m.high for m, true in zip(measures, truth, strict=True)]
    assert (held / 200 > 0.89).all(), held / 200


def test_cards_are_counted_by_day_and_calibration_by_bin() -> None:
    day = 86_400_000
    event_ms = np.array([0, 1, 2, day, day + 1], np.int64)
    key = np.array([1, 1, 2, 3, 4], np.int64)
    hit = np.array([False, True, False, True, False])
    score = np.array([0.1, 0.2, 0.9, 0.8, 0.15])
    found = cards_of(event_ms, key, hit, score, 2)
    assert found.value == 0.5
    assert (found.low, found.high) == (pytest.approx(0.150, abs=1e-3), pytest.approx(0.850, abs=1e-3))
    bins = calibration_of(hit, score)
    assert bins.reliability == (
        (pytest.approx(0.125), 0.0, 2),
        (pytest.approx(0.2), 1.0, 1),
        (pytest.approx(0.8), 1.0, 1),
        (pytest.approx(0.9), 0.0, 1),
    )
    assert bins.ece == pytest.approx((2 * 0.125 + 0.8 + 0.2 + 0.9) / 5)


def test_a_period_is_told_together_and_by_who_answered() -> None:
    rng = np.random.default_rng(1)
    rows = 3000
    hit = rng.random(rows) < 0.1
    score = (0.1 + 0.5 * hit + 0.3 * rng.random(rows)).astype(np.float32)
    score[:100] = np.nan
    answer = rng.integers(0, 2, rows)
    answer[:100] = 2
    whole = np.arange(rows)
    period = Period(0, 86_400_000, whole, whole % 500, answer, score, hit, 7)
    who = [Answerer("primary", "gbt", "1"), Answerer("rule", None, None), Answerer("expired", None, None)]
    told = list(records_of("fraud", period, who, 50, whole=False))
    assert [record.who for record in told] == [EVERYBODY, who[0], who[1]]
    assert [record.rows for record in told] == [2900, (answer == 0).sum(), (answer == 1).sum()]
    assert sum(record.hits for record in told[1:]) == told[0].hits == hit[100:].sum()
    assert (told[0].unscored, told[0].left_out, told[0].whole) == (100, 7, False)
    assert len({record.key for record in told}) == 3
    assert [decode_quality(record.encode()) for record in told] == told
    lines = [line_of(record) for record in told]
    assert lines[0].startswith("all: 2,900 rows, ")
    assert lines[0].endswith("100 without a score, 7 left out (not whole)")
    assert lines[1].startswith("primary gbt/1: ")
    assert lines[2].startswith("rule: ")


def test_a_period_without_scores_has_no_measures() -> None:
    none: np.ndarray = np.zeros(2, np.int64)
    period = Period(0, 100, none, none, none, np.full(2, np.nan, np.float32), np.zeros(2, np.bool_), 0)
    (record,) = records_of("fraud", period, [EVERYBODY], 10, whole=True)
    assert (record.rows, record.auc, record.ap, record.brier, record.ece, record.cards) == (0, *[None] * 5)
    assert line_of(record) == "all: 0 rows, 0 hits, AUC -, AP -, CP@10 -, Brier -, 2 without a score"
