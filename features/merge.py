"""Replay's order: many partitions merged by (time, topic, partition, offset). Pure."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel


@kernel("int64(int64[:, ::1], int64[::1], int64[::1], boolean[::1], int64[::1], int32[::1], int32[::1])")
def merge_runs(time_ms: Any, start: Any, stop: Any, ended: Any, newest_ms: Any, lane_out: Any, row_out: Any) -> int:
    """Merge the buffered heads of lanes until a lane that has not ended runs out; returns the rows merged.

    time_ms: int64[lanes, capacity], the time of each buffered row; lane l holds rows [start[l], stop[l]).
    Lanes are given in the order that breaks ties (topic, partition); within a lane the order is its own. A
    row older than one before it in its lane takes that one's place in time (`newest_ms`, int64[lanes], kept
    between calls), so that a lane is never reordered. Writes lane and row of each merged row and advances
    `start`.
    """
    lanes = start.shape[0]
    merged = 0
    while merged < lane_out.shape[0]:
        best = -1
        best_ms = 0
        for lane in range(lanes):
            if start[lane] == stop[lane]:
                if not ended[lane]:
                    return merged
                continue
            at_ms = max(time_ms[lane, start[lane]], newest_ms[lane])
            if best < 0 or at_ms < best_ms:
                best, best_ms = lane, at_ms
        if best < 0:
            return merged
        newest_ms[best] = best_ms
        lane_out[merged] = best
        row_out[merged] = start[best]
        start[best] += 1
        merged += 1
    return merged


def run_bounds(lane: NDArray[np.int32]) -> list[tuple[int, int]]:
    """The [first, stop) bounds of runs of equal values."""
    if not len(lane):
        return []
    edges = np.flatnonzero(np.diff(lane)) + 1
    bounds = [0, *edges.tolist(), len(lane)]
    return list(itertools.pairwise(bounds))
