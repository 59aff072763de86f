"""From scores to decisions: thresholds or classes, and the fallback where there is nothing to go by."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from pipeline.rows import Outcome, Rows

_SCORED, _DEGRADED = int(Outcome.SCORED), int(Outcome.DEGRADED)


@kernel("int64(int32[::1], int64, int64, float32[::1], float32[::1], int8[::1], int8[::1], int8[::1])")
def _decide(
    slots: Any,
    tier: int,
    fallback: int,
    thresholds: Any,
    score: Any,
    outcome_of: Any,
    tier_of: Any,
    decision_of: Any,
) -> int:
    not_finite = 0
    for index in range(len(slots)):
        slot = slots[index]
        outcome_of[slot] = _SCORED if tier == 0 else _DEGRADED
        tier_of[slot] = tier
        if np.isfinite(score[slot]):
            decision = 0
            while decision < len(thresholds) and score[slot] >= thresholds[decision]:
                decision += 1
            decision_of[slot] = decision
        else:
            decision_of[slot] = fallback
            not_finite += 1
    return not_finite


@kernel(
    "int64(int32[::1], int64, int64, float32, int8[::1], float32[::1], float32[:, ::1], int8[::1], int8[::1],"
    " int8[::1], int8[::1])"
)
def _decide_by_class(
    slots: Any,
    tier: int,
    fallback: int,
    sure_min: float,
    decisions: Any,
    score: Any,
    probabilities: Any,
    likeliest: Any,
    outcome_of: Any,
    tier_of: Any,
    decision_of: Any,
) -> int:
    not_finite = 0
    for index in range(len(slots)):
        slot = slots[index]
        outcome_of[slot] = _SCORED if tier == 0 else _DEGRADED
        tier_of[slot] = tier
        decision_of[slot] = fallback
        best = likeliest[slot]
        if not np.isfinite(score[slot]):
            not_finite += 1
        elif best >= 0 and probabilities[slot, best] >= sure_min:
            decision_of[slot] = decisions[best]
    return not_finite


class ByClass(NamedTuple):
    """The decision for each class, and how probable the likeliest must be for it."""

    decisions: Sequence[int]
    sure_min: float


class Decider:
    """Writes outcome, tier and decision of rows; a decision is an index into the configured labels.

    `thresholds[tier]` are that tier's, ascending, one fewer than there are decisions: a score below the first
    gets decision 0, at or above the last the last. They are compared as float32, the score's own precision,
    so that a score of 0.7 reaches a threshold of 0.7. With `by_class` there are none: a row gets the decision
    of its likeliest class. `fallback` is the decision of an expired row, of one whose likeliest class is not
    sure enough or unknown, and of one whose model gave no finite number; the latter are counted in `not_finite`.
    """

    def __init__(
        self, rows: Rows, thresholds: Sequence[Sequence[float]], fallback: int, by_class: ByClass | None = None
    ) -> None:
        for tier, limits in enumerate(thresholds):
            if any(low > high for low, high in pairwise(limits)):
                raise ValueError(f"thresholds of tier {tier} are {list(limits)}, expected in ascending order")
            if len(limits) != len(thresholds[0]):
                raise ValueError(
                    f"tier {tier} has {len(limits)} thresholds, tier 0 has {len(thresholds[0])}: "
                    f"all tiers decide between the same labels"
                )
            if by_class is None and not 0 <= fallback <= len(limits):
                raise ValueError(f"fallback is decision {fallback}, expected 0 to {len(limits)}")
        self._rows = rows
        self._thresholds = [np.array(limits, np.float32) for limits in thresholds]
        self._fallback = fallback
        self._by_class = by_class and (np.array(by_class.decisions, np.int8), by_class.sure_min)
        self.not_finite = 0

    def scored(self, slots: NDArray[np.int32], tier: int) -> None:
        """These rows have their score from this tier: `scored` by the first, `degraded` by any other."""
        rows = self._rows
        if self._by_class is not None:
            decisions, sure_min = self._by_class
            self.not_finite += _decide_by_class(
                slots,
                tier,
                self._fallback,
                sure_min,
                decisions,
                rows.score,
                rows.probabilities,
                rows.likeliest,
                rows.outcome,
                rows.tier,
                rows.decision,
            )
            return
        self.not_finite += _decide(
            slots,
            tier,
            self._fallback,
            self._thresholds[tier],
            rows.score,
            rows.outcome,
            rows.tier,
            rows.decision,
        )

    def expired(self, slots: NDArray[np.int32]) -> None:
        """The deadline of these rows passed before they were scored."""
        self._rows.outcome[slots] = Outcome.EXPIRED
        self._rows.tier[slots] = len(self._thresholds)
        self._rows.decision[slots] = self._fallback
