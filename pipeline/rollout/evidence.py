"""What was seen of a candidate beside the stable version: scores and decisions by groups of keys, failures, times."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from pipeline.rollout.keys import GROUPS

STABLE, CANDIDATE = 0, 1
BINS = 32
"""Of a score's log-odds, half a unit each, from -8 to 8: rare ends are told apart as well as the middle."""


@kernel("int64(float32[::1], int8[::1], int64[::1], int64[:, ::1], int64[:, ::1])")
def _tally(score: Any, decision: Any, group: Any, bins: Any, labels: Any) -> int:
    not_finite, last = 0, bins.shape[1] - 1
    for index in range(len(score)):
        chance = np.float64(score[index])
        if not np.isfinite(chance):
            not_finite += 1
            continue
        place = 0
        if chance >= 1.0:
            place = last
        elif chance > 0.0:
            place = int(np.floor(2.0 * np.log(chance / (1.0 - chance)))) + bins.shape[1] // 2
            place = min(max(place, 0), last)
        bins[group[index], place] += 1
        labels[group[index], decision[index]] += 1
    return not_finite


class Evidence:
    """Tallies of both sides, `STABLE` and `CANDIDATE`, over one step of a rollout. Grows by telling alone.

    `bins` is int64[2, GROUPS, BINS], rows by score; `labels` int64[2, GROUPS, labels], rows by decision.
    """

    def __init__(self, labels: int) -> None:
        self.bins: NDArray[np.int64] = np.zeros((2, GROUPS, BINS), np.int64)
        self.labels: NDArray[np.int64] = np.zeros((2, GROUPS, labels), np.int64)
        self.not_finite = 0
        """Scores of the candidate that were no finite number."""
        self.errors = 0
        """Runs of the candidate's session that raised."""
        self.runs = 0
        self.slow_runs = 0
        """Runs of the candidate, and those that took longer than the rule allows."""
        self._rows = [0, 0]

    @property
    def candidate_rows(self) -> int:
        """Rows that the candidate was asked about, and gave a number or none for."""
        return self._rows[CANDIDATE]

    @property
    def stable_rows(self) -> int:
        """Rows of the stable version at the same time."""
        return self._rows[STABLE]

    def told(
        self, side: int, score: NDArray[np.float32], decision: NDArray[np.int8], group: NDArray[np.int64]
    ) -> None:
        """Rows of one side: their scores, decisions and groups, contiguous arrays of one length."""
        not_finite = _tally(score, decision, group, self.bins[side], self.labels[side])
        self._rows[side] += len(score)
        if side == CANDIDATE:
            self.not_finite += not_finite

    def failed(self, rows: int, *, not_finite: int = 0, errors: int = 0) -> None:
        """The candidate gave nothing of use for so many rows."""
        self._rows[CANDIDATE] += rows
        self.not_finite += not_finite
        self.errors += errors

    def ran(self, *, slow: bool) -> None:
        """The candidate's session has run once."""
        self.runs += 1
        self.slow_runs += slow
