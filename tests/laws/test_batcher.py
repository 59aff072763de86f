"""Law 4: no row lost or doubled, no batch too large, no expired row dispatched, earliest deadline first."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.admission import levels_of
from pipeline.batch import Delivery
from pipeline.batcher import PROBE_NS, WAKE_NS, Batcher

BUCKETS = (1, 4, 8)
ROWS_MAX = BUCKETS[-1]
MUCH = 100_000


class LinearCost:
    def __init__(self, fixed_ns: int, row_ns: int) -> None:
        self.fixed_ns, self.row_ns = fixed_ns, row_ns

    def promised_ns(self, rows: int) -> int:
        return self.fixed_ns + rows * self.row_ns

    expected_ns = promised_ns


PRIMARY, LITE, RULE = LinearCost(100, 20), LinearCost(10, 2), None
STEPS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 2000), st.sampled_from([1.0, 1.05, 10.0])), max_size=12),
        st.integers(0, 300),
        st.integers(0, 2),
    ),
    max_size=30,
)
LADDERS = st.sampled_from([(PRIMARY,), (PRIMARY, LITE), (PRIMARY, RULE), (PRIMARY, LITE, RULE)])


def slots_of(batches):
    return [batch.slots.tolist() for batch in batches]


def batcher_of(deadlines, tiers=(PRIMARY, LITE), priority=None, **kwargs):
    worth = np.zeros(len(deadlines)) if priority is None else np.array(priority, np.float64)
    made = Batcher(np.array(deadlines, np.int64), worth, tiers, BUCKETS, **kwargs)
    made.offer(np.arange(len(deadlines), dtype=np.int32))
    return made


@settings(max_examples=400)
@given(
    steps=STEPS,
    deadlines=st.booleans(),
    tiers=LADDERS,
    sessions=st.integers(1, 3),
    objective=st.sampled_from(["latency", "cost"]),
    delivery=st.sampled_from([Delivery(0, 0), Delivery(5, 90)]),
)
def test_every_row_leaves_once_and_in_order(steps, deadlines, tiers, sessions, objective, delivery):
    total = sum(len(rows) for rows, _, _ in steps)
    deadline_ns, priority = np.zeros(total, np.int64), np.zeros(total)
    batcher = Batcher(
        deadline_ns, priority, tiers, BUCKETS, sessions=sessions, objective=objective, deadlines=deadlines
    )
    left, running, offered, now = [], [], 0, 0
    for rows, passed, ended in [*steps, *[([], 10_000, sessions)] * (total + 1)]:
        now += passed
        for _ in range(min(ended, len(running))):
            batcher.complete(running.pop(0))
        slots = np.arange(offered, offered + len(rows), dtype=np.int32)
        deadline_ns[slots] = [now + slack for slack, _ in rows]
        priority[slots] = [worth for _, worth in rows]
        offered += len(rows)
        batcher.offer(slots)
        pending = set(range(offered)) - set(left)
        plan = batcher.poll(now, delivery)
        scored = [batch for batch in plan.batches if tiers[batch.tier] is not None]
        running += scored
        assert batcher.running == len(running) <= sessions
        for batch in scored:
            taken = batch.slots.tolist()
            assert 1 <= len(taken) <= ROWS_MAX
            finish = now + delivery.typical_ns + tiers[batch.tier].promised_ns(len(taken))
            assert not deadlines or all(deadline_ns[slot] >= finish for slot in taken)
        gone = [*(slot for batch in plan.batches for slot in batch.slots.tolist()), *plan.expired.tolist()]
        assert set(gone) <= pending
        left += gone
        remaining = np.array(sorted(pending - set(gone)), np.int64)
        assert batcher.pending_rows == len(remaining)
        if deadlines and tiers in ((PRIMARY,), (PRIMARY, RULE)):
            for batch in scored:
                for worth in np.unique(priority[batch.slots]):
                    equal = levels_of(priority[remaining]) == levels_of(np.array([worth]))
                    latest = deadline_ns[batch.slots][priority[batch.slots] == worth].max()
                    assert (deadline_ns[remaining[equal]] >= latest).all()
        if RULE in tiers:
            assert (deadline_ns[plan.expired] < now + delivery.typical_ns).all()
        if not deadlines:
            assert len(plan.expired) == 0
    assert sorted(left) == list(range(total))
    if not deadlines:
        assert left == list(range(total))


def test_an_idle_session_does_not_wait_for_company():
    plan = batcher_of([1_000_000]).poll(0)
    assert slots_of(plan.batches) == [[0]]
    assert plan.batches[0].tier == 0


def test_a_busy_session_is_given_nothing_until_it_is_done():
    batcher = batcher_of([10_000, 20_000])
    first = batcher.poll(0)
    batcher.offer(np.array([0], np.int32))
    assert batcher.poll(10).batches == []
    batcher.complete(first.batches[0])
    assert slots_of(batcher.poll(20).batches) == [[0]]


def test_with_objective_cost_it_waits_for_the_cheapest_batch_until_a_deadline_forces_it():
    batcher = batcher_of([WAKE_NS + 1_000] * 2, objective="cost")
    assert batcher.poll(0).batches == []
    wake_ns = batcher.next_wake_ns()
    assert wake_ns == 1_000 - PRIMARY.promised_ns(ROWS_MAX)
    assert batcher.poll(wake_ns - 1).batches == []
    assert slots_of(batcher.poll(wake_ns).batches) == [[0, 1]]
    full = batcher_of([WAKE_NS + 1_000] * ROWS_MAX, objective="cost")
    assert slots_of(full.poll(0).batches) == [list(range(ROWS_MAX))]


def test_a_row_too_late_for_the_best_tier_goes_to_the_next_one():
    batcher = batcher_of([60, 5_000], sessions=2)
    plan = batcher.poll(0)
    assert [(batch.tier, batch.slots.tolist()) for batch in plan.batches] == [(1, [0]), (0, [1])]


def test_a_row_too_late_for_every_model_goes_to_the_rule_and_one_too_late_for_that_expires():
    plan = batcher_of([9, 11, 5_000], (PRIMARY, LITE, RULE)).poll(0, Delivery(10, 10))
    assert [(batch.tier, batch.slots.tolist()) for batch in plan.batches] == [(0, [2]), (2, [1])]
    assert plan.expired.tolist() == [0]


def test_rows_that_a_busy_session_cannot_serve_go_to_the_rule_before_it_is_too_late():
    batcher = batcher_of([5_000], (PRIMARY, RULE), sessions=1)
    assert len(batcher.poll(0).batches) == 1
    batcher._pending._deadline_ns[0] = 239
    batcher.offer(np.array([0], np.int32))
    plan = batcher.poll(1)
    assert [(batch.tier, batch.slots.tolist()) for batch in plan.batches] == [(1, [0])]


def test_delivery_time_is_left_room_for():
    assert batcher_of([160], (PRIMARY,)).poll(0, Delivery(50, 50)).expired.tolist() == [0]


def test_the_promised_delivery_time_counts_only_while_rows_compete():
    calm = batcher_of([300] * ROWS_MAX, (PRIMARY,)).poll(0, Delivery(10, 100))
    assert slots_of(calm.batches) == [list(range(ROWS_MAX))]
    crowded = batcher_of([300] * 100 + [10_000] * 900, (PRIMARY,))
    first = crowded.poll(0, Delivery(10, 100))
    assert crowded.overloaded
    crowded.complete(first.batches[0])
    plan = crowded.poll(0, Delivery(10, 100))
    assert len(plan.expired) == 100 - ROWS_MAX
    assert plan.batches[0].slots.min() >= 100


@pytest.mark.parametrize("tiers", [(PRIMARY,), (PRIMARY, LITE), (PRIMARY, LITE, RULE)])
def test_under_overload_the_most_valuable_keep_the_best_tier(tiers):
    rng = np.random.default_rng(1)
    worth = 2.0 ** rng.integers(0, 10, 400)
    tiers = tuple(tier and LinearCost(tier.fixed_ns * MUCH, tier.row_ns * MUCH) for tier in tiers)
    batcher = batcher_of(rng.integers(2_000 * MUCH, 4_000 * MUCH, 400), tiers, worth)
    best, now = [], 0
    while batcher.pending_rows:
        plan = batcher.poll(now)
        for batch in plan.batches:
            best += batch.slots.tolist() if batch.tier == 0 else []
            if tiers[batch.tier] is not None:
                now += tiers[batch.tier].promised_ns(len(batch.slots))
                batcher.complete(batch)
        now += MUCH
    possible = 4_000 // PRIMARY.promised_ns(ROWS_MAX) * ROWS_MAX
    assert len(best) >= (0.9 if len(tiers) == 1 else 0.5) * possible
    rest = np.setdiff1d(np.arange(400), best)
    assert np.median(worth[best]) >= 4 * np.median(worth[rest])
    assert (worth[best] < np.median(worth)).mean() < 0.1


def test_a_row_with_little_time_left_does_not_make_all_batches_small():
    """Without giving it up, every batch would have one row, which costs six times as much a row."""
    batcher = batcher_of([125] + [170 + 2 * row for row in range(400)], (PRIMARY,))
    plan = batcher.poll(0)
    assert len(plan.batches[0].slots) == ROWS_MAX
    assert batcher.overloaded
    assert 0 in plan.expired


def test_a_row_with_little_time_left_is_served_first_where_the_others_can_follow():
    batcher = batcher_of([125] + [3_000] * 20, (PRIMARY,))
    plan = batcher.poll(0)
    assert slots_of(plan.batches) == [[0]]
    assert not len(plan.expired)
    assert not batcher.overloaded


def test_overload_is_over_only_when_it_would_not_begin_again_at_once():
    rows = ROWS_MAX * 4
    took_ns = PRIMARY.promised_ns(ROWS_MAX)
    batcher = batcher_of([4 * took_ns + 30] * rows, (PRIMARY,))
    batcher.overloaded = True
    batcher.complete(batcher.poll(0).batches[0])
    assert batcher.overloaded
    calm = batcher_of([6 * took_ns] * rows, (PRIMARY,))
    calm.overloaded = True
    calm.poll(0)
    assert not calm.overloaded


def test_dropped_rows_do_not_come_back():
    batcher = batcher_of([10_000] * 4)
    keep = np.array([True, False, True, False])
    assert batcher.drop(keep).tolist() == [1, 3]
    assert slots_of(batcher.poll(0).batches) == [[0, 2]]


def test_what_is_given_up_is_expired_at_the_next_poll_or_dropped():
    batcher = batcher_of([10_000] * 3)
    batcher.give_up(np.array([0, 2], np.int32))
    assert batcher.pending_rows == 5
    assert batcher.drop(np.array([True, True, False])).tolist() == [2, 2]
    assert batcher.poll(0).expired.tolist() == [0]
    assert batcher.pending_rows == 0


def test_a_tier_that_seems_too_slow_for_any_row_is_tried_again_now_and_then():
    cost = LinearCost(100, 20)
    deadline_ns = np.zeros(1, np.int64)
    batcher = Batcher(deadline_ns, np.zeros(1), (cost,), BUCKETS)

    def ask(now_ns):
        deadline_ns[0] = now_ns + 1_000
        batcher.offer(np.array([0], np.int32))
        plan = batcher.poll(now_ns)
        for batch in plan.batches:
            batcher.complete(batch)
        return len(plan.batches), len(plan.expired)

    assert ask(0) == (1, 0)
    cost.fixed_ns = 5_000
    assert ask(1) == (0, 1)
    assert ask(PROBE_NS - 1) == (0, 1)
    assert ask(PROBE_NS) == (1, 0)
    assert ask(PROBE_NS + 1) == (0, 1)
    cost.fixed_ns = 100
    assert ask(PROBE_NS + 2) == (1, 0)
