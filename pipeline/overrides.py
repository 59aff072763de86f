"""Decisions that something known of a row overrules, whatever its score: a dirty camera, missing frames."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from pipeline.rows import Rows

SOURCE, COLUMN, ABOVE, DECISION = range(4)
FEATURES, MEASURES, OUTCOMES = range(3)


class Place(NamedTuple):
    """Where `Rows` keeps a number: which of its arrays, and which column."""

    source: int
    column: int


class Override(NamedTuple):
    """A row whose number lies above the limit (or below it, where not `above`) gets the decision, and the reason."""

    place: Place
    limit: float
    above: bool
    decision: int


@kernel(
    "void(int32[::1], int64[:, ::1], float64[::1], float64[:, ::1], float64[:, ::1], float64[:, ::1], int8[::1],"
    " float32[:, ::1])"
)
def _overrule(
    slots: Any,
    rules: Any,
    limits: Any,
    features64: Any,
    measures: Any,
    outcomes: Any,
    decision_of: Any,
    reasons: Any,
) -> None:
    for index in range(len(slots)):
        slot, chosen = slots[index], -1
        for rule in range(len(rules)):
            source, column = rules[rule, SOURCE], rules[rule, COLUMN]
            if source == FEATURES:
                number = features64[slot, column]
            elif source == MEASURES:
                number = measures[slot, column]
            else:
                number = outcomes[slot, column]
            holds = number > limits[rule] if rules[rule, ABOVE] else number < limits[rule]
            reasons[slot, rule] = np.float32(number) if holds else np.float32(np.nan)
            if holds and chosen < 0:
                chosen = rules[rule, DECISION]
        if chosen >= 0:
            decision_of[slot] = chosen


class Overrides:
    """Overrules the decisions of rows that have one. Of several rules that hold, the first decides; all are reasons.

    A row's reason is the number that the rule looked at, in the rule's own column of `Rows.reasons`. A number that is
    not known (NaN) overrules nothing.
    """

    def __init__(self, rows: Rows, rules: Sequence[Override]) -> None:
        self._rows = rows
        self._table = np.array([(*rule.place, rule.above, rule.decision) for rule in rules], np.int64).reshape(
            -1, DECISION + 1
        )
        self._limits = np.array([rule.limit for rule in rules], np.float64)

    def apply(self, slots: NDArray[np.int32]) -> None:
        """Look at rows that were decided by their score."""
        if len(self._table):
            rows = self._rows
            numbers = (rows.features64, rows.measures, rows.outcomes)
            _overrule(slots, self._table, self._limits, *numbers, rows.decision, rows.reasons)
