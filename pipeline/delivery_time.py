"""How long a decision takes from hand-over to delivery, learned: what deadlines leave room for. Pure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from pipeline.batch import Delivery
from pipeline.telemetry.histogram import BUCKETS, bucket_of, middle_of

PART_NS = 250_000_000
PARTS = 8
"""A stall is forgotten after so many parts: it says nothing about the decisions of the next minute."""
PROMISED_SHARE = 0.999
SEED_NS = 5_000_000
REFRESH_NS = 20_000_000


@kernel("int64(int64[::1], int64[::1], int64, int64[::1])")
def _count(slots: Any, handed_ns: Any, now_ns: int, counts: Any) -> int:
    for index in range(len(slots)):
        counts[bucket_of((now_ns - handed_ns[slots[index]]) // 1000)] += 1
    return len(slots)


class DeliveryTime:
    """Two quantiles over the decisions delivered in the last two seconds, in ns: `learned`.

    `typical_ns` is the median: a row that has less time left than this is lost. `promised_ns` is what all but one in
    a thousand kept, at most `promised_ns_max` while the median is below it, so that one stall of the broker does
    not declare every row lost. Both are 5 ms until something was delivered and stay while nothing is.
    """

    def __init__(self, promised_ns_max: int) -> None:
        self._promised_ns_max = promised_ns_max
        self._parts: NDArray[np.int64] = np.zeros((PARTS, BUCKETS), np.int64)
        self._part = 0
        self._refresh_ns = 0
        self.learned = Delivery(SEED_NS, min(SEED_NS, promised_ns_max))

    def observe(self, slots: NDArray[np.int64], handed_ns: NDArray[np.int64], now_ns: int) -> None:
        """The decisions of these slots, handed over at `handed_ns[slot]`, are delivered now."""
        part = now_ns // PART_NS
        for stale in range(max(self._part + 1, part - PARTS + 1), part + 1):
            self._parts[stale % PARTS] = 0
        self._part = max(self._part, part)
        _count(slots, handed_ns, now_ns, self._parts[self._part % PARTS])
        if now_ns >= self._refresh_ns:
            self._refresh_ns = now_ns + REFRESH_NS
            self._learn()

    def _learn(self) -> None:
        ranks = np.cumsum(self._parts.sum(axis=0))
        total = int(ranks[-1])
        if total:
            middle, upper = np.searchsorted(ranks, (-(-total // 2), int(np.ceil(PROMISED_SHARE * total))))
            typical_ns = int(middle_of(int(middle)) * 1000)
            upper_ns = int(middle_of(int(upper)) * 1000)
            self.learned = Delivery(typical_ns, min(upper_ns, max(self._promised_ns_max, typical_ns)))
