"""Log-linear buckets as Prometheus has histograms: cumulative counts at a few edges, and a sum.

A bucket of `pipeline.telemetry.histogram` is at most 1/64 of its values wide. One that an edge cuts counts as above
the edge, so `le="0.1"` never holds a value above 0.1 s and lacks at most those within 1.6 % below it: a histogram
never looks better than what was measured. Where an edge is the first value of a bucket nothing is lacking. The sum
takes each bucket's middle, 0.8 % off at most.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.telemetry.histogram import BUCKETS, bounds_of

US_PER_S = 1_000_000
_LADDER_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_AROUND = (0.5, 0.75, 1.0, 1.5, 2.0)
"""Of the budget: where a latency objective is decided, edges are closer."""
_TOO_CLOSE = 1.2

_LOW: NDArray[np.int64] = np.array([bounds_of(bucket)[0] for bucket in range(BUCKETS)], np.int64)
_HIGH: NDArray[np.int64] = np.array([bounds_of(bucket)[1] - 1 for bucket in range(BUCKETS)], np.int64)
"""The first and the last value of each bucket: what was counted is whole µs, cut off below."""


def latency_edges_s(budget_ms: int) -> tuple[float, ...]:
    """Edges in seconds, rising: the budget, some around it, and a ladder from 0.1 ms to 10 s where those are far."""
    around = [budget_ms * share / 1000 for share in _AROUND]
    ladder = [
        edge
        for edge in _LADDER_S
        if not any(edge / near < _TOO_CLOSE and near / edge < _TOO_CLOSE for near in around)
    ]
    return tuple(sorted({*around, *ladder}))


def latency_buckets(sparse: Mapping[int, int], edges_s: Sequence[float]) -> tuple[list[tuple[str, float]], float]:
    """Counts at or below each edge and at `+Inf`, of a sparse histogram in µs; and the sum in seconds."""
    buckets, counts = _columns(sparse)
    edges_us = np.array([round(edge * US_PER_S) - 1 for edge in edges_s], np.int64)
    sum_us = float(((_LOW[buckets] / 2 + _HIGH[buckets] / 2) * counts).sum())
    return _cumulated(_HIGH[buckets], counts, edges_us, edges_s), sum_us / US_PER_S


def row_buckets(sparse: Mapping[int, int], edges_rows: Sequence[int]) -> tuple[list[tuple[str, float]], float]:
    """The same for batch sizes, which lie at the edges themselves: a bucket that begins at an edge counts to it."""
    buckets, counts = _columns(sparse)
    return _cumulated(_LOW[buckets], counts, np.array(edges_rows, np.int64), edges_rows), float(
        (_LOW[buckets] * counts).sum()
    )


def _columns(sparse: Mapping[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    buckets = np.fromiter(sparse, np.int64, len(sparse))
    counts = np.fromiter(sparse.values(), np.int64, len(sparse))
    order = np.argsort(buckets)
    return buckets[order], counts[order]


def _cumulated(
    ends: NDArray[np.int64], counts: NDArray[np.int64], edges: NDArray[np.int64], names: Iterable[float]
) -> list[tuple[str, float]]:
    so_far = np.concatenate(([0], np.cumsum(counts)))
    at = so_far[np.searchsorted(ends, edges, side="right")]
    found = [(repr(float(name)), float(count)) for name, count in zip(names, at.tolist(), strict=True)]
    return [*found, ("+Inf", float(so_far[-1]))]
