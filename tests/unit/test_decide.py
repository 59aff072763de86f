"""Scores to decisions."""

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.decide import ByClass, Decider
from pipeline.rows import Outcome, Rows
from pipeline.servings import EXPIRED, Serving, Servings, TierLabel, own_serving

APPROVE, REVIEW, DECLINE = 0, 1, 2


def slots(*numbers: int) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    return np.array(numbers, np.int32)


def servings(*thresholds: Sequence[float]) -> Servings:
    labels = [TierLabel(name, name, "1", "CPU") for name in ("primary", "lite")]
    return Servings.of_ladder(list(zip(labels, thresholds, strict=False)))


def decided(score: float, thresholds: list[float], tier: int = 0) -> tuple[int, int, int]:
    rows = Rows(4, 1)
    rows.score[2], rows.serving[2] = score, own_serving(tier)
    Decider(rows, servings(thresholds, [limit / 2 for limit in thresholds]), REVIEW).scored(slots(2))
    return int(rows.outcome[2]), int(rows.tier[2]), int(rows.decision[2])


@pytest.mark.parametrize(
    ("score", "decision"),
    [(0.0, APPROVE), (0.2999, APPROVE), (0.3, REVIEW), (0.6999, REVIEW), (0.7, DECLINE), (1.0, DECLINE)],
)
def test_a_score_at_a_threshold_has_reached_it(score: float, decision: int) -> None:
    assert decided(score, [0.3, 0.7]) == (Outcome.SCORED, 0, decision)


def test_a_lower_tier_degrades_and_has_thresholds_of_its_own() -> None:
    assert decided(0.2, [0.3, 0.7], tier=1) == (Outcome.DEGRADED, 1, REVIEW)


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_no_finite_score_is_counted_and_falls_back(score: float) -> None:
    rows = Rows(2, 1)
    rows.score[1], rows.serving[:] = score, own_serving(0)
    decider = Decider(rows, servings([0.3, 0.7]), REVIEW)
    decider.scored(slots(0, 1))
    assert rows.decision.tolist() == [APPROVE, REVIEW]
    assert decider.not_finite == 1


def test_expired_rows_get_the_fallback_and_no_tier() -> None:
    rows = Rows(4, 1)
    rows.serving[:] = own_serving(1)  # what an earlier user of the slot left behind
    Decider(rows, servings([0.3, 0.7], [0.3, 0.7]), DECLINE).expired(slots(1, 3))
    assert rows.outcome.tolist() == [Outcome.PENDING, Outcome.EXPIRED, Outcome.PENDING, Outcome.EXPIRED]
    assert rows.decision[[1, 3]].tolist() == [DECLINE, DECLINE]
    assert (rows.tier[1], rows.serving[1]) == (2, EXPIRED)


def test_who_is_added_later_decides_by_its_own_thresholds_in_the_tier_it_serves() -> None:
    rows, who = Rows(2, 1), servings([0.3, 0.7], [0.3, 0.7])
    decider = Decider(rows, who, REVIEW)
    rows.score[:], rows.serving[:] = 0.5, own_serving(0)
    decider.scored(slots(0))
    canary = who.add(Serving(TierLabel("primary", "m", "2", "CPU"), 0, False, (0.1, 0.4)))
    rows.serving[1] = canary
    decider.scored(slots(0, 1))
    assert canary == 3
    assert rows.decision.tolist() == [REVIEW, DECLINE]
    assert rows.outcome.tolist() == [Outcome.SCORED, Outcome.SCORED]
    assert rows.tier.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("thresholds", "fallback", "words"),
    [
        ([[0.8, 0.3]], 0, "ascending"),
        ([[0.3], [0.3, 0.8]], 0, "tier lite has 2 thresholds, tier primary has 1"),
        ([[0.3, 0.8]], 3, "expected 0 to 2"),
    ],
)
def test_thresholds_that_cannot_decide_are_refused(thresholds: list[list[float]], fallback: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Decider(Rows(1, 1), servings(*thresholds), fallback)


@pytest.mark.parametrize(
    ("probabilities", "likeliest", "score", "decision"),
    [
        ((0.9, 0.1), 0, 0.9, DECLINE),
        ((0.2, 0.8), 1, 0.8, APPROVE),
        ((0.21, 0.79), 1, 0.79, REVIEW),
        ((0.9, 0.1), -1, 0.5, REVIEW),
        ((np.nan, 0.1), 0, np.nan, REVIEW),
    ],
)
def test_the_likeliest_class_decides_where_it_is_sure(
    probabilities: tuple[float, float], likeliest: int, score: float, decision: int
) -> None:
    rows = Rows(3, 0, classes=2)
    rows.probabilities[1], rows.likeliest[1], rows.score[1] = probabilities, likeliest, score
    rows.serving[1] = own_serving(1)
    decider = Decider(rows, servings((), ()), REVIEW, ByClass([DECLINE, APPROVE], 0.8))
    decider.scored(slots(1))
    assert (rows.outcome[1], rows.tier[1], rows.decision[1]) == (Outcome.DEGRADED, 1, decision)
    assert decider.not_finite == (not np.isfinite(score))
