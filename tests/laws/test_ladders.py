"""Law 4 where ladders share the sessions: a cascade's two stages, and rows of several routes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batch import NEVER_NS, Delivery, Ladder
from pipeline.batcher import WAKE_NS, Batcher
from pipeline.ladders import KEEP, Ladders
from tests.laws.test_batcher import BUCKETS, LITE, PRIMARY, ROWS_MAX, LinearCost

COSTS = {0: PRIMARY, 1: LITE, 2: None, KEEP: None}
WITH_RULE, WITHOUT, DIRECT, SECOND = (1, 2), (1,), (0, 1, 2), (0, KEEP)
STEPS = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.integers(0, 2000), st.sampled_from([1.0, 10.0]), st.booleans(), st.integers(0, 2)),
            max_size=12,
        ),
        st.integers(0, 300),
        st.integers(0, 2),
        st.sampled_from([None, None, None, 3, 5]),
    ),
    max_size=30,
)


class Ground:
    """Ladders and what the engine does with them: runs that end when they are told to, and rows gone for good."""

    def __init__(self, total, entries, second, **kwargs):
        self.deadline_ns, self.priority = np.zeros(total, np.int64), np.zeros(total)
        self.route = np.zeros(total, np.int8)
        self.unsure = np.zeros(total, np.bool_)
        self.running, self.left, self.passed, self.kept = [], [], [], []
        tiers = [*entries, *([SECOND] if second else [])]
        self.ladders_ = [Ladder(number, each) for number, each in enumerate(tiers)]
        batches = []
        made = [
            Batcher(
                self.deadline_ns,
                self.priority,
                [COSTS[tier] for tier in ladder.tiers],
                BUCKETS,
                ladder=ladder,
                running=batches,
                **kwargs,
            )
            for ladder in self.ladders_
        ]
        first, last = (made[:-1], made[-1]) if second else (made, None)
        by_route = [number % len(first) for number in range(3)]
        self.second = len(first) if second else -1
        self.batcher = Ladders(first, last, batches, by_route, self.route, self.deadline_ns)

    def offer(self, slots, now, rows):
        self.deadline_ns[slots] = [now + slack for slack, *_ in rows]
        self.priority[slots] = [worth for _, worth, *_ in rows]
        self.unsure[slots] = [unsure for *_, unsure, _ in rows]
        self.route[slots] = [route for *_, route in rows]
        self.batcher.offer(slots)

    def ended(self, batch):
        """A run has ended: what is unsure after a cascade's first model goes on, the rest has left."""
        self.batcher.complete(batch)
        slots = batch.slots
        if self.second > 0 and batch.ladder == 0 and batch.tier == 1:
            on = slots[self.unsure[slots]]
            self.batcher.pass_on(on)
            self.passed += on.tolist()
            slots = slots[~self.unsure[slots]]
        self.left += slots.tolist()

    def poll(self, now, delivery):
        plan = self.batcher.poll(now, delivery)
        for batch in plan.batches:
            if COSTS[batch.tier] is None:
                self.ended(batch)
            else:
                self.running.append(batch)
        self.left += [*plan.expired.tolist(), *plan.kept.tolist()]
        self.kept += plan.kept.tolist()
        return plan

    def drop(self, keep):
        """Partitions that go, between two polls; what runs comes back to nobody."""
        dropped = self.batcher.drop(keep)
        assert not keep[dropped].any()
        assert all(keep[batcher.waiting()].all() for batcher in self.batcher._all)
        self.left += dropped.tolist()


@settings(max_examples=250)
@given(
    steps=STEPS,
    deadlines=st.booleans(),
    entries=st.sampled_from([(WITH_RULE,), (WITHOUT,), (WITH_RULE, DIRECT), (WITHOUT, (0,), WITH_RULE)]),
    second=st.booleans(),
    sessions=st.integers(1, 3),
    objective=st.sampled_from(["latency", "cost"]),
    delivery=st.sampled_from([Delivery(0, 0), Delivery(5, 90)]),
)
def test_every_row_leaves_once_through_one_stage_or_two(
    steps, deadlines, entries, second, sessions, objective, delivery
):
    total = sum(len(rows) for rows, *_ in steps)
    ground = Ground(total, entries, second, sessions=sessions, objective=objective, deadlines=deadlines)
    batcher, offered, now = ground.batcher, 0, 0
    for rows, passed, ended, drop in [*steps, *[([], 10_000, sessions, None)] * (3 * total + 1)]:
        now += passed
        for _ in range(min(ended, len(ground.running))):
            ground.ended(ground.running.pop(0))
        slots = np.arange(offered, offered + len(rows), dtype=np.int32)
        offered += len(rows)
        ground.offer(slots, now, rows)
        if drop is not None:
            ground.drop(np.arange(total) % drop != 0)
        plan = ground.poll(now, delivery)
        scored = [batch for batch in plan.batches if COSTS[batch.tier] is not None]
        assert batcher.running == len(ground.running) <= sessions
        for batch in scored:
            assert batch.tier in ground.ladders_[batch.ladder].tiers
            assert 1 <= len(batch.slots) <= ROWS_MAX
            finish = now + delivery.typical_ns + COSTS[batch.tier].promised_ns(len(batch.slots))
            assert not deadlines or (ground.deadline_ns[batch.slots] >= finish).all()
            if batch.ladder == ground.second and objective == "latency":
                assert not len(batcher.waiting()), "the second stage runs while rows wait for the first"
        assert not set(plan.expired.tolist()) & set(ground.passed)
        assert set(plan.kept.tolist()) <= set(ground.passed)
        on_the_way = sum(len(batch.slots) for batch in ground.running)
        assert len(ground.left) + batcher.pending_rows + on_the_way == offered
        if not deadlines:
            assert not len(plan.kept)
            assert not len(plan.expired)
    assert sorted(ground.left) == list(range(total))
    assert batcher.next_wake_ns() == NEVER_NS


@settings(max_examples=120)
@given(steps=STEPS, sessions=st.integers(1, 2))
def test_of_equals_the_earliest_deadline_goes_first_in_each_stage(steps, sessions):
    total = sum(len(rows) for rows, *_ in steps)
    ground = Ground(total, (WITH_RULE,), True, sessions=sessions)
    offered, now = 0, 0
    for rows, passed, ended, _ in steps:
        now += passed
        for _ in range(min(ended, len(ground.running))):
            ground.ended(ground.running.pop(0))
        slots = np.arange(offered, offered + len(rows), dtype=np.int32)
        offered += len(rows)
        ground.offer(slots, now, [(slack, 1.0, unsure, 0) for slack, _, unsure, _ in rows])
        ground.poll(now, Delivery(0, 0))
        for batch in ground.running:
            entry, second = ground.batcher._all
            rest = (entry if batch.ladder == 0 else second).waiting()
            rest = np.setdiff1d(rest, batch.slots)
            stale = ground.deadline_ns[rest] < now + COSTS[batch.tier].promised_ns(len(batch.slots))
            later = ground.deadline_ns[rest[~stale]]
            fresh = [slot for slot in rest[~stale] if slot not in slots]
            assert not len(fresh) or later.min() >= ground.deadline_ns[batch.slots].min()


def small(rows, unsure=True, **kwargs):
    ground = Ground(len(rows), (WITH_RULE,), True, **kwargs)
    ground.offer(np.arange(len(rows), dtype=np.int32), 0, [(slack, 1.0, unsure, 0) for slack in rows])
    return ground


def test_unsure_rows_go_on_and_are_scored_again():
    ground = small([10_000] * 3)
    first = ground.poll(0, Delivery(0, 0)).batches
    assert [(batch.ladder, batch.tier) for batch in first] == [(0, 1)]
    ground.ended(ground.running.pop())
    second = ground.poll(50, Delivery(0, 0)).batches
    assert [(batch.ladder, batch.tier, batch.slots.tolist()) for batch in second] == [(1, 0, [0, 1, 2])]


def test_an_unsure_row_without_time_keeps_its_score_and_does_not_expire():
    ground = small([100])
    ground.poll(0, Delivery(0, 0))
    ground.ended(ground.running.pop())
    plan = ground.poll(30, Delivery(0, 0))
    assert (plan.kept.tolist(), plan.expired.tolist(), plan.batches) == ([0], [], [])
    late = small([100])
    late.poll(0, Delivery(0, 0))
    late.ended(late.running.pop())
    plan = late.poll(5_000, Delivery(0, 0))
    assert (plan.kept.tolist(), plan.expired.tolist()) == ([0], [])


def test_rows_of_the_first_stage_have_the_sessions_before_those_of_the_second():
    ground = small([WAKE_NS * 9] * 8)
    ground.poll(0, Delivery(0, 0))
    ground.ended(ground.running.pop())
    ground.unsure[:] = False
    assert ground.batcher.pending_rows == 8
    ground.batcher.offer(np.array([0], np.int32))
    ground.deadline_ns[0] = WAKE_NS * 9
    assert [batch.ladder for batch in ground.poll(1, Delivery(0, 0)).batches] == [0]


def test_a_busy_session_leaves_the_second_stage_its_last_moment():
    ground = small([WAKE_NS * 3] * 2)
    ground.poll(0, Delivery(0, 0))
    ground.ended(ground.running.pop())
    ground.batcher._running.append(object())
    assert not len(ground.poll(1, Delivery(0, 0)).kept)
    wake_ns = ground.batcher.next_wake_ns()
    assert wake_ns == WAKE_NS * 2 - PRIMARY.promised_ns(1)
    assert ground.poll(wake_ns + 1, Delivery(0, 0)).kept.tolist() == [0, 1]


@pytest.mark.parametrize("objective", ["latency", "cost"])
def test_the_second_stage_gathers_as_its_own_objective_says(objective):
    batches = []
    deadline_ns = np.full(8, WAKE_NS * 9, np.int64)
    ladders = [Ladder(0, WITH_RULE), Ladder(1, SECOND)]
    first, second = (
        Batcher(
            deadline_ns,
            np.zeros(8),
            [COSTS[tier] for tier in ladder.tiers],
            BUCKETS,
            objective=asked,
            ladder=ladder,
            running=batches,
        )
        for ladder, asked in zip(ladders, ("latency", objective), strict=True)
    )
    both = Ladders([first], second, batches, [0], np.zeros(8, np.int8), deadline_ns)
    both.pass_on(np.array([0, 1], np.int32))
    assert len(both.poll(0).batches) == (objective == "latency")


def test_rows_of_several_routes_share_the_sessions_by_their_deadlines():
    ground = Ground(4, ((0,), (1,)), False, sessions=1)
    rows = [(9_000, 1.0, False, 0), (9_000, 1.0, False, 0), (5_000, 1.0, False, 1), (5_000, 1.0, False, 1)]
    ground.offer(np.arange(4, dtype=np.int32), 0, rows)
    assert [(batch.ladder, batch.tier) for batch in ground.poll(0, Delivery(0, 0)).batches] == [(1, 1)]
    ground.ended(ground.running.pop())
    assert [(batch.ladder, batch.tier) for batch in ground.poll(1, Delivery(0, 0)).batches] == [(0, 0)]


def test_a_row_is_lost_only_when_no_ladder_could_answer_it():
    slow = LinearCost(10_000, 0)
    deadline_ns, batches = np.zeros(1, np.int64), []
    one, other = (
        Batcher(deadline_ns, np.zeros(1), [cost], BUCKETS, ladder=Ladder(number, (number,)), running=batches)
        for number, cost in enumerate((slow, LITE))
    )
    both = Ladders([one, other], None, batches, [0, 1], np.zeros(1, np.int8), deadline_ns)
    assert both.lost_before_ns(0, Delivery(5, 5)) == 5 + LITE.promised_ns(1)
