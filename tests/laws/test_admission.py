"""Which rows can be served: as many as possible, and of those the most valuable; against all subsets there are."""

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.admission import LEVELS, admit, levels_of


def admitted(due_ns, level, ready_ns, batch_ns, batch_rows):
    due, rank = np.array(due_ns, np.int64), np.array(level, np.int64)
    chosen = np.empty(len(due), np.bool_)
    left_out = admit(
        due, rank, ready_ns, batch_ns, batch_rows, np.zeros(LEVELS, np.int64), np.zeros(len(due), np.int64), chosen
    )
    assert left_out == (~chosen).sum()
    return chosen


def feasible(due_ns, ready_ns, batch_ns, batch_rows):
    return all(row // batch_rows + 1 <= (due - ready_ns) // batch_ns for row, due in enumerate(sorted(due_ns)))


@settings(max_examples=300)
@given(
    rows=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 4)), min_size=1, max_size=9),
    ready=st.integers(0, 20),
    batch_ns=st.integers(1, 15),
    batch_rows=st.integers(1, 3),
)
def test_no_set_of_rows_that_can_be_served_is_larger_or_worth_more(rows, ready, batch_ns, batch_rows):
    rows = sorted(rows, key=lambda row: row[0])
    due, level = [row[0] for row in rows], [row[1] for row in rows]
    chosen = np.flatnonzero(admitted(due, level, ready, batch_ns, batch_rows))
    assert feasible([due[row] for row in chosen], ready, batch_ns, batch_rows)
    got = sorted((level[row] for row in chosen), reverse=True)
    for size in range(len(rows) + 1):
        for other in combinations(range(len(rows)), size):
            if feasible([due[row] for row in other], ready, batch_ns, batch_rows):
                assert size <= len(chosen)
                # A matroid's greedy basis is best place by place, not only in sum.
                assert all(
                    a >= b for a, b in zip(got, sorted((level[row] for row in other), reverse=True), strict=False)
                )


def test_of_equal_value_the_latest_is_left_out():
    assert admitted([10, 20, 20, 20], [3, 3, 3, 3], 0, 10, 1).tolist() == [True, True, False, False]


def test_values_too_far_below_the_highest_count_as_one():
    assert admitted([10, 10, 10], [-10_000, -20_000, 0], 0, 10, 2).tolist() == [True, False, True]


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=20))
def test_levels_keep_the_order_of_priorities(priorities):
    priority = np.sort(np.array(priorities))
    assert (np.diff(levels_of(priority)) >= 0).all()


def test_levels_tell_values_a_quarter_apart_from_each_other_and_take_nan_for_the_least():
    assert len(set(levels_of(np.array([1.0, 1.25, 1.5, 1.75, 2.0])).tolist())) == 5
    assert levels_of(np.array([0.0])) == levels_of(np.array([-0.0]))
    assert levels_of(np.array([np.nan])) <= levels_of(np.array([-1e300]))
