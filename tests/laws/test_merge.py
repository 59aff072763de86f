"""Replay's order does not depend on how reads cut the lanes, and equals a sort by (time, lane, position)."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.merge import merge_runs, run_bounds

LANES = st.lists(st.lists(st.integers(0, 30), max_size=15), min_size=1, max_size=4)


def place_in_time(lane: list[int]) -> list[int]:
    return np.maximum.accumulate(np.array(lane, np.int64)).tolist() if lane else []


@settings(max_examples=300)
@given(lanes=LANES, seed=st.integers(0, 2**32 - 1))
def test_any_cut_gives_the_one_order(lanes, seed):
    random = np.random.default_rng(seed)
    width = max(1, *(len(lane) for lane in lanes))
    time_ms = np.zeros((len(lanes), width), np.int64)
    for number, lane in enumerate(lanes):
        time_ms[number, : len(lane)] = lane
    start = np.zeros(len(lanes), np.int64)
    stop = np.zeros(len(lanes), np.int64)
    ended = np.zeros(len(lanes), np.bool_)
    newest = np.full(len(lanes), -(2**62), np.int64)
    got = []
    while not (ended.all() and (start == stop).all()):
        for number, lane in enumerate(lanes):
            stop[number] = min(len(lane), stop[number] + int(random.integers(0, 5)))
            ended[number] = stop[number] == len(lane) and bool(random.integers(0, 2))
        room = int(random.integers(1, 9))
        lane_out, row_out = np.zeros(room, np.int32), np.zeros(room, np.int32)
        n = merge_runs(time_ms, start, stop, ended, newest, lane_out, row_out)
        got += list(zip(lane_out[:n].tolist(), row_out[:n].tolist(), strict=True))
    expected = sorted(
        (at_ms, number, row) for number, lane in enumerate(lanes) for row, at_ms in enumerate(place_in_time(lane))
    )
    assert got == [(number, row) for _, number, row in expected]


@given(st.lists(st.integers(0, 2), max_size=20))
def test_runs_cover_all_and_are_equal_inside(values):
    lane = np.array(values, np.int32)
    bounds = run_bounds(lane)
    assert [value for first, stop in bounds for value in lane[first:stop]] == values
    assert all(len(set(lane[first:stop].tolist())) == 1 for first, stop in bounds)
    assert all(lane[a - 1] != lane[a] for a, _ in bounds[1:])
