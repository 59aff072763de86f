"""How long a decision takes from the end of its run to its delivery, learned: what deadlines leave room for. Pure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from pipeline.batch import Delivery
from pipeline.telemetry.histogram import BUCKETS, bucket_of, middle_of

PART_NS = 250_000_000
TYPICAL_PARTS, PROMISED_PARTS = 8, 40
"""The median follows at once; what is promised remembers a broker's stalls, which come every few seconds."""
PROMISED_SHARE = 0.999
SEED_NS = 5_000_000
REFRESH_NS = 20_000_000
_SCORED_WEIGHT = 16
"""Of a scored decision: under overload most are expired, and theirs is not the time that is planned with."""


@kernel("int64(int64[::1], int64[::1], int64[::1], int64, int64[::1], int64[::1])")
def _count(slots: Any, dispatch_ns: Any, score_ns: Any, now_ns: int, part: Any, whole: Any) -> int:
    for index in range(len(slots)):
        slot = slots[index]
        bucket = bucket_of((now_ns - dispatch_ns[slot] - score_ns[slot]) // 1000)
        weight = _SCORED_WEIGHT if score_ns[slot] > 0 else 1
        part[bucket] += weight
        whole[bucket] += weight
    return len(slots)


class DeliveryTime:
    """Two quantiles over the decisions delivered last, in ns: `learned`. Scored ones count more than others.

    `typical_ns` is the median of two seconds: a row that has less time left than this is lost. `promised_ns` is what
    all but one in a thousand of the last ten seconds kept, at most `promised_ns_max` while the median is below it, so
    that one stall of the broker does not declare every row lost. Both are 5 ms until something was delivered and stay
    while nothing is.
    """

    def __init__(self, promised_ns_max: int) -> None:
        self._promised_ns_max = promised_ns_max
        self._parts: NDArray[np.int64] = np.zeros((PROMISED_PARTS, BUCKETS), np.int64)
        self._all: NDArray[np.int64] = np.zeros(BUCKETS, np.int64)
        self._part = 0
        self._refresh_ns = 0
        self.learned = Delivery(SEED_NS, min(SEED_NS, promised_ns_max))

    def observe(
        self, slots: NDArray[np.int64], dispatch_ns: NDArray[np.int64], score_ns: NDArray[np.int64], now_ns: int
    ) -> None:
        """The decisions of these slots are delivered now.

        Their runs began at `dispatch_ns[slot]` and took `score_ns[slot]`, 0 where no session was needed.
        """
        part = now_ns // PART_NS
        for stale in range(max(self._part + 1, part - PROMISED_PARTS + 1), part + 1):
            self._all -= self._parts[stale % PROMISED_PARTS]
            self._parts[stale % PROMISED_PARTS] = 0
        self._part = max(self._part, part)
        _count(slots, dispatch_ns, score_ns, now_ns, self._parts[self._part % PROMISED_PARTS], self._all)
        if now_ns >= self._refresh_ns:
            self._refresh_ns = now_ns + REFRESH_NS
            self._learn()

    def _learn(self) -> None:
        latest = [(self._part - back) % PROMISED_PARTS for back in range(TYPICAL_PARTS)]
        typical_ns = _quantile_ns(self._parts[latest].sum(axis=0), 0.5)
        upper_ns = _quantile_ns(self._all, PROMISED_SHARE)
        self.learned = Delivery(typical_ns, min(upper_ns, max(self._promised_ns_max, typical_ns)))


def _quantile_ns(counts: NDArray[np.int64], share: float) -> int:
    ranks = np.cumsum(counts)
    return int(middle_of(int(np.searchsorted(ranks, np.ceil(share * ranks[-1])))) * 1000)
