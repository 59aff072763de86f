"""From scores to decisions: thresholds or classes, and the fallback where there is nothing to go by."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from pipeline.overrides import Override, Overrides
from pipeline.rows import Outcome, Rows
from pipeline.servings import EXPIRED, Servings

_SCORED, _DEGRADED, _EXPIRED = int(Outcome.SCORED), int(Outcome.DEGRADED), int(Outcome.EXPIRED)
_OUTCOME, _TIER = 0, 1


@kernel(
    "int64(int32[::1], int64, float32[:, ::1], int8[:, ::1], int64[::1], float32[::1], int32[::1], int8[::1],"
    " int8[::1], int8[::1])"
)
def _decide(
    slots: Any,
    fallback: int,
    thresholds: Any,
    ends: Any,
    served: Any,
    score: Any,
    serving: Any,
    outcome_of: Any,
    tier_of: Any,
    decision_of: Any,
) -> int:
    not_finite = 0
    for index in range(len(slots)):
        slot = slots[index]
        who = serving[slot]
        served[who] += 1
        outcome_of[slot] = ends[who, _OUTCOME]
        tier_of[slot] = ends[who, _TIER]
        if np.isfinite(score[slot]):
            decision = 0
            while decision < thresholds.shape[1] and score[slot] >= thresholds[who, decision]:
                decision += 1
            decision_of[slot] = decision
        else:
            decision_of[slot] = fallback
            not_finite += 1
    return not_finite


@kernel(
    "int64(int32[::1], int64, float32, int8[::1], int8[:, ::1], int64[::1], float32[::1], float32[:, ::1], int8[::1],"
    " int32[::1], int8[::1], int8[::1], int8[::1])"
)
def _decide_by_class(
    slots: Any,
    fallback: int,
    sure_min: float,
    decisions: Any,
    ends: Any,
    served: Any,
    score: Any,
    probabilities: Any,
    likeliest: Any,
    serving: Any,
    outcome_of: Any,
    tier_of: Any,
    decision_of: Any,
) -> int:
    not_finite = 0
    for index in range(len(slots)):
        slot = slots[index]
        who = serving[slot]
        served[who] += 1
        outcome_of[slot] = ends[who, _OUTCOME]
        tier_of[slot] = ends[who, _TIER]
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

    Who answered a row (`Rows.serving`, a number of `servings`) has its tier, its outcome and its thresholds: a score
    below the first gets decision 0, at or above the last the last. They are compared as float32, the score's own
    precision, so that a score of 0.7 reaches a threshold of 0.7. With `by_class` there are none: a row gets the
    decision of its likeliest class. `fallback` is the decision of an expired row, of one whose likeliest class is not
    sure enough or unknown, and of one whose model gave no finite number; the latter are counted in `not_finite`. An
    expired row's tier is `tiers`, the number of them. `overrides` have the last word on rows that were scored.
    """

    def __init__(
        self,
        rows: Rows,
        servings: Servings,
        fallback: int,
        by_class: ByClass | None = None,
        overrides: Sequence[Override] = (),
    ) -> None:
        limits = servings.of(1).thresholds
        if by_class is None and not 0 <= fallback <= len(limits):
            raise ValueError(f"fallback is decision {fallback}, expected 0 to {len(limits)}")
        self._rows = rows
        self._servings = servings
        self._tiers = 1 + max(serving.tier for serving in servings.all())
        self._fallback = fallback
        self._by_class = by_class and (np.array(by_class.decisions, np.int8), by_class.sure_min)
        self._overrides = Overrides(rows, overrides)
        self._served: NDArray[np.int64] = np.zeros(0, np.int64)
        self._know()
        self.not_finite = 0

    def _know(self) -> None:
        """Take in the servings that there are by now: a row of the tables for each number, none for EXPIRED."""
        every = self._servings.all()
        self._known = len(every)
        limits = [every[0].thresholds, *(serving.thresholds for serving in every)]
        ends = [(_EXPIRED, self._tiers), *((_DEGRADED if each.degraded else _SCORED, each.tier) for each in every)]
        self._thresholds = np.array(limits, np.float32).reshape(len(limits), -1)
        self._ends = np.array(ends, np.int8)
        served: NDArray[np.int64] = np.zeros(len(ends), np.int64)
        served[: len(self._served)] = self._served
        self._served = served

    def scored(self, slots: NDArray[np.int32]) -> None:
        """These rows have their score: `scored` or `degraded`, as who answered them is."""
        if self._known != len(self._servings):
            self._know()
        self._by_score(slots)
        self._overrides.apply(slots)

    def served(self) -> dict[str, int]:
        """Rows that each model version or rule has answered so far, by `tier/model/version` or `tier`."""
        totals: dict[str, int] = {}
        for serving, rows in zip(self._servings.all(), self._served[1:].tolist(), strict=False):
            name = "/".join(part for part in serving.label[:3] if part)
            totals[name] = totals.get(name, 0) + rows
        return totals

    def _by_score(self, slots: NDArray[np.int32]) -> None:
        rows = self._rows
        ended = (rows.serving, rows.outcome, rows.tier, rows.decision)
        if self._by_class is None:
            known = (self._thresholds, self._ends, self._served)
            self.not_finite += _decide(slots, self._fallback, *known, rows.score, *ended)
            return
        decisions, sure_min = self._by_class
        told = (rows.score, rows.probabilities, rows.likeliest)
        counted = (self._ends, self._served)
        self.not_finite += _decide_by_class(slots, self._fallback, sure_min, decisions, *counted, *told, *ended)

    def expired(self, slots: NDArray[np.int32]) -> None:
        """The deadline of these rows passed before they were scored."""
        self._rows.outcome[slots] = Outcome.EXPIRED
        self._rows.tier[slots] = self._tiers
        self._rows.serving[slots] = EXPIRED
        self._rows.decision[slots] = self._fallback
