"""Copies of rows that another version is to score, too: a bounded store, emptied when there is time."""

import numpy as np
from numpy.typing import NDArray

from pipeline.rows import Rows
from pipeline.tier import ModelTier


class ShadowRows:
    """Up to `rows_max` copies, last in first out of them first. Belongs to the loop's thread.

    A copy has a row's features, the score and decision that it was given, and its group of keys.
    """

    def __init__(self, features: int, rows_max: int) -> None:
        self._features: NDArray[np.float32] = np.zeros((rows_max, features), np.float32)
        self._score: NDArray[np.float32] = np.zeros(rows_max, np.float32)
        self._decision: NDArray[np.int8] = np.zeros(rows_max, np.int8)
        self._group: NDArray[np.int64] = np.zeros(rows_max, np.int64)
        self._out: NDArray[np.float32] = np.zeros(rows_max, np.float32)
        self.waiting = 0

    def room(self) -> int:
        """How many more there is place for."""
        return len(self._score) - self.waiting

    def copy(self, rows: Rows, slots: NDArray[np.int32], group: NDArray[np.int64]) -> None:
        """Take these rows in; there must be room."""
        first, stop = self.waiting, self.waiting + len(slots)
        np.take(rows.features32, slots, axis=0, out=self._features[first:stop], mode="clip")
        self._score[first:stop] = rows.score[slots]
        self._decision[first:stop] = rows.decision[slots]
        self._group[first:stop] = group
        self.waiting = stop

    def rows_within(self, tier: ModelTier, limit_ns: int) -> int:
        """How many of those that wait the model is promised to score within the time: a bucket, or all, or none."""
        fitting = [size for size in tier.cost.buckets if tier.cost.promised_ns(size) <= limit_ns]
        return min(max(fitting, default=0), self.waiting)

    def score(self, tier: ModelTier, count: int) -> "Pairs":
        """Have the last `count` scored by the model; they wait no more. Raises what its session raises."""
        first, stop = self.waiting - count, self.waiting
        self.waiting = first
        out = self._out[:count]
        tier.session.run(self._features[first:stop], out)
        return Pairs(self._score[first:stop], self._decision[first:stop], self._group[first:stop], out)


class Pairs:
    """What two versions gave for the same rows; views that hold until the next copy is taken."""

    def __init__(
        self,
        given: NDArray[np.float32],
        decision: NDArray[np.int8],
        group: NDArray[np.int64],
        other: NDArray[np.float32],
    ) -> None:
        self.given = given
        self.decision = decision
        self.group = group
        self.other = other

    def other_decision(self, thresholds: NDArray[np.float32]) -> NDArray[np.int8]:
        """What the other would have decided by these thresholds; of a score that is no number, the lowest."""
        reached: NDArray[np.bool_] = self.other[:, None] >= thresholds[None, :]
        return np.asarray(reached.sum(axis=1), np.int8)
