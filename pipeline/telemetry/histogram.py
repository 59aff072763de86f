"""Log-linear histograms: the one place that says what a bucket is.

Bucket b < 128 holds the value b alone. Above, each doubling is cut into 64 buckets of equal width: bucket
64 * o + m, with o >= 1 and 64 <= m < 128, holds the values from m * 2**o to below (m + 1) * 2**o. A bucket is
at most 1/64 of its values wide and is reported by its middle, so the relative error is below 0.8 %.
Histograms of the same thing are merged by adding their buckets.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel

BUCKETS = 64 * 58
"""Enough for any int64."""
_SUB_BITS = 6
_SUB = 1 << _SUB_BITS


@kernel("int64(int64)")
def bucket_of(value: int) -> int:
    """The bucket of a value; a negative one, which only disagreeing clocks make, counts as 0."""
    if value < 2 * _SUB:
        return max(value, 0)
    octave = 0
    for step in (32, 16, 8, 4, 2, 1):
        if (value >> octave) >= 2 * _SUB << (step - 1):
            octave += step
    return octave * _SUB + (value >> octave)


def bounds_of(bucket: int) -> tuple[int, int]:
    """The values of a bucket: from the first to below the second."""
    if not 0 <= bucket < BUCKETS:
        raise ValueError(f"bucket {bucket} does not exist, expected 0 to {BUCKETS - 1}")
    octave = max(bucket // _SUB - 1, 0)
    low = (bucket - octave * _SUB) << octave
    return low, low + (1 << octave)


def middle_of(bucket: int) -> float:
    """What stands for every value of a bucket."""
    low, high = bounds_of(bucket)
    return (low + high - 1) / 2


@kernel("void(int64[::1], int64[::1])")
def _record(values: Any, counts: Any) -> None:
    for index in range(len(values)):
        counts[bucket_of(values[index])] += 1


def sparse_of(counts: NDArray[np.int64]) -> dict[int, int]:
    """The buckets of int64[BUCKETS] that hold something, ascending: the form that is published."""
    return {int(bucket): int(counts[bucket]) for bucket in np.flatnonzero(counts)}


class Histogram:
    """Counts of int64 values by bucket; `counts` is int64[BUCKETS], which kernels may add to directly."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(BUCKETS, np.int64)

    def record(self, values: NDArray[np.int64]) -> None:
        """Count each value."""
        _record(np.ascontiguousarray(values, np.int64), self.counts)

    def add(self, other: "Histogram") -> None:
        """Merge another of the same thing into this one."""
        self.counts += other.counts

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def quantile(self, fraction: float) -> float | None:
        """The value that `fraction` of all are at or below, within 1 %; None when nothing was counted."""
        if not 0 <= fraction <= 1:
            raise ValueError(f"quantile {fraction} asked for, expected 0 to 1")
        total = self.total
        if not total:
            return None
        rank = max(1, int(np.ceil(fraction * total)))
        return middle_of(int(np.searchsorted(np.cumsum(self.counts), rank)))

    def sparse(self) -> dict[int, int]:
        """The form that is published: bucket -> count, ascending, empty ones left out."""
        return sparse_of(self.counts)

    @classmethod
    def of(cls, sparse: Mapping[int, int]) -> "Histogram":
        """The histogram of a published form. Raises ValueError for a bucket that does not exist."""
        made = cls()
        for bucket, count in sparse.items():
            bounds_of(bucket)
            made.counts[bucket] += count
        return made

    def clear(self) -> None:
        """Forget everything."""
        self.counts[:] = 0
