"""What a batch costs, learned: seeded by the warm-up, updated by each run. Pure."""

from bisect import bisect_left
from collections.abc import Sequence

_SHARE_ABOVE = 0.05  # promises are kept by this share less than all
_STEP = 0.2
_DECAY = 0.1
_UNSEEDED_NS = 1_000_000


class _BucketCost:
    """A running mean and a running upper quantile of one bucket's cost."""

    def __init__(self) -> None:
        self.mean_ns = 0.0
        self.upper_ns = 0.0

    def observe(self, ns: float) -> None:
        """The quantile by stochastic approximation (Robbins and Monro, 1951), steps relative to the mean."""
        if self.mean_ns == 0.0:
            self.mean_ns = self.upper_ns = ns
            return
        self.mean_ns += _DECAY * (ns - self.mean_ns)
        step_ns = _STEP * self.mean_ns
        if ns > self.upper_ns:
            self.upper_ns = min(ns, self.upper_ns + step_ns * (1 - _SHARE_ABOVE))
        else:
            self.upper_ns = max(self.mean_ns, self.upper_ns - step_ns * _SHARE_ABOVE)


class CostModel:
    """The cost of a run by the smallest bucket that holds it; nothing is assumed of the curve's shape."""

    def __init__(self, buckets: Sequence[int]) -> None:
        self._buckets = sorted(buckets)
        self._costs = [_BucketCost() for _ in self._buckets]

    def _cost(self, rows: int) -> _BucketCost:
        return self._costs[min(bisect_left(self._buckets, rows), len(self._buckets) - 1)]

    def seed(self, bucket: int, runs_ns: Sequence[int]) -> None:
        """The warm-up's runs of a bucket."""
        for ns in runs_ns:
            self._cost(bucket).observe(ns)

    def observe(self, rows: int, ns: int) -> None:
        """A run of so many rows took so long."""
        self._cost(rows).observe(ns)

    def expected_ns(self, rows: int) -> int:
        """How long a run takes on average."""
        return int(self._cost(rows).mean_ns) or _UNSEEDED_NS

    def promised_ns(self, rows: int) -> int:
        """How long a run takes at most, 19 times of 20."""
        return int(self._cost(rows).upper_ns) or _UNSEEDED_NS
