"""Histograms: within one per cent, and merging is addition."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.telemetry.histogram import BUCKETS, Histogram, bounds_of, bucket_of, middle_of

VALUES = st.integers(0, 2**63 - 1) | st.integers(0, 62).flatmap(lambda bits: st.integers(0, 2**bits))


def histogram(values: list[int]) -> Histogram:
    made = Histogram()
    made.record(np.array(values, np.int64))
    return made


@given(VALUES)
def test_a_value_lies_in_its_bucket_whose_middle_is_within_one_per_cent(value: int) -> None:
    low, high = bounds_of(bucket_of(value))
    assert low <= value < high
    assert abs(middle_of(bucket_of(value)) - value) <= 0.01 * value


def test_buckets_tile_the_line() -> None:
    ends = [bounds_of(bucket) for bucket in range(BUCKETS)]
    assert ends[0][0] == 0
    assert all(left[1] == right[0] for left, right in pairwise(ends))
    assert ends[-1][1] == 2**63


@given(st.lists(VALUES), st.lists(VALUES))
def test_merging_equals_recording_all(left: list[int], right: list[int]) -> None:
    merged = histogram(left)
    merged.add(histogram(right))
    assert merged.sparse() == histogram(left + right).sparse()
    assert merged.total == len(left) + len(right)


@given(st.lists(VALUES))
def test_the_sparse_form_loses_nothing(values: list[int]) -> None:
    made = histogram(values)
    assert (Histogram.of(made.sparse()).counts == made.counts).all()


@given(st.lists(VALUES, min_size=1), st.floats(0, 1))
def test_a_quantile_is_within_one_per_cent_of_the_sorted_value(values: list[int], fraction: float) -> None:
    exact = sorted(values)[max(0, int(np.ceil(fraction * len(values))) - 1)]
    found = histogram(values).quantile(fraction)
    assert found is not None
    assert abs(found - exact) <= 0.01 * exact


def test_nothing_counted_has_no_quantile() -> None:
    assert Histogram().quantile(0.99) is None


def test_a_negative_value_counts_as_zero() -> None:
    assert histogram([-5]).sparse() == {0: 1}


@pytest.mark.parametrize("bucket", [-1, BUCKETS])
def test_a_bucket_that_does_not_exist_is_refused(bucket: int) -> None:
    with pytest.raises(ValueError, match=str(bucket)):
        Histogram.of({bucket: 1})
