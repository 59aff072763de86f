"""How long a run takes, in virtual time: a measured curve, and what disturbs it. Each layer wraps another.

Every random draw comes from a generator that is passed in, so a seed says all.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_DRAWS = 1024


class Service(Protocol):
    """One tier's model, as its session sees it."""

    def took_ns(self, rows: int, at_ns: int) -> int:
        """How long a run of so many rows takes that begins at `at_ns`; at least 1."""
        ...


class Curve:
    """A measured curve: the time of a run by its rows.

    Between two measured sizes the time is linear in the rows. Below the smallest it is the smallest's, as the
    fixed part of a run is not known apart; above the largest it grows with the rows, as a loop over runs of the
    largest would. With `padded` a run takes what the next measured size takes (a device that runs its buckets
    only). Nothing is assumed of the curve's shape: it need not rise.
    """

    def __init__(self, ns_by_rows: Mapping[int, float], rows_max: int, *, padded: bool = False) -> None:
        if not ns_by_rows:
            raise ValueError("a cost curve needs at least one measured batch size")
        sizes = np.array(sorted(ns_by_rows))
        times = np.array([ns_by_rows[int(size)] for size in sizes], np.float64)
        if sizes[0] < 1 or not np.isfinite(times).all() or (times <= 0).any():
            raise ValueError(f"a cost curve needs batch sizes from 1 and times above 0, found {dict(ns_by_rows)}")
        rows = np.arange(rows_max + 1)
        if padded:
            took = times[np.minimum(np.searchsorted(sizes, rows), len(sizes) - 1)]
        else:
            took = np.interp(rows, sizes, times)
        took = np.where(rows > sizes[-1], times[-1] * rows / sizes[-1], took)
        self._took_ns: list[int] = np.maximum(1, np.rint(took)).astype(np.int64).tolist()

    def took_ns(self, rows: int, at_ns: int) -> int:  # noqa: ARG002 - the same at any time
        """What was measured."""
        return self._took_ns[rows]


class Noise:
    """Another's time, multiplied by a lognormal factor of mean 1 whose logarithm has the spread `sigma`."""

    def __init__(self, inner: Service, sigma: float, rng: np.random.Generator) -> None:
        self._inner = inner
        self._factors = lognormal_factors(sigma, rng)

    def took_ns(self, rows: int, at_ns: int) -> int:
        """The inner time, noisy."""
        return max(1, int(self._inner.took_ns(rows, at_ns) * next(self._factors)))


class Drift:
    """Another's time, `factor` times as long for runs that begin in [from_ns, to_ns): a throttled CPU."""

    def __init__(self, inner: Service, factor: float, from_ns: int, to_ns: int) -> None:
        self._inner = inner
        self._factor = factor
        self._from_ns, self._to_ns = from_ns, to_ns

    def took_ns(self, rows: int, at_ns: int) -> int:
        """The inner time, slowed down while the drift lasts."""
        took_ns = self._inner.took_ns(rows, at_ns)
        return max(1, int(took_ns * self._factor)) if self._from_ns <= at_ns < self._to_ns else took_ns


class Stalls:
    """Another's work, which stands still during the windows (a pause for garbage, a frozen neighbour).

    `windows_ns` is int64[n, 2], each a beginning and an end, rising and apart: see `every` and `at_random`.
    """

    def __init__(self, inner: Service, windows_ns: NDArray[np.int64]) -> None:
        self._inner = inner
        self._starts: list[int] = windows_ns[:, 0].tolist()
        self._ends: list[int] = windows_ns[:, 1].tolist()

    def took_ns(self, rows: int, at_ns: int) -> int:
        """The inner time and what of each window falls into it."""
        done_ns = at_ns + self._inner.took_ns(rows, at_ns)
        window = bisect_right(self._ends, at_ns)
        while window < len(self._starts) and self._starts[window] < done_ns:
            done_ns += self._ends[window] - max(at_ns, self._starts[window])
            window += 1
        return done_ns - at_ns


def every(period_ns: int, length_ns: int, until_ns: int, first_ns: int = 0) -> NDArray[np.int64]:
    """Windows of `length_ns`, one a period from `first_ns` on: int64[n, 2]."""
    starts = np.arange(first_ns, until_ns, period_ns, dtype=np.int64)
    return np.stack((starts, starts + length_ns), axis=1)


def at_random(mean_gap_ns: int, mean_length_ns: int, until_ns: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Windows with exponential gaps between them and exponential lengths: int64[n, 2]."""
    count = 16 + 2 * until_ns // mean_gap_ns
    steps = rng.exponential((mean_gap_ns, mean_length_ns), (count, 2)).reshape(-1)
    edges = np.cumsum(np.maximum(1, steps)).astype(np.int64).reshape(-1, 2)
    return edges[edges[:, 0] < until_ns]


def lognormal_factors(sigma: float, rng: np.random.Generator) -> Iterator[float]:
    """Endless draws of mean 1, taken from the generator in blocks."""
    while True:
        yield from rng.lognormal(-sigma * sigma / 2, sigma, _DRAWS).tolist()
