"""What others do in the batcher's place: one at a time, a fixed size with a timeout, first come first served.

Each has the batcher's methods, so that the same loop, simulated or on Kafka, drives it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.batch import NEVER_NS, NO_ROWS, Batch, Delivery, Plan, TierCost

FIXED_ROWS = 32
TIMEOUT_NS = 10_000_000


class FirstCome:
    """First come, first served, all that waits at once up to the largest bucket; nothing ever expires."""

    def __init__(self, deadline_ns: NDArray[np.int64], tiers: Sequence[TierCost | None], rows_max: int) -> None:
        assert tiers[0] is not None
        self.deadline_ns, self.cost, self.rows_max = deadline_ns, tiers[0], rows_max
        self.waiting: NDArray[np.int32] = NO_ROWS
        self.since_ns: NDArray[np.int64] = np.empty(0, np.int64)
        self._fresh: list[NDArray[np.int32]] = []
        self._busy = False

    @property
    def pending_rows(self) -> int:
        return len(self.waiting) + sum(map(len, self._fresh))

    def offer(self, slots: NDArray[np.int32]) -> None:
        self._fresh.append(slots.copy())

    def give_up(self, slots: NDArray[np.int32]) -> None:
        self.offer(slots)

    def drop(self, keep: NDArray[np.bool_]) -> NDArray[np.int32]:
        self._settle(0)
        kept = keep[self.waiting]
        dropped, self.waiting, self.since_ns = self.waiting[~kept], self.waiting[kept], self.since_ns[kept]
        return dropped

    def complete(self, _batch: Batch) -> None:
        self._busy = False

    def lost_before_ns(self, _now_ns: int, _delivery: Delivery) -> int:
        return -NEVER_NS

    def next_wake_ns(self) -> int:
        return NEVER_NS

    def poll(self, now_ns: int, delivery: Delivery) -> Plan:
        self._settle(now_ns)
        if self._busy:
            return Plan([], NO_ROWS)
        expired = self.take(self.late_rows(now_ns, delivery))
        rows = min(len(self.waiting), self.batch_rows(now_ns, delivery))
        if not rows:
            return Plan([], expired)
        self._busy = True
        return Plan([Batch(0, self.take(rows))], expired)

    def late_rows(self, _now_ns: int, _delivery: Delivery) -> int:
        """How many of the first are given up."""
        return 0

    def batch_rows(self, _now_ns: int, _delivery: Delivery) -> int:
        """How many to run now, at most as many as wait."""
        return self.rows_max

    def take(self, rows: int) -> NDArray[np.int32]:
        taken, self.waiting, self.since_ns = self.waiting[:rows], self.waiting[rows:], self.since_ns[rows:]
        return taken

    def _settle(self, now_ns: int) -> None:
        for slots in self._fresh:
            self.waiting = np.concatenate((self.waiting, slots))
            self.since_ns = np.concatenate((self.since_ns, np.full(len(slots), now_ns)))
        self._fresh.clear()


class OneByOne(FirstCome):
    """No batching."""

    def batch_rows(self, _now_ns: int, _delivery: Delivery) -> int:
        return 1


class FixedSize(FirstCome):
    """The usual dynamic batching: a full batch, or what is there when the first has waited long enough."""

    def batch_rows(self, now_ns: int, _delivery: Delivery) -> int:
        if len(self.waiting) >= FIXED_ROWS:
            return FIXED_ROWS
        waited = len(self.waiting) and now_ns - int(self.since_ns[0]) >= TIMEOUT_NS
        return len(self.waiting) if waited else 0

    def next_wake_ns(self) -> int:
        return int(self.since_ns[0]) + TIMEOUT_NS if len(self.since_ns) else NEVER_NS


class FirstComeWithCosts(FirstCome):
    """First come, first served, with our cost model: what cannot make it is given up, batches fit the first row."""

    def late_rows(self, now_ns: int, delivery: Delivery) -> int:
        late = self.deadline_ns[self.waiting] < now_ns + delivery.promised_ns + self.cost.promised_ns(1)
        return int(np.argmin(np.append(late, False)))

    def batch_rows(self, now_ns: int, delivery: Delivery) -> int:
        rows = min(len(self.waiting), self.rows_max)
        if rows:
            slack_ns = int(self.deadline_ns[self.waiting[0]]) - now_ns - delivery.promised_ns
            while rows > 1 and self.cost.promised_ns(rows) > slack_ns:
                rows //= 2
        return rows


RIVALS = {
    "no batching": OneByOne,
    "fixed size, timeout": FixedSize,
    "first come, cost model": FirstComeWithCosts,
    "unlimited queue": FirstCome,
}
OURS = "headrace"
WAYS = (OURS, *RIVALS)
