"""Outcome state in the flow: told of each batch that was scored, before its rows are decided."""

from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from features.state import FeatureState
from pipeline.recurrence import RecurrentRows
from pipeline.rows import Rows


class OutcomeWatch:
    """Brings outcome state forward, and writes what it says to `rows.outcomes`.

    `tiers`: those whose scores count, which a rule's do not. `slice_of` says which slice a partition's state is in.
    Rows that end without such a score leave no trace: `missed` counts them. Models with state, `remembering`, have
    taken in by then what they were asked to score; they are told of each row that is decided.
    """

    def __init__(
        self,
        rows: Rows,
        columns: Columns,
        state: FeatureState,
        tiers: Collection[int],
        slice_of: Callable[[int], int],
        remembering: Collection[RecurrentRows] = (),
    ) -> None:
        self._rows = rows
        self._columns = columns
        self._state = state
        self._tiers = frozenset(tiers)
        self._slice_of = slice_of
        self.missed = 0
        self._remembering = tuple(remembering)

    def scored(self, slots: NDArray[np.int32], tier: int) -> None:
        """These rows have their score from this tier. Raises StateFullError when the memory bound is reached."""
        self._decided(slots)
        if tier not in self._tiers:
            self.missed += len(slots)
            return
        if not self._state.has_outcomes:
            return
        rows = self._rows
        partitions = rows.partition[slots]
        for partition in np.unique(partitions).tolist():
            own = slots[partitions == partition]
            own = own[np.argsort(rows.offset[own])]
            place = (rows.partition[own], rows.offset[own])
            for state in self._state.outcomes(self._slice_of(partition)).values():
                state.advance(
                    self._columns, own, *place, rows.event_time_ms, rows.score, rows.measures, rows.outcomes
                )

    def expired(self, slots: NDArray[np.int32]) -> None:
        """These rows were not scored."""
        self.missed += len(slots)
        self._decided(slots)

    def _decided(self, slots: NDArray[np.int32]) -> None:
        for model in self._remembering:
            model.decided(slots)
