"""Prometheus' histograms of ours: what an edge holds is never above it, and next to nothing below it is lacking."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.telemetry.edges import latency_buckets, latency_edges_s, row_buckets
from pipeline.telemetry.histogram import Histogram

TIMES_US = st.lists(
    st.integers(0, 20_000_000) | st.integers(90_000, 110_000) | st.integers(-5, 200) | st.just(100), max_size=80
)
BUDGETS_MS = st.integers(1, 60_000)


def recorded(values: list[int]) -> dict[int, int]:
    histogram = Histogram()
    histogram.record(np.array(values, np.int64))
    return histogram.sparse()


@settings(deadline=None)
@given(TIMES_US, BUDGETS_MS)
def test_an_edge_holds_nothing_above_it_and_lacks_at_most_what_is_a_64th_below(times: list[int], budget: int) -> None:
    edges_s = latency_edges_s(budget)
    buckets, _ = latency_buckets(recorded(times), edges_s)
    assert [name for name, _ in buckets] == [*map(str, edges_s), "+Inf"]
    for edge_s, (_, count) in zip(edges_s, buckets, strict=False):
        edge_us = round(edge_s * 1e6)
        assert count <= sum(time < edge_us for time in times)
        assert count >= sum(max(time, 0) < edge_us * (1 - 1 / 64) - 1 for time in times)
    assert buckets[-1][1] == len(times)


@settings(deadline=None)
@given(TIMES_US)
def test_the_sum_is_that_of_the_times(times: list[int]) -> None:
    _, sum_s = latency_buckets(recorded(times), (0.1,))
    assert sum_s == pytest.approx(sum(max(0, time) for time in times) / 1e6, rel=0.008, abs=1e-4)


@settings(deadline=None)
@given(BUDGETS_MS)
def test_the_budget_is_an_edge_and_edges_rise_apart(budget: int) -> None:
    edges_s = latency_edges_s(budget)
    assert budget / 1000 in edges_s
    assert all(low * 1.15 < high for low, high in pairwise(edges_s))
    assert edges_s[0] <= 0.0005
    assert edges_s[-1] >= 8


def test_one_that_takes_exactly_the_budget_is_not_within_it() -> None:
    """Times are cut off to whole microseconds: what is counted as 100,000 may be longer."""
    within = dict(latency_buckets(recorded([99_000, 99_327, 99_999, 100_000]), (0.1,))[0])
    assert within == {"0.1": 2, "+Inf": 4}


def test_one_that_takes_exactly_an_edge_is_above_it() -> None:
    assert dict(latency_buckets(recorded([99, 100, 101]), (0.0001,))[0]) == {"0.0001": 1, "+Inf": 3}


def test_batches_count_to_the_size_they_have() -> None:
    sizes = (1, 8, 32, 64, 128, 256, 512)
    buckets, rows = row_buckets(recorded([*sizes, 512]), sizes)
    assert buckets == [(str(float(size)), number + 1 + (size == 512)) for number, size in enumerate(sizes)] + [
        ("+Inf", 8)
    ]
    assert rows == sum(sizes) + 512
