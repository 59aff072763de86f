"""Which rows run next, in which tier, and which can no longer make it. Pure: time comes as an argument."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

NEVER_NS = 2**62


class TierCost(Protocol):
    """What the batcher asks of a tier's cost model."""

    def promised_ns(self, rows: int) -> int:
        """How long a run of so many rows takes, as an upper quantile."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows to be scored together. `slots` is the receiver's to keep."""

    tier: int
    slots: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Plan:
    """What `poll` decided: batches for the sessions that are idle, and rows past saving."""

    batches: list[Batch]
    expired: NDArray[np.int32]


_NO_ROWS = np.empty(0, np.int32)


class Batcher:
    """Earliest deadline first over all pending rows; an idle session never waits for company.

    `deadline_ns` is the rows' own array: entries of offered slots must not change until they are dispatched.
    `tiers` are ordered best first. With `deadlines` off (replay) nothing is ever degraded or expired and
    rows run in the order offered. Every offered slot leaves exactly once: in a batch, in `expired`, or by
    `drop`.
    """

    def __init__(
        self,
        deadline_ns: NDArray[np.int64],
        tiers: Sequence[TierCost],
        rows_max: int,
        *,
        deadlines: bool = True,
    ) -> None:
        self._deadline_ns = deadline_ns
        self._tiers = tiers
        self._rows_max = rows_max
        self._deadlines = deadlines
        self._pending: NDArray[np.int32] = _NO_ROWS
        self._sorted = True

    @property
    def pending_rows(self) -> int:
        """Rows offered that have not left yet."""
        return len(self._pending)

    def offer(self, slots: NDArray[np.int32]) -> None:
        """Take rows in. The array is copied."""
        if len(slots):
            self._pending = np.concatenate((self._pending, slots))
            self._sorted = False

    def drop(self, keep: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Remove the pending rows whose slot is False in `keep` (indexed by slot), and return them."""
        kept = keep[self._pending]
        dropped = self._pending[~kept]
        self._pending = self._pending[kept]
        return dropped

    def next_wake_ns(self) -> int:
        """When `poll` has something to say even if nobody offers: the earliest deadline, or NEVER_NS."""
        if not len(self._pending) or not self._deadlines:
            return NEVER_NS
        self._sort()
        return int(self._deadline_ns[self._pending[0]])

    def poll(self, now_ns: int, idle_sessions: int, delivery_ns: int = 0, delivery_promised_ns: int = 0) -> Plan:
        """Take out what must leave now: at most one batch an idle session, and all that cannot be saved.

        A deadline has to leave room for the time from hand-over to delivery: the usual one, `delivery_ns`, while
        every row finds a place in the next batches, since a doubtful row then takes nobody's; the promised one,
        an upper quantile, while rows compete.
        """
        if not len(self._pending):
            return Plan([], _NO_ROWS)
        self._sort()
        if len(self._pending) > idle_sessions * self._rows_max:
            delivery_ns = max(delivery_ns, delivery_promised_ns)
        expired = self._take(self._count_before(now_ns + delivery_ns, self._cheapest_ns()))
        batches: list[Batch] = []
        while len(batches) < idle_sessions and len(self._pending):
            batches.append(self._next_batch(now_ns + delivery_ns))
        return Plan(batches, expired)

    def _sort(self) -> None:
        if self._sorted or not self._deadlines:
            return
        order = np.argsort(self._deadline_ns[self._pending], kind="stable")
        self._pending = self._pending[order]
        self._sorted = True

    def _cheapest_ns(self) -> int:
        return min(tier.promised_ns(1) for tier in self._tiers)

    def _count_before(self, ready_ns: int, cost_ns: int) -> int:
        """How many of the pending, earliest first, would be late after `cost_ns` more."""
        if not self._deadlines:
            return 0
        return int(np.searchsorted(self._deadline_ns[self._pending], ready_ns + cost_ns, side="left"))

    def _take(self, rows: int) -> NDArray[np.int32]:
        taken, self._pending = self._pending[:rows], self._pending[rows:]
        return taken

    def _next_batch(self, ready_ns: int) -> Batch:
        """The best tier that the most urgent row can still make, with as many rows as that tier can serve."""
        rows_max = min(self._rows_max, len(self._pending))
        if not self._deadlines:
            return Batch(0, self._take(rows_max))
        slack_ns = int(self._deadline_ns[self._pending[0]]) - ready_ns
        for number, tier in enumerate(self._tiers):
            rows = rows_max
            while rows > 1 and tier.promised_ns(rows) > slack_ns:
                rows //= 2
            if tier.promised_ns(rows) <= slack_ns:
                return Batch(number, self._take(self._rows_of_tier(number, rows, ready_ns)))
        return Batch(len(self._tiers) - 1, self._take(1))

    def _rows_of_tier(self, number: int, rows: int, ready_ns: int) -> int:
        """Stop before the first row that a better tier could still serve alone."""
        for better in self._tiers[:number]:
            rows = min(rows, max(1, self._count_before(ready_ns, better.promised_ns(1))))
        return rows
