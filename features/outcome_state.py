"""Outcome state: what is known of an entity only because its rows were scored. It advances for scored rows alone.

So it lies outside the law that features are the same live, replayed and restored: rows that expired, or whose pixels
could not be read, leave no trace in it, and scores come in the order in which batches end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.block_state import BlockState
from features.columns import Columns
from features.entity_kernel import DONE
from features.memory_bound import MemoryBound
from features.outcome_kernel import (
    AT_LEAST,
    COLUMN,
    DRIFT,
    FIELD,
    FIRST_WORD,
    HALF_LIFE_MS,
    OF_SCORE,
    OP,
    RATE_ROWS,
    RATE_SPAN,
    SIZE,
    WIDTH_MS,
    WORD,
    apply_outcomes,
    words_of,
)
from features.outcome_spec import SCORE, OutcomeFeature, OutcomeSpec
from features.paned_kernel import Ring
from features.schema import Schema

PANES = 60
"""Of a span: the window ends with the row and begins up to a 60th of its length late."""


@dataclass(frozen=True)
class OutcomePlan:
    """The declaration `declared` as the tables that the kernel reads; `names` in the order of their columns."""

    declared: str
    key_column: int
    keys_expected: int
    names: tuple[str, ...]
    features: NDArray[np.int64]
    parameters: NDArray[np.float64]
    block_words: int

    @property
    def name(self) -> str:
        """What checkpoints and errors call it; windows of an entity may have the same name."""
        return f"outcome_state.{self.declared}"


def plan_outcomes(
    name: str, spec: OutcomeSpec, schema: Schema, measures: Sequence[str], first_column: int = 0
) -> OutcomePlan:
    """Tables for one declaration of a checked configuration.

    `measures` are what may be watched beside the score, in the order of their columns; the features go to columns
    from `first_column` on. Raises ValueError that names the feature, what it asks for and what there is.
    """
    table = np.zeros((len(spec.features), COLUMN + 1), np.int64)
    parameters = np.zeros((len(spec.features), HALF_LIFE_MS + 1))
    word = FIRST_WORD
    for row, (feature, declared) in enumerate(spec.features.items()):
        if declared.field not in (SCORE, *measures):
            raise ValueError(
                f"outcome_state.{name}.features.{feature}.field: {declared.field!r} is not known of a scored row; "
                f"known are {', '.join((SCORE, *measures))}"
            )
        op, size, width_ms = _shape(declared)
        field = OF_SCORE if declared.field == SCORE else measures.index(declared.field)
        table[row, [OP, WORD, SIZE, WIDTH_MS, FIELD, COLUMN]] = op, word, size, width_ms, field, first_column + row
        parameters[row, AT_LEAST] = np.inf if declared.at_least is None else declared.at_least
        parameters[row, HALF_LIFE_MS] = declared.half_life or 1
        word += words_of(op, size)
    key_column = schema.index(spec.key)
    return OutcomePlan(name, key_column, spec.keys_expected, tuple(spec.features), table, parameters, word)


def _shape(declared: OutcomeFeature) -> tuple[int, int, int]:
    """What it is, its rows or panes, and how long a pane is."""
    if declared.aggregate == "drift":
        return DRIFT, declared.rows or 1, 0
    if declared.rows is not None:
        return RATE_ROWS, declared.rows, 0
    return RATE_SPAN, PANES, max(1, -(-(declared.span or 1) // PANES))


class OutcomeState(BlockState):
    """What one declaration keeps of one partition's keys."""

    def __init__(self, plan: OutcomePlan, bound: MemoryBound) -> None:
        ring = Ring(0, 0, 0, 0, FIRST_WORD, plan.block_words)
        super().__init__(plan.name, plan.key_column, plan.keys_expected, ring, bound)
        self.plan = plan

    def advance(
        self,
        columns: Columns,
        rows: NDArray[np.int32],
        partition: NDArray[np.int32],
        offset: NDArray[np.int64],
        event_time_ms: NDArray[np.int64],
        score: NDArray[np.float32],
        measures: NDArray[np.float64],
        out: NDArray[np.float64],
    ) -> None:
        """Take scored rows of one partition in, in the order of their offsets, and write what they say to out[row].

        `partition` and `offset` have a cell for each of `rows`; the other arrays are indexed by row. Rows that a
        checkpoint's keys have taken already are only asked for. Raises StateFullError when the bound is reached.
        """
        seen = self.seen(columns, rows, partition, offset)
        update = np.ones(len(rows), np.bool_) if seen is None else ~seen
        first = 0
        while first != DONE:
            addresses = (self._arena.address, self._arena.meta_address, self.plan.block_words)
            apply_outcomes(
                columns.value,
                columns.length,
                rows,
                update,
                np.array([self.plan.key_column, first, *addresses], np.int64),
                self._keys.table,
                self._keys.keys,
                self._keys.lengths,
                self._keys.text,
                self._keys.meta,
                self.plan.features,
                self.plan.parameters,
                event_time_ms,
                score,
                measures,
                out,
                self._counts,
            )
            first = self._grown(self._arena)
