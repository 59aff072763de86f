"""How well scores rank the positives, with clusters weighted: one pass a replicate of a cluster bootstrap.

With all weights 1 the numbers are those of `models.train.evaluate`; with others those of rows standing that often.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel


@kernel("void(int32[::1], boolean[::1], boolean[::1], int32[:, ::1], float64[:, ::1])")
def _areas(cluster: Any, positive: Any, last: Any, weights: Any, out: Any) -> None:
    for replicate in range(len(weights)):
        weight = weights[replicate]
        hits = misses = hits_before = misses_before = 0
        area = precision = 0.0
        for row in range(len(cluster)):
            if positive[row]:
                hits += weight[cluster[row]]
            else:
                misses += weight[cluster[row]]
            if last[row]:
                area += (misses - misses_before) * (hits + hits_before) * 0.5
                if hits > hits_before:
                    precision += (hits - hits_before) * (hits / (hits + misses))
                hits_before, misses_before = hits, misses
        whole = hits * misses
        out[replicate, 0] = area / whole if whole else np.nan
        out[replicate, 1] = precision / hits if hits else np.nan


@kernel("void(int32[::1], boolean[::1], int64[::1], int64, int32[:, ::1], float64[::1])")
def _cards(cluster: Any, positive: Any, day_start: Any, k: int, weights: Any, out: Any) -> None:
    days = len(day_start) - 1
    for replicate in range(len(weights)):
        weight = weights[replicate]
        found = np.zeros(len(weight), np.bool_)
        hits = 0
        for day in range(days):
            left = k
            for entry in range(day_start[day], day_start[day + 1]):
                who = cluster[entry]
                if found[who] or weight[who] == 0:
                    continue
                taken = min(left, weight[who])
                left -= taken
                if positive[entry]:
                    hits += taken
                    found[who] = True
                if left == 0:
                    break
        out[replicate] = hits / (k * days)


@dataclass(frozen=True)
class Ranking:
    """Rows by falling score: int32 `cluster`, bool `positive`, and `last` of those with the same score."""

    cluster: NDArray[np.int32]
    positive: NDArray[np.bool_]
    last: NDArray[np.bool_]

    @classmethod
    def of(cls, positive: NDArray[np.bool_], score: NDArray[np.float64], cluster: NDArray[np.int32]) -> "Ranking":
        """From columns of the same rows."""
        order = np.argsort(-score, kind="stable")
        return cls(
            np.ascontiguousarray(cluster[order], np.int32),
            positive[order],
            np.append(np.diff(score[order]) != 0, True),
        )

    def areas(self, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        """float64[replicates, 2]: ROC AUC and average precision, NaN where no positive or no negative was drawn."""
        out = np.empty((len(weights), 2))
        _areas(self.cluster, self.positive, self.last, np.ascontiguousarray(weights, np.int32), out)
        return out


@dataclass(frozen=True)
class Cards:
    """Each cluster's highest score of each day, by day and then by falling score.

    `day_start` is int64[days + 1]: where each day's entries begin.
    """

    cluster: NDArray[np.int32]
    positive: NDArray[np.bool_]
    day_start: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        day: NDArray[np.int64],
        positive: NDArray[np.bool_],
        score: NDArray[np.float64],
        cluster: NDArray[np.int32],
    ) -> "Cards":
        """From columns of the same rows; of equal scores the lower cluster comes first."""
        which = day * (int(cluster.max()) + 1) + cluster
        entries, where = np.unique(which, return_inverse=True)
        best = np.full(len(entries), -np.inf)
        np.maximum.at(best, where, score)
        hit = np.zeros(len(entries), np.bool_)
        hit[where[positive]] = True
        days, who = np.divmod(entries, int(cluster.max()) + 1)
        order = np.lexsort((who, -best, days))
        start = np.append(np.flatnonzero(np.diff(days[order], prepend=days[order][0] - 1)), len(order))
        return cls(np.ascontiguousarray(who[order], np.int32), hit[order], start.astype(np.int64))

    def precision(self, k: int, weights: NDArray[np.int32]) -> NDArray[np.float64]:
        """float64[replicates]: card precision@k; a cluster drawn twice is two cards."""
        out = np.empty(len(weights))
        _cards(self.cluster, self.positive, self.day_start, k, np.ascontiguousarray(weights, np.int32), out)
        return out
