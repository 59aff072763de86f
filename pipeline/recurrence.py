"""Recurrent models in the flow: a row's score and the next state of its entity, an entity's rows one after the other.

Everything here runs in the loop's thread, as all feature state does.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from features.model_state import ModelStatePlan
from features.model_state_kernel import (
    DISORDERED,
    NOT_FINITE,
    TAKEN,
    gather_state,
    mark_untaken,
    scatter_state,
    waves_of,
)
from features.state import FeatureState
from pipeline.image_rows import Told
from pipeline.rows import Rows
from pipeline.tier import ModelTier, StepSession, Tier


class Recurrence:
    """Steps one model, in memory of its own, at most `rows_max` rows at a time.

    Rows of one key run one after the other, in waves: a batch whose keys are all different is one run.
    """

    def __init__(self, plan: ModelStatePlan, session: StepSession, features: int, rows_max: int) -> None:
        self.plan = plan
        self._session = session
        self._rows_max = rows_max
        self._input = np.zeros((rows_max, features), np.float32)
        self._score = np.zeros(rows_max, np.float32)
        self._state = np.zeros((rows_max, plan.size), np.float32)
        self._following = np.zeros((rows_max, plan.size), np.float32)
        self._order = np.zeros(rows_max, np.int32)
        self._starts = np.zeros(rows_max + 1, np.int32)
        self._wave = np.zeros(rows_max, np.int32)
        self._table = np.zeros(1 << (2 * rows_max - 1).bit_length(), np.int32)
        self._counts = np.zeros(3, np.int64)
        self.waves = 0
        """Runs of the model so far."""

    def score(
        self,
        features32: NDArray[np.float32],
        rows: NDArray[np.int32],
        blocks: NDArray[np.int64],
        sequence: NDArray[np.int64],
        score: NDArray[np.float32],
    ) -> None:
        """Write score[row] for each of `rows`, and take the rows into the state of their `blocks`.

        `blocks` and `sequence` have a cell for each of `rows`; those of a key come in the order of their sequence. A
        row that is not above what its block has taken, or whose next state is no finite numbers, is scored and
        leaves no trace.
        """
        for first in range(0, len(rows), self._rows_max):
            part = slice(first, first + self._rows_max)
            self._batch(features32, rows[part], blocks[part], sequence[part], score)

    def _batch(
        self,
        features32: NDArray[np.float32],
        rows: NDArray[np.int32],
        blocks: NDArray[np.int64],
        sequence: NDArray[np.int64],
        score: NDArray[np.float32],
    ) -> None:
        order = self._order[: len(rows)]
        waves = waves_of(blocks, order, self._starts, self._wave, self._table)
        self.waves += waves
        for wave in range(waves):
            chosen = order[self._starts[wave] : self._starts[wave + 1]]
            at, n = rows if waves == 1 else rows[chosen], len(chosen)
            inputs, state, following = self._input[:n], self._state[:n], self._following[:n]
            np.take(features32, at, axis=0, out=inputs, mode="clip")
            gather_state(blocks, chosen, state)
            self._session.step(inputs, state, self._score[:n], following)
            scatter_state(blocks, chosen, sequence, following, self._counts)
            score[at] = self._score[:n]

    def counts(self) -> dict[str, int]:
        """What became of rows so far, by the tier's name."""
        names = ((TAKEN, "taken"), (DISORDERED, "disordered"), (NOT_FINITE, "not_finite"))
        return {f"model_state_{name}/{self.plan.tier}": int(self._counts[number]) for number, name in names}


def recurrences_of(tiers: Sequence[Tier], features: int, rows_max: int) -> dict[int, Recurrence]:
    """The recurrent ones among the tiers, by number."""
    return {
        number: Recurrence(tier.recurrent.plan, tier.recurrent.session, features, rows_max)
        for number, tier in enumerate(tiers)
        if isinstance(tier, ModelTier) and tier.recurrent is not None
    }


class RecurrentRows:
    """A recurrent tier's way to score batches.

    Of a key the rows of a batch run in the order of their offsets; those of a replay, which has one slice for all
    partitions, in the order that it merged them to.
    """

    def __init__(
        self, rows: Rows, columns: Columns, state: FeatureState, recurrence: Recurrence, *, merged: bool
    ) -> None:
        self._rows = rows
        self._columns = columns
        self._state = state
        self._recurrence = recurrence
        self._merged = merged
        self._next = 0
        self._saw = np.full(rows.capacity_rows, -1, np.int64)
        self.missed = 0

    def decided(self, slots: NDArray[np.int32]) -> None:
        """These rows have their outcome, whoever gave it: count those that the model never saw as `missed`."""
        self.missed += int((self._saw[slots] != self._rows.offset[slots]).sum())

    def score(self, slots: NDArray[np.int32]) -> Told:
        """Score them, in place. Raises StateFullError when the memory bound is reached."""
        rows, name = self._rows, self._recurrence.plan.name
        self._saw[slots] = rows.offset[slots]
        blocks = np.empty(len(slots), np.int64)
        if self._merged:
            ordered, sequence = slots, np.arange(self._next, self._next + len(slots))
            self._next += len(slots)
            self._state.models(0)[name].find(self._columns, ordered, blocks)
        else:
            ordered = slots[np.lexsort((rows.offset[slots], rows.partition[slots]))]
            sequence, partitions = rows.offset[ordered], rows.partition[ordered]
            bounds = [0, *(np.flatnonzero(np.diff(partitions)) + 1).tolist(), len(ordered)]
            for first, stop in pairwise(bounds):
                state = self._state.models(int(partitions[first]))[name]
                state.find(self._columns, ordered[first:stop], blocks[first:stop])
        self._recurrence.score(rows.features32, ordered, blocks, sequence, rows.score)
        return Told(slots, [], len(slots), 0)


class Rescorer:
    """Scores rows that were decided before and are read again, for what models remember; nothing is decided.

    `out64` and `out32`, float64 and float32[rows_max, features], are where their features go before.
    """

    def __init__(
        self, state: FeatureState, recurrences: Mapping[int, Recurrence], features: int, rows_max: int
    ) -> None:
        self._state = state
        self._recurrences = tuple(recurrences.values())
        self.out64: NDArray[np.float64] = np.zeros((rows_max, features), np.float64)
        self.out32: NDArray[np.float32] = np.zeros((rows_max, features), np.float32)
        self._score = np.zeros(rows_max, np.float32)

    def take(self, columns: Columns, rows: NDArray[np.int32], slice_id: int, offset: NDArray[np.int64]) -> None:
        """Take rows of one slice in, their offsets rising, whose features are written; not those it has already."""
        for recurrence in self._recurrences:
            blocks, untaken = np.empty(len(rows), np.int64), np.empty(len(rows), np.bool_)
            self._state.models(slice_id)[recurrence.plan.name].find(columns, rows, blocks)
            mark_untaken(blocks, offset, untaken)
            recurrence.score(self.out32, rows[untaken], blocks[untaken], offset[untaken], self._score)
