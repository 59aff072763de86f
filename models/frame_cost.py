"""What a batch of frames costs: the session, known from the warm-up, and decoding, known from the first runs."""

from bisect import bisect_left
from collections.abc import Sequence
from statistics import median

from models.cost import CostModel

FIRST_RUNS = 8
"""So many tell what decoding adds, by their median: one may have met a stall, and the first is a cold one."""


class FrameCost(CostModel):
    """A cost model whose seeds lack what each frame adds, since nobody knows how large frames are before they come.

    Were the first runs learned as they are, being ten times as long as promised would count as noise for hundreds of
    runs to come, and no frame of a large camera would be promised anything.
    """

    def __init__(self, buckets: Sequence[int], quantile: float = 0.99, *, padded: bool = False) -> None:
        super().__init__(buckets, quantile, padded=padded)
        self._alone_ns: dict[int, float] = {}
        self._added_ns: list[float] = []

    def seed(self, bucket: int, runs_ns: Sequence[int]) -> None:
        """The warm-up's runs of a bucket, of the session alone."""
        super().seed(bucket, runs_ns)
        if runs_ns:
            self._alone_ns[bucket] = median(runs_ns)

    def observe(self, rows: int, ns: int) -> None:
        """A run of so many rows took so long, decoding included."""
        if self._alone_ns and len(self._added_ns) < FIRST_RUNS:
            self._added_ns.append(max(0.0, (ns - self._session_ns(rows)) / rows))
            added_ns = median(self._added_ns)
            for bucket, alone_ns in self._alone_ns.items():
                super().seed(bucket, [round(alone_ns + added_ns * bucket)])
        super().observe(rows, ns)

    def _session_ns(self, rows: int) -> float:
        """About what the session takes, in proportion to the nearest larger bucket that was warmed."""
        buckets = sorted(self._alone_ns)
        bucket = buckets[min(bisect_left(buckets, rows), len(buckets) - 1)]
        return self._alone_ns[bucket] * rows / bucket
