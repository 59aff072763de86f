"""How sure a difference is: intervals at 95 %, and the word that each one earns. Pure; seeds are arguments."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
CELLS_A_BLOCK = 4_000_000
"""Of the draws that are held at once."""
_STUDENT = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448,
    2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484,
    2.0452, 2.0423,
)  # fmt: skip
"""The 0.975 quantile of Student's t at 1, 2, ... degrees of freedom."""
RESAMPLES = 2000

Statistic = Callable[[NDArray[np.int64]], float]
Direction = Literal["higher", "lower", ""]
"""Which way is better; neither where it is a matter of taste."""


@dataclass(frozen=True, slots=True)
class Interval:
    """What was found, and between which values the truth is, in 95 of 100 such measurements.

    `low` and `high` are NaN where the data does not say.
    """

    value: float
    low: float
    high: float

    def mapped(self, through: Callable[[float], float]) -> "Interval":
        """The same of a rising function of the value."""
        return Interval(through(self.value), through(self.low), through(self.high))


def verdict(difference: Interval, better: Direction) -> str:
    """The word for B - A (or for the logarithm of B / A): only an interval without zero is a difference."""
    if not (np.isfinite(difference.low) and np.isfinite(difference.high)):
        return "cannot be told"
    if difference.low <= 0 <= difference.high:
        return "no difference seen"
    more = difference.low > 0
    if not better:
        return "more" if more else "fewer"
    return "better" if more == (better == "higher") else "worse"


def over_rounds(statistic: Statistic, rounds: int, seed: int = 1) -> Interval:
    """The interval of a statistic of pooled rounds: what holds both a jackknife and a bootstrap of whole rounds.

    `statistic` is given int64[rounds], how often to pool each: it may be a ratio of sums or a quantile of merged
    histograms, so that nothing that cannot be averaged is. The jackknife (Tukey 1958, with Student's quantile) is
    right for few rounds and smooth statistics, and blind where a quantile hangs on some rounds of many; the bootstrap
    (expanded percentiles, Hesterberg, The American Statistician 69, 2015) sees these.
    """
    whole = statistic(np.ones(rounds, np.int64))
    if rounds < 2:
        return Interval(whole, np.nan, np.nan)
    student, resampled = _jackknife(statistic, rounds, whole), _resampled(statistic, rounds, seed)
    return Interval(whole, min(student.low, resampled[0]), max(student.high, resampled[1]))


def _jackknife(statistic: Statistic, rounds: int, whole: float) -> Interval:
    without = np.array(
        [statistic(np.delete(np.eye(rounds, dtype=np.int64), one, 0).sum(axis=0)) for one in range(rounds)]
    )
    pseudo = rounds * whole - (rounds - 1) * without
    width = student_quantile(rounds - 1) * float(np.std(pseudo, ddof=1) / np.sqrt(rounds))
    return Interval(whole, whole - width, whole + width)


def _resampled(statistic: Statistic, rounds: int, seed: int) -> tuple[float, float]:
    """Percentiles so far out that for the mean of few rounds the interval is as wide as Student's."""
    found = np.array(
        [statistic(counts.astype(np.int64)) for block in draws(rounds, RESAMPLES, seed) for counts in block]
    )
    outside = math.erfc(math.sqrt(rounds / (rounds - 1)) * student_quantile(rounds - 1) / math.sqrt(2)) / 2
    told = found[np.isfinite(found)]
    if len(told) < len(found) / 2:
        return np.nan, np.nan
    low, high = np.quantile(told, [outside, 1 - outside])
    return float(low), float(high)


def student_quantile(freedom: int) -> float:
    """The 0.975 quantile of Student's t; above 30 degrees of freedom too large by at most 4 %."""
    return _STUDENT[min(freedom, len(_STUDENT)) - 1]


def draws(clusters: int, replicates: int, seed: int) -> Iterator[NDArray[np.int32]]:
    """int32[some, clusters], `replicates` rows in all: how often each cluster is drawn, with replacement."""
    random = np.random.default_rng(seed)
    block = max(1, min(replicates, CELLS_A_BLOCK // max(clusters, 1)))
    for first in range(0, replicates, block):
        rows = min(block, replicates - first)
        drawn = random.integers(0, clusters, (rows, clusters)) + np.arange(rows)[:, None] * clusters
        counts = np.bincount(drawn.ravel(), minlength=rows * clusters)
        yield counts.reshape(rows, clusters).astype(np.int32)


def percentiles(value: float, replicates: NDArray[np.float64]) -> Interval:
    """The bootstrap's percentile interval (Efron 1979); NaN replicates, which drew no positive, do not count."""
    told = replicates[np.isfinite(replicates)]
    if not len(told) or len(told) < len(replicates) / 2:
        return Interval(value, np.nan, np.nan)
    low, high = np.quantile(told, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(low), float(high))
