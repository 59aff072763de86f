"""Law 4: no row lost or doubled, no batch too large, no expired row dispatched, earliest deadline first."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batcher import Batcher

ROWS_MAX = 8


class LinearCost:
    def __init__(self, fixed_ns: int, row_ns: int) -> None:
        self.fixed_ns, self.row_ns = fixed_ns, row_ns

    def promised_ns(self, rows: int) -> int:
        return self.fixed_ns + rows * self.row_ns


TIERS = [LinearCost(100, 20), LinearCost(10, 2)]
STEPS = st.lists(
    st.tuples(st.lists(st.integers(0, 2000), max_size=12), st.integers(0, 300), st.integers(0, 2)),
    max_size=30,
)


@settings(max_examples=300)
@given(steps=STEPS, deadlines=st.booleans())
def test_every_row_leaves_once_and_in_order(steps, deadlines):
    total = sum(len(slacks) for slacks, _, _ in steps)
    deadline_ns = np.zeros(total, np.int64)
    batcher = Batcher(deadline_ns, TIERS, ROWS_MAX, deadlines=deadlines)
    left, offered, now = [], 0, 0
    for slacks, passed, idle in [*steps, *[([], 10_000, 1)] * (total + 1)]:
        now += passed
        slots = np.arange(offered, offered + len(slacks), dtype=np.int32)
        deadline_ns[slots] = [now + slack for slack in slacks]
        offered += len(slacks)
        batcher.offer(slots)
        pending = set(range(offered)) - set(left)
        plan = batcher.poll(now, idle)
        assert len(plan.batches) <= idle
        for batch in plan.batches:
            taken = batch.slots.tolist()
            assert 1 <= len(taken) <= ROWS_MAX
            if deadlines:
                finish = now + TIERS[batch.tier].promised_ns(len(taken))
                assert all(deadline_ns[slot] >= finish for slot in taken)
                pending -= set(taken)
        if deadlines:
            assert all(deadline_ns[slot] < now + TIERS[1].promised_ns(1) for slot in plan.expired)
            remaining = pending - set(plan.expired.tolist())
            gone = [slot for batch in plan.batches for slot in batch.slots.tolist()]
            if remaining and gone:
                assert max(deadline_ns[gone]) <= min(deadline_ns[list(remaining)])
        else:
            assert len(plan.expired) == 0
        left += [slot for batch in plan.batches for slot in batch.slots.tolist()] + plan.expired.tolist()
    assert sorted(left) == list(range(total))
    if not deadlines:
        assert left == list(range(total))


def test_an_idle_session_does_not_wait_for_company():
    batcher = Batcher(np.array([1_000_000], np.int64), TIERS, ROWS_MAX)
    batcher.offer(np.array([0], np.int32))
    plan = batcher.poll(0, idle_sessions=1)
    assert [batch.slots.tolist() for batch in plan.batches] == [[0]]
    assert plan.batches[0].tier == 0


def test_a_row_too_late_for_the_best_tier_goes_to_the_next_one():
    batcher = Batcher(np.array([60, 5_000], np.int64), TIERS, ROWS_MAX)
    batcher.offer(np.array([1, 0], np.int32))
    plan = batcher.poll(0, idle_sessions=2)
    assert [(batch.tier, batch.slots.tolist()) for batch in plan.batches] == [(1, [0]), (0, [1])]


def test_delivery_time_is_left_room_for():
    batcher = Batcher(np.array([60], np.int64), TIERS, ROWS_MAX)
    batcher.offer(np.array([0], np.int32))
    plan = batcher.poll(0, idle_sessions=1, delivery_ns=50)
    assert plan.expired.tolist() == [0]


def test_dropped_rows_are_returned_and_never_dispatched():
    batcher = Batcher(np.full(4, 10_000, np.int64), TIERS, ROWS_MAX)
    batcher.offer(np.arange(4, dtype=np.int32))
    dropped = batcher.drop(np.array([True, False, True, False]))
    assert sorted(dropped.tolist()) == [1, 3]
    plan = batcher.poll(0, idle_sessions=1)
    assert sorted(plan.batches[0].slots.tolist()) == [0, 2]


def test_the_promised_delivery_time_counts_only_while_rows_compete():
    batcher = Batcher(np.full(ROWS_MAX + 1, 200, np.int64), TIERS, ROWS_MAX)
    batcher.offer(np.array([0], np.int32))
    alone = batcher.poll(0, 1, delivery_ns=10, delivery_promised_ns=195)
    assert [batch.slots.tolist() for batch in alone.batches] == [[0]]
    batcher.offer(np.arange(1, ROWS_MAX + 1, dtype=np.int32))
    batcher.offer(np.array([0], np.int32))
    assert len(batcher.poll(0, 1, delivery_ns=10, delivery_promised_ns=195).expired) == ROWS_MAX + 1
