"""How far a difference of quality could be chance: the paired bootstrap (Efron, 1979), rows drawn with return."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 200
Measure = Callable[[NDArray[Any]], float]
"""A quality of rows that are there `counts` times, whole numbers [rows]."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A number, and where it lies with the confidence asked for."""

    value: float
    low: float
    high: float


def average_precision_of(truth: NDArray[np.bool_], score: NDArray[np.float32] | NDArray[np.float64]) -> Measure:
    """Average precision, sorted once for all draws; tied scores are taken together. 0 without a positive."""
    order = np.argsort(-score, kind="stable")
    ranked, hits = score[order], truth[order]
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(score) - 1)

    def measure(counts: NDArray[Any]) -> float:
        drawn = counts[order]
        found, seen = np.cumsum(drawn * hits)[last], np.cumsum(drawn)[last]
        if found[-1] == 0:
            return 0.0
        precision = found / np.maximum(seen, 1)
        return float(np.sum(np.diff(found, prepend=0) * precision) / found[-1])

    return measure


def share_of(right: NDArray[np.bool_]) -> Measure:
    """The share of rows that are true: accuracy, of rows put right."""
    return lambda counts: float(counts[right].sum() / counts.sum())


def draws_of(rows: int, seed: int, draws: int = DRAWS) -> Iterator[NDArray[np.int64]]:
    """How often each of the rows is in each draw of as many."""
    random = np.random.default_rng([seed, rows])
    for _ in range(draws):
        yield np.bincount(random.integers(0, rows, rows), minlength=rows)


class Paired:
    """Draws of rows and what `before` is in each, kept to hold several others against."""

    def __init__(self, before: Measure, rows: int, seed: int = 0) -> None:
        self._once = np.ones(rows, np.int64)
        self._was = before(self._once)
        self._drawn = [(counts.astype(np.int32), before(counts)) for counts in draws_of(rows, seed)]

    def lost(self, after: Measure, confidence: float, relative: bool = False) -> Interval:
        """What `after` has less than `before`, on the same draws; `relative` to before, where that is above 0.

        With confidence 0.95 the loss is at most `high`, and as surely at least `low`: each end by itself.
        """

        def less(was: float, counts: NDArray[Any]) -> float:
            return (was - after(counts)) / (was if relative and was > 0 else 1.0)

        found = np.array([less(was, counts) for counts, was in self._drawn])
        low, high = np.quantile(found, [1 - confidence, confidence]).tolist()
        return Interval(less(self._was, self._once), low, high)
