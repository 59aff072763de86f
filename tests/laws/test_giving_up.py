"""A partition that goes: nothing of it goes out, and its memory stays until no session reads it any more."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.batch import AT_ONCE, NEVER_NS, Batch, Ladder
from pipeline.batcher import Batcher
from pipeline.clock import Instant
from pipeline.coalesce import Coalescer
from pipeline.decode import Reject
from pipeline.drain import Drain
from pipeline.engine import Engine
from pipeline.image_rows import Unscorable
from pipeline.in_flight import InFlight
from pipeline.ladders import KEEP, Ladders
from pipeline.rows import Rows
from pipeline.runner import Scored
from tests.laws.test_in_flight import CAPACITY, PARTITIONS, At, Memory


class Cost:
    def promised_ns(self, rows: int) -> int:
        return 1

    expected_ns = promised_ns


class Stages:
    """What stands around the engine's loop when one partition goes: nothing is delivered any more."""

    counts = SimpleNamespace(read=0)
    delivery_time = SimpleNamespace(learned=AT_ONCE)

    def __init__(self, running: list[object], in_flight: InFlight, lost: bool, freed: list[int]) -> None:
        self.drain: Drain | None = Drain(frozenset(PARTITIONS[:1]), 0, lost=lost)
        self.published: list[int] = []
        self.committed: list[int | None] = []
        self._watermarks = in_flight.watermarks
        self.forgotten: list[At] = []
        self._running = running
        self._freed = freed
        self.buried: list[object] = []

    def serve(self, now_ns: int) -> int:
        return 0

    def lanes(self) -> list[object]:
        return []

    def poll(self, lanes: object, clock: object) -> list[object]:
        return []

    def blocked(self) -> bool:
        return False

    def due_ns(self) -> int:
        return NEVER_NS

    def commit(self, now_ns: int) -> None: ...

    def commit_finished(self) -> None: ...

    def tick(self, now: Instant) -> None: ...

    def batch(self, rows: int) -> None: ...

    def ran(self, done: Scored) -> None: ...

    def dead_letters(self, rejected: list[object], now: Instant) -> None:
        self.buried += rejected

    def forget(self, partition: At) -> None:
        self.forgotten.append(partition)

    def give_up(self, partitions: object, *, lost: bool) -> None:
        """A group's answer to a revoke commits what is finished first."""
        self.committed.append(self._watermarks.watermark(PARTITIONS[0]))
        self.drain = None

    def drop_abandoned(self) -> None: ...

    def busy(self) -> bool:
        return bool(self._running)

    def finished(self) -> list[object]:
        """A session's thread ends its batch only after the partition is gone; till then it reads the messages."""
        if self._running:
            assert self._freed == []
        if self.drain is not None:
            return []
        ended, self._running = self._running, []
        return ended

    def scored(self, slots: object, tier: int = 0) -> None: ...

    def publish(self, slots: np.ndarray, now: Instant) -> None:
        self.published += slots.tolist()

    def settle(self, now: Instant) -> np.ndarray:
        return np.empty(0, np.int64)


def one_batcher(rows, slots):
    batcher = Batcher(rows.deadline_ns, rows.priority, [Cost()], (1, 8), sessions=0)
    batcher.offer(slots)
    return batcher


def two_stages(rows, slots):
    """Every other row has been passed on already."""
    running: list[Batch] = []
    first, second = (
        Batcher(
            rows.deadline_ns,
            rows.priority,
            [Cost(), *more],
            (1, 8),
            sessions=0,
            ladder=Ladder(number, tiers),
            running=running,
        )
        for number, (tiers, more) in enumerate((((1,), ()), ((0, KEEP), (None,))))
    )
    both = Ladders([first], second, running, [0], rows.route, rows.deadline_ns)
    both.offer(slots[::2])
    both.pass_on(slots[1::2])
    return both


@pytest.mark.parametrize("waiting", [one_batcher, two_stages])
@pytest.mark.parametrize("lost", [True, False])
@pytest.mark.parametrize(("running_rows", "bad_rows"), [(0, 0), (5, 0), (5, 2), (CAPACITY, 0), (CAPACITY, CAPACITY)])
def test_a_partition_that_goes_publishes_and_commits_nothing_and_leaves_the_ring_free(
    running_rows, bad_rows, lost, waiting
):
    rows = Rows(CAPACITY, features=1)
    rows.deadline_ns[:] = 2**62
    in_flight, freed = InFlight(rows), []
    in_flight.open(PARTITIONS[0], Memory(0, CAPACITY, freed), CAPACITY, CAPACITY)
    slots = np.arange(CAPACITY, dtype=np.int32)
    batcher = waiting(rows, slots[running_rows:])
    batch = Batch(0, slots[:running_rows])
    rejected = [Unscorable(slot, Reject(0, "corrupt-image", "")) for slot in range(bad_rows)]
    running: list[object] = [Scored(batch, batch.slots[bad_rows:], rejected, 1, 1)] if running_rows else []
    stages = Stages(running, in_flight, lost, freed)
    clock = SimpleNamespace(now_ns=lambda: 0, instant=lambda: Instant(0, 0))
    engine = Engine(
        clock=clock,
        wake=None,
        group=stages,
        intake=stages,
        state=None,
        batcher=batcher,
        coalescer=Coalescer(rows, batcher, -1),
        scorer=stages,
        outcomes=stages,
        decider=stages,
        outlet=stages,
        rows=rows,
        in_flight=in_flight,
        meter=stages,
        biller=stages,
    )
    for _ in range(3):
        engine.turn()
    assert (stages.published, stages.buried, stages.committed) == ([], [], [None])
    assert stages.forgotten == PARTITIONS[:1]
    assert freed == [0]
    assert in_flight.room() == CAPACITY
