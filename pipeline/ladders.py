"""Several ladders of tiers over the same sessions: a cascade's two stages, and those that routes lead to. Pure."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.batch import AT_ONCE, NO_ROWS, Batch, Delivery, Plan
from pipeline.batcher import Batcher

KEEP = -1
"""The last tier of a second stage, in place of a rule: a row that ends there keeps the score that it has."""


class Ladders:
    """A batcher for each ladder; all of them share `running`, the batches in flight on the same sessions.

    `first` are the ladders that rows enter, ladder n being batcher n; `by_route` has the ladder of each route, that
    of rows without one (`route[slot]` 0) first. `second` is the further stage of a cascade, which rows enter by
    `pass_on` once they have a score: its last tier is KEEP, and whatever it cannot serve in time is `kept`, never
    expired. Sessions go to the ladder whose first row is due first, and to the second stage only when none of the
    others takes them, for rows that have `behind_ns` to spare: what those need that are read while it runs. So under
    overload the second stage is shed before rows of the first are.

    What `Batcher` promises holds of each ladder by itself: which of two ladders' rows are the more valuable is not
    weighed. Every offered slot leaves exactly once, in a batch, as expired, or by `drop`; so does every one passed
    on, in a batch, as kept, or by `drop`.
    """

    def __init__(
        self,
        first: Sequence[Batcher],
        second: Batcher | None,
        running: list[Batch],
        by_route: Sequence[int],
        route: NDArray[np.int8],
        deadline_ns: NDArray[np.int64],
        behind_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        self._first = tuple(first)
        self._second = second
        self._all = (*first, *([second] if second is not None else []))
        self._running = running
        self._by_route = np.array(by_route, np.int8)
        self._route = route
        self._deadline_ns = deadline_ns
        self._behind_ns = behind_ns

    @property
    def pending_rows(self) -> int:
        """Rows offered or passed on that have not left yet."""
        return sum(batcher.pending_rows for batcher in self._all)

    @property
    def running(self) -> int:
        """Batches that were dispatched and have not been completed."""
        return len(self._running)

    @property
    def overloaded(self) -> bool:
        """Whether any ladder cannot serve all of its rows in its best tier."""
        return any(batcher.overloaded for batcher in self._all)

    def waiting(self) -> NDArray[np.int32]:
        """The rows that may still be scored and have no score yet; those of one ladder by rising deadline."""
        parts = [batcher.waiting() for batcher in self._first]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def offer(self, slots: NDArray[np.int32]) -> None:
        """Take rows in, each into its route's ladder. The array is copied."""
        if len(self._first) == 1:
            self._first[0].offer(slots)
            return
        ladder = self._by_route[self._route[slots]]
        for number, batcher in enumerate(self._first):
            mine = slots[ladder == number]
            if len(mine):
                batcher.offer(mine)

    def pass_on(self, slots: NDArray[np.int32]) -> None:
        """Take rows that have a score into the second stage. The array is copied."""
        assert self._second is not None
        self._second.offer(slots)

    def give_up(self, slots: NDArray[np.int32]) -> None:
        """Take rows in that are past saving already: the next `poll` says they are expired."""
        self._first[0].give_up(slots)

    def drop(self, keep: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Remove the pending rows whose slot is False in `keep` (indexed by slot), and return them."""
        return np.concatenate([batcher.drop(keep) for batcher in self._all])

    def complete(self, batch: Batch) -> None:
        """The batch has been run; its session is idle."""
        self._first[0].complete(batch)

    def poll(self, now_ns: int, delivery: Delivery = AT_ONCE) -> Plan:
        """Take out what must leave now: at most one batch an idle session, and all that cannot be saved."""
        plans = [batcher.poll(now_ns, delivery) for batcher in self._by_due()]
        batches = [batch for plan in plans for batch in plan.batches]
        expired = [plan.expired for plan in plans if len(plan.expired)]
        kept: list[NDArray[np.int32]] = []
        if self._second is not None and self._second.pending_rows:
            behind_ns = self._behind_ns()
            spared = Delivery(delivery.typical_ns + behind_ns, delivery.promised_ns + behind_ns)
            plan = self._second.poll(now_ns, spared)
            batches += [batch for batch in plan.batches if batch.tier != KEEP]
            kept = [plan.expired, *(batch.slots for batch in plan.batches if batch.tier == KEEP)]
        return Plan(batches, _joined(expired), _joined(kept))

    def _by_due(self) -> Sequence[Batcher]:
        """The first ladders that have rows, that with the earliest deadline first."""
        if len(self._first) == 1:
            return self._first
        busy = [batcher for batcher in self._first if batcher.pending_rows]
        return sorted(busy, key=self._first_due_ns)

    def _first_due_ns(self, batcher: Batcher) -> int:
        waiting = batcher.waiting()
        return int(self._deadline_ns[waiting[0]]) if len(waiting) else 0

    def lost_before_ns(self, now_ns: int, delivery: Delivery) -> int:
        """A row due before this is past saving in whichever ladder it were."""
        return min(batcher.lost_before_ns(now_ns, delivery) for batcher in self._first)

    def next_wake_ns(self) -> int:
        """When `poll` has something to say even if nobody offers and nothing completes, or NEVER_NS."""
        return min(batcher.next_wake_ns() for batcher in self._all)


def _joined(parts: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    return parts[0] if len(parts) == 1 else np.concatenate((NO_ROWS, *parts))
