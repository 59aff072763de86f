"""What the live page draws of a record says what the record says."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.telemetry.board import Board
from pipeline.telemetry.histogram import BUCKETS, Histogram, bucket_of
from pipeline.telemetry.page_point import (
    DRAWN,
    EDGES_US,
    QUANTILES,
    batches_by_size,
    heat_of,
    point_of,
    quantiles_us,
    totals_of,
)
from tests.page_records import Teller, page_config, record_of

SPARSE = st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 10_000), max_size=40)
SIZES = (1, 8, 32, 512)


@given(SPARSE)
def test_quantiles_are_the_histograms_own(sparse: dict[int, int]) -> None:
    histogram = Histogram.of(sparse)
    expected = [histogram.quantile(fraction) for fraction in QUANTILES] if sparse else None
    assert quantiles_us(sparse) == expected


@given(SPARSE, st.sampled_from(DRAWN))
def test_each_event_is_in_one_cell_of_the_heat_map(sparse: dict[int, int], name: str) -> None:
    heat = heat_of(name, sparse)
    rows, counts = heat[::2], heat[1::2]
    assert sum(counts) == sum(sparse.values())
    assert rows == sorted(set(rows))
    assert all(0 <= row < len(EDGES_US[name]) for row in rows)


@given(st.integers(0, 200))
def test_an_age_is_in_the_row_that_its_milliseconds_begin_or_fall_into(age_ms: int) -> None:
    row, count = heat_of("age", {int(bucket_of(age_ms * 1000)): 3})
    edges = EDGES_US["age"]
    assert count == 3
    assert edges[row] <= age_ms * 1000 * 65 / 64
    assert age_ms * 1000 < edges[row + 1]


@given(st.lists(st.integers(1, 600), max_size=50))
def test_a_batch_counts_at_the_smallest_size_that_holds_it(rows: list[int]) -> None:
    histogram = Histogram()
    histogram.record(np.array(rows, np.int64))
    found = batches_by_size(histogram.sparse(), SIZES)
    edges = (0, *SIZES[:-1], 10**9)
    assert found == [sum(low < each <= high for each in rows) for low, high in pairwise(edges)]


def test_a_point_has_its_lists_in_the_order_of_the_configuration() -> None:
    record = record_of(5)
    point = point_of(record, ["primary", "lite", "rule"], SIZES)
    assert point["outcomes"] == [2005, 15, 2, 1, 5]
    assert (point["tiers"], point["in_time"], point["overdue"]) == ([2005, 13, 2], [2004, 13, 2], [1, 0, 0])
    assert point["batches"] == [5, 0, 0, 4]
    assert (point["misses"], point["late"], point["held"]) == (3, 1, 1)
    assert (point["codes"], point["lag"]) == (record.dead_letter_codes, record.lag)


def test_totals_are_the_meters() -> None:
    teller = Teller(Board())
    totals = teller.tell(7)
    shown = totals_of(totals, [tier.name for tier in page_config().tiers])
    assert shown["outcomes"] == list(totals.outcomes.values())
    assert shown["overdue"] == [7, 0, 0]
    assert shown["levels"]["rows_in_flight"] == 6.0


def test_a_board_tells_what_came_after_a_number_as_far_as_it_reaches() -> None:
    board = Board(records_max=5)
    teller = Teller(board)
    teller.tell(3)
    number, told = board.after(0)
    assert (number, [each.record for each in told]) == (3, [record_of(at) for at in range(3)])
    teller.tell(9)
    number, told = board.after(number)
    assert (number, [each.record for each in told]) == (12, [record_of(at) for at in range(7, 12)])
    assert board.after(12) == (12, [])
    assert board.after(99) == (12, [])
