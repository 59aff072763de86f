"""One process in virtual time: the engine's turns, its sessions and both ways through Kafka, without a clock.

What is left out: partitions and rebalances, the interpreter's lock between the loop and its sessions, cores
that processes share. A run is a pure function of its arguments.
"""

import heapq
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.batch import AT_ONCE, NEVER_NS, Batch
from pipeline.delivery_time import DeliveryTime
from pipeline.rows import Outcome
from pipeline.sim.policy import Policy
from pipeline.sim.process import Hop, ProcessModel
from pipeline.sim.service import Service, lognormal_factors
from pipeline.sim.trace import NO_TIER, NOT_DISPATCHED, Batches, Trace, Workload

TURNS_A_TELL = 2048


class SimulationError(RuntimeError):
    """The policy lost a row or let it leave twice; the message names it."""


def simulate(
    work: Workload,
    services: Sequence[Service | None],
    policy: Policy,
    process: ProcessModel,
    seed: int = 0,
    tell: Callable[[int], None] | None = None,
) -> Trace:
    """Run until every row has its outcome; `services` has one a tier, None for a rule, which needs no session.

    `seed` draws the times of the hops. `tell` is called now and then with the rows decided so far. Raises
    SimulationError when the policy loses or doubles a row.
    """
    return _Loop(work, services, policy, process, seed).run(tell or (lambda rows: None))


class _Loop:
    """The state of a run; one method a stage, as in the engine."""

    def __init__(
        self, work: Workload, services: Sequence[Service | None], policy: Policy, process: ProcessModel, seed: int
    ) -> None:
        n = self._rows = work.rows
        self._work, self._services, self._policy, self._process = work, services, policy, process
        self._rng = np.random.default_rng(seed)
        self._visible_ns = _visible(work.arrival_ns, process.fetch, self._rng)
        self._transits = lognormal_factors(process.delivery.sigma if process.delivery else 0.0, self._rng)
        self._delivery_time = DeliveryTime(process.promised_delivery_ns_max) if process.delivery else None
        self._numbers = np.arange(n, dtype=np.int32)
        self._read_ns = np.zeros(n, np.int64)
        self._dispatch_ns = np.full(n, NOT_DISPATCHED, np.int64)
        self._score_ns = np.zeros(n, np.int64)
        self._handed_ns = np.zeros(n, np.int64)
        self._done_ns = np.zeros(n, np.int64)
        self._outcome = np.full(n, Outcome.PENDING, np.int8)
        self._tier = np.full(n, NO_TIER, np.int8)
        self._now_ns = int(self._visible_ns[0]) if n else 0
        self._busy_ns = 0
        self._polled_ns = -1
        self._read_rows = self._decided_rows = self._delivered_rows = self._in_flight_rows_max = 0
        self._idle = list(range(process.sessions))
        self._running: list[tuple[int, int, int, Batch]] = []
        self._deliveries: list[tuple[int, int, NDArray[np.int32]]] = []
        self._log: list[tuple[int, int, int, int, int, int]] = []

    def run(self, tell: Callable[[int], None]) -> Trace:
        turns = 0
        while self._read_rows < self._rows or self._running or self._policy.pending_rows:
            done = self._turn()
            turns += 1
            if not turns % TURNS_A_TELL:
                tell(self._decided_rows)
            if not done or not self._process.poll_interval_ns:
                self._wait(stuck=not done)
            elif done < self._process.little_rows:
                self._rest()
        if self._decided_rows != self._rows:
            raise SimulationError(self._lost())
        return self._trace()

    def _rest(self) -> None:
        """As long as the engine does: to the end of the interval, or until a session is done."""
        until_ns = self._now_ns + self._process.poll_interval_ns
        self._now_ns = min(until_ns, max(self._now_ns, self._running[0][0])) if self._running else until_ns

    def _turn(self) -> int:
        """One pass over all stages; returns rows read, decided and delivered."""
        began_ns = self._now_ns
        done = self._settle() + self._read()
        scored: list[NDArray[np.int32]] = []
        expired: list[NDArray[np.int32]] = []
        if self._process.overlapped:
            self._score_beside(scored, expired)
        else:
            self._score_inline(scored, expired)
        done += self._publish(scored, expired)
        self._now_ns += self._process.cost.turn_ns
        self._busy_ns += self._now_ns - began_ns
        return done

    def _settle(self) -> int:
        delivered: list[NDArray[np.int32]] = []
        while self._deliveries and self._deliveries[0][0] <= self._now_ns:
            delivered.append(heapq.heappop(self._deliveries)[2])
        if not delivered:
            return 0
        slots = np.concatenate(delivered).astype(np.int64)
        self._delivered_rows += len(slots)
        if self._delivery_time:
            ran = self._dispatch_ns[slots] != NOT_DISPATCHED
            began_ns = np.where(ran, self._dispatch_ns[slots], self._handed_ns[slots])
            self._delivery_time.observe(np.arange(len(slots)), began_ns, self._score_ns[slots], self._now_ns)
        return len(slots)

    def _room(self) -> int:
        return self._process.rows_max - (self._read_rows - self._delivered_rows)

    def _read(self) -> int:
        first = self._read_rows
        if first == self._rows:
            return 0
        rows_max = min(self._process.poll_rows_max, self._room())
        rows = min(int(self._visible_ns.searchsorted(self._now_ns, side="right")) - first, rows_max)
        if rows <= 0:
            return 0
        self._read_rows += rows
        self._in_flight_rows_max = max(self._in_flight_rows_max, self._read_rows - self._delivered_rows)
        self._read_ns[first : first + rows] = self._now_ns
        self._now_ns += self._process.cost.read_ns + rows * self._process.cost.read_row_ns
        self._policy.offer(self._numbers[first : first + rows])
        return rows

    def _poll(self, scored: list[NDArray[np.int32]], expired: list[NDArray[np.int32]]) -> list[Batch]:
        """The batches that need a session; what needs none is done."""
        self._polled_ns = self._now_ns
        plan = self._policy.poll(self._now_ns, self._delivery_time.learned if self._delivery_time else AT_ONCE)
        if len(plan.expired):
            expired.append(plan.expired)
        if len(plan.kept):
            self._keep(plan.kept)
            scored.append(plan.kept)
        for batch in plan.batches:
            if self._services[batch.tier] is None:
                self._leave(batch)
                scored.append(batch.slots)
        return [batch for batch in plan.batches if self._services[batch.tier] is not None]

    def _end(self, batch: Batch, took_ns: int) -> NDArray[np.int32]:
        """The run is over; returns the rows that have their answer."""
        self._policy.observe(batch.tier, len(batch.slots), took_ns)
        self._policy.complete(batch)
        answered = self._policy.answered(batch)
        if len(answered.passed):
            self._policy.pass_on(answered.passed)
        return answered.rows

    def _score_inline(self, scored: list[NDArray[np.int32]], expired: list[NDArray[np.int32]]) -> None:
        """The loop waits for each batch, until nothing is left."""
        while self._policy.pending_rows:
            batches = self._poll(scored, expired)
            for batch in batches:
                took_ns = self._dispatch(batch, session=0)
                self._now_ns += took_ns
                scored.append(self._end(batch, took_ns))
                self._now_ns += self._process.cost.batch_ns
            if not batches:
                return

    def _score_beside(self, scored: list[NDArray[np.int32]], expired: list[NDArray[np.int32]]) -> None:
        """Take in what sessions have done, give the idle ones work, go on."""
        while self._running and self._running[0][0] <= self._now_ns:
            _, session, took_ns, batch = heapq.heappop(self._running)
            scored.append(self._end(batch, took_ns))
            self._idle.append(session)
        if not self._policy.pending_rows:
            return
        batches = self._poll(scored, expired)
        for batch in batches:
            session = self._idle.pop()
            took_ns = self._dispatch(batch, session)
            heapq.heappush(self._running, (self._now_ns + took_ns, session, took_ns, batch))
        self._now_ns += len(batches) * self._process.cost.batch_ns

    def _dispatch(self, batch: Batch, session: int) -> int:
        """Start a run now; returns how long it will take."""
        rows = len(batch.slots)
        promised_ns = self._policy.promised_ns(batch.tier, rows)
        service = self._services[batch.tier]
        took_ns = service.took_ns(rows, self._now_ns) if service else 0
        self._log.append((self._now_ns, took_ns, promised_ns, batch.tier, rows, session))
        self._leave(batch)
        self._score_ns[batch.slots] = took_ns
        return took_ns

    def _leave(self, batch: Batch) -> None:
        answered = self._policy.answered(batch)
        self._settle_outcome(answered.rows, Outcome.DEGRADED if answered.tier else Outcome.SCORED)
        self._tier[answered.rows] = answered.tier
        self._dispatch_ns[batch.slots] = self._now_ns

    def _keep(self, rows: NDArray[np.int32]) -> None:
        """These keep the score that a cascade's first model gave them."""
        self._settle_outcome(rows, Outcome.DEGRADED)
        self._tier[rows] = self._policy.first_tier
        self._dispatch_ns[rows] = self._now_ns - self._score_ns[rows]

    def _settle_outcome(self, rows: NDArray[np.int32], outcome: Outcome) -> None:
        before = self._outcome[rows]
        if before.any():
            raise SimulationError(f"row {int(rows[before != Outcome.PENDING][0])} left twice")
        self._outcome[rows] = outcome

    def _publish(self, scored: list[NDArray[np.int32]], expired: list[NDArray[np.int32]]) -> int:
        if not scored and not expired:
            return 0
        for part in expired:
            self._settle_outcome(part, Outcome.EXPIRED)
        rows_scored, rows_expired = sum(map(len, scored)), sum(map(len, expired))
        cost, delivery = self._process.cost, self._process.delivery
        self._now_ns += cost.publish_ns + rows_scored * cost.decided_row_ns + rows_expired * cost.expired_row_ns
        done_ns = self._now_ns
        if delivery:
            done_ns += delivery.linger_ns + int(delivery.transit_ns * next(self._transits))
            heapq.heappush(self._deliveries, (done_ns, self._decided_rows, np.concatenate((*scored, *expired))))
        else:
            self._delivered_rows += rows_scored + rows_expired
        for part in (*scored, *expired):
            self._handed_ns[part] = self._now_ns
            self._done_ns[part] = done_ns
        self._decided_rows += rows_scored + rows_expired
        return rows_scored + rows_expired

    def _wait(self, *, stuck: bool) -> None:
        """On to the next thing that can happen; when nothing can and the last turn did nothing, rows are lost."""
        next_ns = self._next_ns()
        if next_ns != NEVER_NS:
            self._now_ns = max(self._now_ns, next_ns)
        elif stuck:
            raise SimulationError(self._lost())

    def _next_ns(self) -> int:
        next_ns = NEVER_NS
        if self._read_rows < self._rows and self._room() > 0:
            next_ns = int(self._visible_ns[self._read_rows])
        if self._running:
            next_ns = min(next_ns, self._running[0][0])
        if self._deliveries:
            next_ns = min(next_ns, self._deliveries[0][0])
        if self._policy.pending_rows:
            wake_ns = self._policy.next_wake_ns()
            if wake_ns > self._polled_ns:
                next_ns = min(next_ns, max(wake_ns, self._now_ns))
        return next_ns

    def _lost(self) -> str:
        pending = np.flatnonzero(self._outcome == Outcome.PENDING)
        if not len(pending):
            return f"{self._decided_rows} outcomes for {self._rows} rows"
        return f"{len(pending)} rows have no outcome, the first is row {int(pending[0])}"

    def _trace(self) -> Trace:
        log = np.array(self._log, np.int64).reshape(-1, 6)
        return Trace(
            work=self._work,
            read_ns=self._read_ns,
            dispatch_ns=self._dispatch_ns,
            handed_ns=self._handed_ns,
            done_ns=self._done_ns,
            outcome=self._outcome,
            tier=self._tier,
            batches=Batches(*np.ascontiguousarray(log.T)),
            loop_busy_ns=self._busy_ns,
            overlapped=self._process.overlapped,
            in_flight_rows_max=self._in_flight_rows_max,
        )


def _visible(arrival_ns: NDArray[np.int64], fetch: Hop | None, rng: np.random.Generator) -> NDArray[np.int64]:
    """When the process can see each row: what lingers together travels together, and nothing overtakes."""
    if fetch is None or not len(arrival_ns):
        return arrival_ns
    window = arrival_ns // max(1, fetch.linger_ns)
    sent_ns = (window + 1) * fetch.linger_ns if fetch.linger_ns else arrival_ns
    _, journey = np.unique(window, return_inverse=True)
    factors = lognormal_factors(fetch.sigma, rng)
    drawn = np.array([fetch.transit_ns * next(factors) for _ in range(int(journey[-1]) + 1)], np.int64)
    seen: NDArray[np.int64] = np.maximum.accumulate(sent_ns + drawn[journey])
    return seen
