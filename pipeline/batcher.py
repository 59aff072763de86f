"""Which rows run next, in which tier, and which can no longer make it. Pure: time comes as an argument."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.admission import LEVELS, admit, levels_of
from pipeline.batch import AT_ONCE, NEVER_NS, NO_ROWS, Batch, Delivery, Ladder, Plan, TierCost
from pipeline.batch_size import best_size, head_rows
from pipeline.pending import Pending

HORIZON_ROWS = 4096
"""So many rows, by deadline, are weighed against each other; those behind them are not urgent."""
CALM = 1.25
"""Overload is over when the rows would be served in time though every run took so much longer."""
PROBE_NS = 100_000_000
"""How long a tier may seem too slow for any row before a batch is risked to see whether it still is."""
WAKE_NS = 5_000_000
"""How long before the last moment something is done that can wait till then: what a turn of the loop may take."""
Objective = Literal["latency", "cost"]


class Batcher:
    """Earliest deadline first while all can be served; when not, the least valuable rows lose the better tier.

    `deadline_ns` and `priority` are the rows' own arrays: entries of offered slots must not change until they are
    dispatched. `tiers` are ordered best first; the last may be None: one that needs no session (a rule). At most
    `sessions` batches that need one are in flight: each is told back by `complete`. `buckets` are the sizes that are
    weighed for the best rate; the last is the largest batch.

    Objective `latency`: an idle session never waits for company. `cost`: it waits until a batch of the least cost a
    row is full, or the first deadline forces it. With `deadlines` off (replay) nothing is ever degraded or expired
    and rows run in the order offered. Every offered slot leaves exactly once: in a batch, in `expired`, or by `drop`.

    Batchers that feed the same sessions share `running`; each names its batches by its own `ladder`.
    """

    def __init__(
        self,
        deadline_ns: NDArray[np.int64],
        priority: NDArray[np.float64],
        tiers: Sequence[TierCost | None],
        buckets: Sequence[int],
        *,
        sessions: int = 1,
        objective: Objective = "latency",
        deadlines: bool = True,
        ladder: Ladder | None = None,
        running: list[Batch] | None = None,
    ) -> None:
        self._ladder = ladder or Ladder(0, tuple(range(len(tiers))))
        self._pending = Pending(deadline_ns, ordered=deadlines)
        self._priority = priority
        self._level: NDArray[np.int64] = np.zeros(len(priority), np.int64)
        self._scored = [tier for tier in tiers if tier is not None]
        self._rule = len(tiers) - 1 if tiers[-1] is None else None
        self._buckets = tuple(buckets)
        self._sizes = self._buckets if self._buckets[0] == 1 else (1, *self._buckets)
        self._sessions = sessions
        self._objective = objective
        self._deadlines = deadlines
        self._delivery = AT_ONCE
        self._running = [] if running is None else running
        self._lower_ran = False
        self._unserved: list[NDArray[np.int32]] = []
        self._given_up: list[NDArray[np.int32]] = []
        self._ran_ns: list[int] = []
        self._top: NDArray[np.int64] = np.zeros(LEVELS, np.int64)
        self._horizon = max(HORIZON_ROWS, self._buckets[-1])
        self._below: NDArray[np.int64] = np.zeros(self._horizon, np.int64)
        self.overloaded = False

    @property
    def pending_rows(self) -> int:
        """Rows offered that have not left yet."""
        return len(self._pending) + sum(map(len, self._given_up))

    @property
    def running(self) -> int:
        """Batches that were dispatched and have not been completed."""
        return len(self._running)

    def waiting(self) -> NDArray[np.int32]:
        """The rows that may still be scored, earliest deadline first; a view that holds until the next call."""
        self._pending.settle()
        return self._pending.slots

    def offer(self, slots: NDArray[np.int32]) -> None:
        """Take rows in. The array is copied."""
        self._level[slots] = levels_of(self._priority[slots])
        self._pending.add(slots)

    def give_up(self, slots: NDArray[np.int32]) -> None:
        """Take rows in that are past saving already: the next `poll` says they are expired."""
        if len(slots):
            self._given_up.append(slots.copy())

    def drop(self, keep: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Remove the pending rows whose slot is False in `keep` (indexed by slot), and return them."""
        given_up = self._take_given_up()
        self.give_up(given_up[keep[given_up]])
        return np.concatenate((self._pending.drop(keep), given_up[~keep[given_up]]))

    def _take_given_up(self) -> NDArray[np.int32]:
        slots = np.concatenate((NO_ROWS, *self._given_up))
        self._given_up.clear()
        return slots

    def complete(self, batch: Batch) -> None:
        """The batch has been run; its session is idle. A batch of a rule needs no such word."""
        self._running[:] = [other for other in self._running if other is not batch]

    def poll(self, now_ns: int, delivery: Delivery = AT_ONCE) -> Plan:
        """Take out what must leave now: at most one batch an idle session, and all that cannot be saved."""
        self._pending.settle()
        self._delivery = delivery
        self._ran_ns = self._ran_ns or [now_ns] * len(self._scored)
        given_up = self._take_given_up()
        if not len(self._pending):
            return Plan([], given_up)
        if not self._deadlines:
            return Plan(self._in_order(), given_up)
        lost = self._pending.take_first(self._pending.before(self.lost_before_ns(now_ns, delivery)))
        lost = np.concatenate((given_up, lost))
        batches: list[Batch] = self._probes(now_ns)
        self._unserved = [self._take_unservable(now_ns)]
        while len(self._pending) and len(self._running) < self._sessions:
            batch = self._next(now_ns)
            if batch is None:
                break
            batches.append(self._started(batch, now_ns))
        if len(self._running) == self._sessions and self._rule is not None:
            self._unserved.append(self._take_unservable(now_ns + WAKE_NS))
        rest = np.concatenate(self._unserved)
        if self._rule is None:
            return Plan(batches, np.concatenate((lost, rest)))
        return Plan([*batches, self._batch(self._rule, rest)] if len(rest) else batches, lost)

    def lost_before_ns(self, now_ns: int, delivery: Delivery) -> int:
        """A row due before this is past saving: no tier, usual delivery included, can answer it in time.

        A tier that has not run for a while may be quicker than it is known to be: then a row is not lost yet.
        """
        if not self._deadlines:
            return -NEVER_NS
        certain = self._rule is None and now_ns - min(self._ran_ns, default=now_ns) < PROBE_NS
        return now_ns + delivery.typical_ns + (self._cheapest_ns() if certain else 0)

    def _batch(self, tier: int, slots: NDArray[np.int32]) -> Batch:
        return Batch(self._ladder.tiers[tier], slots, self._ladder.number)

    def _started(self, batch: Batch, now_ns: int) -> Batch:
        self._running.append(batch)
        self._ran_ns[self._ladder.tiers.index(batch.tier)] = now_ns
        return batch

    def _probes(self, now_ns: int) -> list[Batch]:
        """Rows for each tier that seems too slow for any and has not run for a while: else it is never learned.

        They are those that it is expected to serve, or else the one with the most time left; they may come late.
        """
        probes: list[Batch] = []
        for number, tier in enumerate(self._scored):
            if not len(self._pending) or len(self._running) == self._sessions:
                break
            due_ns, ready_ns = self._pending.due_ns, now_ns + self._delivery.typical_ns
            if now_ns - self._ran_ns[number] >= PROBE_NS and tier.promised_ns(1) > due_ns[-1] - ready_ns:
                rows, first = best_size(self._sizes, tier.expected_ns, tier, due_ns, ready_ns)
                first = first if rows else len(due_ns) - 1
                places = np.arange(first, first + max(1, rows))
                probes.append(self._started(self._batch(number, self._pending.take_at(places)), now_ns))
        return probes

    def next_wake_ns(self) -> int:
        """When `poll` has something to say even if nobody offers and nothing completes, or NEVER_NS."""
        self._pending.settle()
        if not len(self._pending) or not self._deadlines:
            return NEVER_NS
        needed_ns = self._cheapest_ns() + (WAKE_NS if self._rule is not None else 0)
        if self._objective == "cost" and len(self._running) < self._sessions:
            needed_ns = self._scored[0].promised_ns(self._cheapest_rows()) + WAKE_NS
        return int(self._pending.due_ns[0]) - self._room_ns() - needed_ns

    def _cheapest_ns(self) -> int:
        """One row on the quickest tier: as promised above a rule, else as expected, since hope costs nothing."""
        if self._rule is not None:
            return min(tier.promised_ns(1) for tier in self._scored)
        return min(tier.expected_ns(1) for tier in self._scored)

    def _room_ns(self) -> int:
        """A doubtful row takes nobody's place while all are served: then the usual delivery time will do."""
        return self._delivery.promised_ns if self.overloaded else self._delivery.typical_ns

    def _take_unservable(self, free_ns: int) -> NDArray[np.int32]:
        """Rows that no session can serve in time, were one idle at `free_ns`."""
        return self._pending.take_first(self._pending.before(free_ns + self._room_ns() + self._cheapest_ns()))

    def _next(self, now_ns: int) -> Batch | None:
        """What an idle session runs now; None if it may wait for company."""
        rows, best = len(self._pending), self._scored[0]
        if rows <= self._buckets[-1]:
            slack_ns = int(self._pending.due_ns[0]) - now_ns - self._room_ns()
            took_ns = best.promised_ns(rows)
            if took_ns * (CALM if self.overloaded else 1.0) <= slack_ns:
                self.overloaded = False
                if self._objective == "cost" and self._can_wait(rows, slack_ns):
                    return None
                return self._batch(0, self._pending.take_first(rows))
        return self._weighed(now_ns)

    def _can_wait(self, rows: int, slack_ns: int) -> bool:
        """Whether more rows may still make the batch cheaper a row, and the first deadline lets them."""
        cheapest = self._cheapest_rows()
        return rows < cheapest and slack_ns > self._scored[0].promised_ns(cheapest) + WAKE_NS

    def _cheapest_rows(self) -> int:
        return min(self._buckets, key=lambda size: self._scored[0].expected_ns(size) / size)

    def _weighed(self, now_ns: int) -> Batch | None:
        """Not all fit into one run in time: the first rows if the rest can follow, else those worth most."""
        ready_ns, due_ns, best = now_ns + self._room_ns(), self._pending.due_ns, self._scored[0]
        rows, first = best_size(self._sizes, best.promised_ns, best, due_ns, ready_ns)
        if not rows:
            return self._lower(ready_ns, np.arange(len(due_ns))) or self._hopeful(now_ns)
        took_ns = best.promised_ns(rows)
        head = head_rows(self._sizes, best, due_ns, ready_ns)
        if head:
            calm_ns = int(took_ns * CALM) if self.overloaded else took_ns
            _, left_out = self._admitted(head, ready_ns + best.promised_ns(head), calm_ns, rows)
            if not left_out:
                self.overloaded = self._lower_ran = False
                return self._batch(0, self._pending.take_first(head))
        chosen, left_out = self._admitted(first, ready_ns, took_ns, rows)
        self.overloaded = bool(head or left_out)
        if len(self._scored) > 1 and not self._lower_ran:
            end_ns = ready_ns + took_ns + self._cheapest_ns() if self.overloaded else ready_ns + best.promised_ns(1)
            urgent = np.setdiff1d(np.arange(self._pending.before(end_ns)), chosen, assume_unique=True)
            if len(urgent) and (batch := self._lower(ready_ns, urgent)):
                return batch
        self._lower_ran = False
        batch = self._batch(0, self._pending.take_at(chosen))
        if len(self._scored) == 1:
            # Who is passed over for having too little time left is not scored after those who have more.
            self._unserved.append(self._pending.take_first(first))
        return batch

    def _admitted(self, first: int, ready_ns: int, took_ns: int, rows: int) -> tuple[NDArray[np.intp], int]:
        """The places of the rows to run now, and how many others cannot be served by their deadline."""
        due_ns = self._pending.due_ns[first : first + self._horizon]
        if not len(due_ns):
            return np.empty(0, np.intp), 0
        level = self._level[self._pending.slots[first : first + self._horizon]]
        admitted = np.empty(len(due_ns), np.bool_)
        left_out = admit(
            due_ns, level, ready_ns, max(1, took_ns), rows * self._sessions, self._top, self._below, admitted
        )
        return np.flatnonzero(admitted)[:rows] + first, left_out

    def _lower(self, ready_ns: int, places: NDArray[np.intp]) -> Batch | None:
        """Rows that cannot wait for the best tier: to the next one that serves them all, or else the most of them.

        None if no lower tier serves any. After it the best tier has its turn, whatever is urgent then.
        """
        due_ns = self._pending.due_ns[places]
        most, found = 0, None
        for number in range(1, len(self._scored)):
            tier = self._scored[number]
            rows, first = best_size(self._sizes, tier.promised_ns, tier, due_ns, ready_ns)
            if rows > most:
                most, found = rows, (number, places[first : first + rows])
            if most == len(places):
                break
        if found is None:
            return None
        self._lower_ran = True
        return self._batch(found[0], self._pending.take_at(found[1]))

    def _hopeful(self, now_ns: int) -> Batch | None:
        """No tier promises to serve any row: the best that is expected to. An idle session would serve none."""
        self.overloaded = True
        due_ns, ready_ns = self._pending.due_ns, now_ns + self._delivery.typical_ns
        for number, tier in enumerate(self._scored):
            rows, first = best_size(self._sizes, tier.expected_ns, tier, due_ns, ready_ns)
            if rows:
                return self._batch(number, self._pending.take_at(np.arange(first, first + rows)))
        return None

    def _in_order(self) -> list[Batch]:
        batches = []
        while len(self._pending) and len(self._running) < self._sessions:
            batch = self._batch(0, self._pending.take_first(self._buckets[-1]))
            self._running.append(batch)
            batches.append(batch)
        return batches
