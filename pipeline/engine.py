"""The engine's loop: one turn reads like the way of the data."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.answers import Answers
from pipeline.batch import Batching
from pipeline.bill.biller import Biller
from pipeline.clock import NS_PER_MS, SystemClock
from pipeline.coalesce import Coalescer
from pipeline.dead_letter_log import DeadLetterLog
from pipeline.decide import Decider
from pipeline.image_rows import Unscorable
from pipeline.in_flight import InFlight
from pipeline.intake import Rejected
from pipeline.kafka.wake import Wake
from pipeline.outcome_watch import OutcomeWatch
from pipeline.outlet import Publisher
from pipeline.rollout.rollouts import Rollouts
from pipeline.rows import Rows
from pipeline.runner import Scored
from pipeline.scorer import Scorer
from pipeline.sources import PartitionSource, RowSource, StateSource
from pipeline.telemetry.meter import Meter
from pipeline.trace.batches import BatchSpans

IDLE_WAIT_MS_MAX = 100
LITTLE = 256
"""Below so many records, rows and deliveries a turn was not worth hurrying to the next."""
_NO_ROWS = np.empty(0, np.int32)


class Engine:
    """Owns the loop and nothing else; every stage is an object that a test can step alone.

    `turn` does what there is to do and returns how much that was; `run` calls it until `stop` says so, and
    waits on the queues' own wake-ups when a turn found nothing.
    """

    def __init__(
        self,
        *,
        clock: SystemClock,
        wake: Wake,
        group: PartitionSource,
        intake: RowSource,
        state: StateSource | None,
        batcher: Batching,
        coalescer: Coalescer,
        scorer: Scorer,
        outcomes: OutcomeWatch,
        decider: Decider,
        outlet: Publisher,
        rows: Rows,
        in_flight: InFlight,
        meter: Meter,
        biller: Biller,
        answers: Answers | None = None,
        spans: BatchSpans | None = None,
        after_score: Sequence[Callable[[NDArray[np.int32]], None]] = (),
        rollouts: Rollouts | None = None,
        pulse: Callable[[int], None] = lambda now_ns: None,
        poll_interval_us: int = 0,
    ) -> None:
        self._clock = clock
        self._wake = wake
        self._group = group
        self._intake = intake
        self._state = state
        self._batcher = batcher
        self._coalescer = coalescer
        self._scorer = scorer
        self._outcomes = outcomes
        self._decider = decider
        self._outlet = outlet
        self._rows = rows
        self._in_flight = in_flight
        self._meter = meter
        self._biller = biller
        self._answers = answers
        self._spans = spans
        self._rollouts = rollouts
        self._letters = DeadLetterLog(clock.now_ns)
        self._after_score = after_score
        self._pulse = pulse
        self._poll_interval_s = poll_interval_us / 1e6

    def turn(self) -> int:
        """One pass over all stages; returns records read, rows scored and deliveries seen."""
        work = self._group.serve(self._clock.now_ns())
        work += self._feed_state()
        work += self._read()
        work += self._publish(self._score())
        self._give_up()
        now = self._clock.instant()
        self._group.commit(now.mono_ns)
        self._meter.tick(now)
        self._pulse(now.mono_ns)
        if self._rollouts is not None:
            self._rollouts.turn(now.mono_ns)
        return work

    def run(self, stop: Callable[[], bool]) -> None:
        """Turn until told to stop; the caller then drains.

        A turn costs much the same for one record as for a hundred: while little arrives, turns are spaced.
        """
        while not stop():
            work = self.turn()
            if work < LITTLE and self._spared(work):
                continue
            if not work:
                self._wake.wait(self._wait_ms())
            elif work < LITTLE:
                self._scorer.pause(self._poll_interval_s)

    def _spared(self, work: int) -> bool:
        """Give a shadow what would be slept away; whether it took it. Then the loop looks again at once."""
        if self._rollouts is None or self._batcher.pending_rows or self._scorer.busy() or self._outlet.blocked():
            return False
        spare_ns = int(self._poll_interval_s * 1e9) if work else self._wait_ms() * NS_PER_MS
        return self._rollouts.spare(spare_ns) > 0

    def drain(self, until_ns: int) -> bool:
        """Finish what is in flight without reading more; True when all of it is delivered and committed."""
        while self._in_flight.used_rows and self._clock.now_ns() < until_ns:
            work = self._publish(self._score())
            now_ns = self._clock.now_ns()
            self._group.commit(now_ns)
            self._pulse(now_ns)
            if not work:
                self._wake.wait(min(self._wait_ms(), 10))
        self._group.commit_finished()
        self._publish(_NO_ROWS)
        return self._in_flight.used_rows == 0

    def _feed_state(self) -> int:
        if self._state is None:
            return 0
        read, dead = self._state.poll()
        self._outlet.state_dead_letters(dead)
        self._letters.of_state(dead)
        for record in dead:
            self._meter.dead_letter(record.code)
        return read

    def _read(self) -> int:
        if self._outlet.blocked():
            self._outlet.retry()
            return 0
        before = self._intake.counts.read
        self._bury(self._intake.poll(self._group.lanes(), self._clock))
        return self._intake.counts.read - before

    def _bury(self, rejected: list[Rejected]) -> None:
        """Make dead letters of records that cannot become events."""
        self._outlet.dead_letters(rejected, self._clock.instant())
        self._letters.rejected(rejected, self._rows.source)
        for item in rejected:
            self._meter.dead_letter(item.reject.code)

    def _unscorable(self, found: list[Unscorable]) -> list[Rejected]:
        """Rows that turned out to be no events when they were to be scored, but for those that were given up."""
        slots = np.array([item.slot for item in found], np.int32)
        living = set(self._in_flight.living(slots).tolist())
        return [Rejected(slot, reject, self._in_flight.pointer_of(slot)) for slot, reject in found if slot in living]

    def _score(self) -> NDArray[np.int32]:
        """Run what the batcher says until nothing is left for an idle session; returns all rows decided."""
        decided: list[NDArray[np.int32]] = []
        delivery = self._outlet.delivery_time
        while self._batcher.pending_rows or self._scorer.busy():
            plan = self._batcher.poll(self._clock.now_ns(), delivery.learned)
            for batch in plan.batches:
                if self._spans is not None:
                    self._spans.dispatched(batch)
                self._scorer.submit(batch)
            finished = self._scorer.finished()
            decided += [self._answered(done) for done in finished]
            if len(plan.kept) and self._answers is not None:
                tier = self._answers.kept(plan.kept, self._clock.now_ns())
                decided.append(self._decide(plan.kept, tier))
            for expired in (plan.expired, self._coalescer.superseded()):
                if len(expired):
                    self._outcomes.expired(expired)
                    self._decider.expired(expired)
                    self._rows.dispatch_ns[expired] = self._clock.now_ns()
                    self._rows.score_ns[expired] = 0
                    if self._spans is not None:
                        self._spans.expired(expired)
                    decided.append(expired)
            if not finished:
                break
        return np.concatenate(decided) if decided else _NO_ROWS

    def _answered(self, done: Scored) -> NDArray[np.int32]:
        """Take in a batch that was scored; returns the rows that have their answer by it."""
        self._batcher.complete(done.batch)
        self._biller.ran(done)
        if done.rejected:
            self._bury(self._unscorable(done.rejected))
        slots = self._in_flight.living(done.slots)
        self._meter.batch(len(slots))
        if self._answers is not None:
            slots = self._answers.of(done.batch, slots)
        self._decide(slots, done.batch.tier)
        if self._rollouts is not None:
            self._rollouts.scored(done, slots)
        if self._spans is not None:
            self._spans.scored(done, slots)
        return slots

    def _decide(self, slots: NDArray[np.int32], tier: int) -> NDArray[np.int32]:
        self._outcomes.scored(slots, tier)
        self._decider.scored(slots)
        return slots

    def _publish(self, decided: NDArray[np.int32]) -> int:
        """Hand decisions over and take deliveries in; returns how many of both.

        Rows of a lost partition are settled without a delivery, so freeing does not wait for one.
        """
        if len(decided):
            for look in self._after_score:
                look(decided)
        now = self._clock.instant()
        if len(decided):
            self._meter.decided(decided, now.mono_ns)
            self._biller.decided(decided)
            self._outlet.publish(decided, now)
        delivered = self._outlet.settle(now)
        if len(delivered):
            self._meter.delivered(delivered, now)
        self._in_flight.free_settled()
        return len(decided) + len(delivered)

    def _give_up(self) -> None:
        drain = self._group.drain
        if drain is None:
            return
        watermarks = self._in_flight.watermarks
        unfinished = sum(watermarks.unfinished_rows(partition) for partition in drain.partitions)
        if not drain.over(unfinished, self._clock.now_ns()):
            return
        living = self._in_flight.abandon(drain.partitions)
        # Only then is what was not handed over settled: the answer commits what is finished, and this never was.
        self._group.give_up(drain.partitions, lost=drain.lost)
        self._in_flight.settle(self._batcher.drop(living))
        self._outlet.drop_abandoned()
        for partition in drain.partitions:
            self._intake.forget(partition)

    def _wait_ms(self) -> int:
        next_ns = min(self._batcher.next_wake_ns(), self._meter.due_ns(), self._group.due_ns())
        left_ms = (next_ns - self._clock.now_ns()) // NS_PER_MS
        return max(0, min(IDLE_WAIT_MS_MAX, left_ms))
