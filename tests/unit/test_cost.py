"""The learned cost of a batch, by example."""

from collections.abc import Iterable

import numpy as np
import pytest

from models.buckets import worthwhile_buckets
from models.cost import Calibration, CostModel

BUCKETS = [1, 8, 32, 64, 128, 256, 512]


def linear_ns(rows: int) -> int:
    return 8_000 + 1_400 * rows


def seeded(quantile: float = 0.99) -> CostModel:
    cost = CostModel(BUCKETS, quantile)
    for bucket in BUCKETS:
        cost.seed(bucket, [linear_ns(bucket)] * 5)
    return cost


def run(cost: CostModel, sizes: Iterable[int], times: float = 1.0, sigma: float = 0.1, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    for rows in sizes:
        cost.observe(rows, int(linear_ns(rows) * times * random.lognormal(0.0, sigma)))


def test_the_warm_up_is_the_first_expectation_and_one_slow_run_in_it_does_not_count() -> None:
    cost = CostModel([1, 8])
    cost.seed(1, [1000, 1010, 90_000, 990, 1000])
    cost.seed(8, [4500] * 5)
    assert cost.expected_ns(1) == 1000
    assert cost.expected_ns(8) == 4500
    assert cost.promised_ns(8) == 9000


def test_a_size_between_buckets_costs_what_lies_between_theirs() -> None:
    cost = seeded()
    assert cost.expected_ns(48) == linear_ns(48)
    assert cost.expected_ns(500) == linear_ns(500)


def test_a_padded_size_costs_what_its_bucket_costs() -> None:
    cost = CostModel([1, 8, 64], padded=True)
    for bucket, ns in ((1, 100), (8, 200), (64, 900)):
        cost.seed(bucket, [ns])
    assert [cost.expected_ns(rows) for rows in (1, 2, 8, 9, 64)] == [100, 200, 200, 900, 900]
    assert [cost.rows_within(slack_ns, 64) for slack_ns in (199, 200, 400, 1799, 1800)] == [0, 1, 8, 8, 64]
    for _ in range(200):
        cost.observe(9, 1200)
        cost.observe(8, 200)
        cost.observe(1, 100)
    assert cost.expected_ns(64) == pytest.approx(1200, rel=0.05)
    assert cost.expected_ns(8) == pytest.approx(200, rel=0.05)


def test_a_larger_run_may_cost_less() -> None:
    cost = CostModel([128, 256, 512])
    for bucket, ns in ((128, 100_000), (256, 300_000), (512, 200_000)):
        cost.seed(bucket, [ns])
    assert cost.promised_ns(512) < cost.promised_ns(256)
    assert cost.expected_ns(384) == 250_000
    assert cost.rows_within(400_000, 512) == 512
    assert cost.rows_within(400_000, 511) == 192
    assert cost.rows_within(200_000, 511) == 128
    assert cost.rows_within(199_999, 512) == 0


def test_rows_beyond_the_largest_bucket_cost_in_proportion_and_are_never_said_to_fit() -> None:
    cost = seeded()
    assert cost.expected_ns(1024) == 2 * cost.expected_ns(512)
    assert cost.rows_within(10**12, 1024) == 512


def test_buckets_not_met_cost_what_those_met_say() -> None:
    cost = CostModel([1, 8, 64, 512])
    assert cost.promised_ns(1) == cost.promised_ns(512) > 0
    cost.observe(8, 8_000)
    assert [cost.expected_ns(rows) for rows in (1, 8, 64, 512)] == [8_000, 8_000, 64_000, 512_000]
    cost.observe(512, 100_000)
    assert cost.expected_ns(64) == pytest.approx(8_000 + 92_000 * 56 / 504, rel=0.01)


def test_one_size_that_changes_alone_is_learned_and_leaves_the_others_alone() -> None:
    cost, random = seeded(), np.random.default_rng(0)
    run(cost, [8, 64] * 200)
    for rows in [512, *random.choice([8, 64], 4)] * 80:
        cost.observe(int(rows), int(linear_ns(rows) * random.lognormal(0.0, 0.1) * (3 if rows == 512 else 1)))
    assert cost.expected_ns(512) == pytest.approx(3 * linear_ns(512), rel=0.25)
    assert cost.expected_ns(64) == pytest.approx(linear_ns(64), rel=0.15)


def test_a_slowdown_is_known_for_every_size_after_ten_runs_of_one_and_so_is_its_end() -> None:
    cost = seeded()
    run(cost, [64] * 400)
    for _ in range(8):  # what looks like a shift for a moment and is none
        run(cost, [64] * 4, times=1.4, sigma=0.0)
        run(cost, [64] * 6)
    for times in (3.0, 1.0):
        run(cost, [64] * 10, times)
        assert all(cost.expected_ns(rows) == pytest.approx(times * linear_ns(rows), rel=0.15) for rows in BUCKETS)


def test_a_slowdown_before_the_noise_is_known_is_learned_too() -> None:
    for runs_before in (0, 5, 20, 50):
        cost = seeded()
        run(cost, [64] * runs_before)
        run(cost, [64] * 50, times=3.0)
        assert cost.expected_ns(64) == pytest.approx(3 * linear_ns(64), rel=0.25)
        assert cost.expected_ns(512) == pytest.approx(3 * linear_ns(512), rel=0.35)


def test_the_runs_that_begin_a_slowdown_are_no_noise() -> None:
    cost = seeded()
    run(cost, [64] * 600)
    room = cost.promised_ns(512) / cost.expected_ns(512)
    run(cost, [64] * 4, times=0.8, sigma=0.0)
    run(cost, [64] * 100, times=3.0, seed=1)
    assert cost.promised_ns(512) / cost.expected_ns(512) == pytest.approx(room, rel=0.1)


def test_the_size_of_a_slowdown_is_told_from_runs_like_those_before() -> None:
    cost = seeded()
    ways = [linear_ns(64)] * 9 + [3 * linear_ns(64)]
    for ns in ways * 60:
        cost.observe(64, ns)
    expected_ns = cost.expected_ns(64)
    for ns in ways * 2:
        cost.observe(64, 5 * ns)
        if cost.expected_ns(64) > 2 * expected_ns:
            break
    assert cost.expected_ns(64) / expected_ns == pytest.approx(5, rel=0.1)


@pytest.mark.parametrize(
    ("runs_before", "quantile"),
    [(0, 0.99), (3, 0.99), (50, 0.99), (150, 0.99), (290, 0.99), (600, 0.99), (3500, 0.999)],
)
def test_a_stall_hardly_moves_a_promise_whenever_it_comes(runs_before: int, quantile: float) -> None:
    calm, stalled = seeded(quantile), seeded(quantile)
    for cost in (calm, stalled):
        run(cost, [64] * runs_before)
    stalled.observe(64, 50 * linear_ns(64))
    calm.observe(64, linear_ns(64))
    for number in range(400):
        assert stalled.promised_ns(64) < 1.35 * calm.promised_ns(64)
        for cost in (calm, stalled):
            run(cost, [64], seed=number)


def test_stalls_that_come_more_often_than_a_promise_may_break_are_promised_for() -> None:
    cost = seeded()
    for number in range(1500):
        cost.observe(64, linear_ns(64) * (20 if number % 50 == 0 else 1))
        assert cost.expected_ns(64) < 1.4 * linear_ns(64)
    assert cost.promised_ns(64) > 15 * linear_ns(64)


def test_calibration_counts_promises_as_they_stood_before_the_run() -> None:
    cost = CostModel([1], 0.95)
    cost.seed(1, [1000])
    assert cost.calibration == Calibration(0, 0, pytest.approx(0.05))
    assert cost.calibration.share == 0.0
    for ns in (2000, 5000, 100):
        cost.observe(1, ns)
    before = cost.calibration
    cost.observe(1, 10**9)
    assert cost.calibration.since(before) == Calibration(1, 1, before.target_share)
    assert cost.calibration.runs == 4
    assert before.share == 1 / 3


def test_the_efficient_size_is_the_smallest_of_those_that_cost_the_least_a_row() -> None:
    cost = CostModel([1, 8, 32, 64])
    for bucket, a_row_ns in ((1, 9000), (8, 1015), (32, 1000), (64, 1100)):
        cost.seed(bucket, [bucket * a_row_ns])
    assert cost.efficient_rows(64) == 8
    assert cost.efficient_rows(8) == 8
    assert cost.efficient_rows(7) == 1
    cost.seed(32, [32 * 900])
    assert cost.efficient_rows(64) == 32
    assert cost.efficient_rows(31) == 8
    assert CostModel([8, 32]).efficient_rows(5) == 5


def test_runs_of_no_measurable_time_do_no_harm() -> None:
    cost = seeded()
    run(cost, [64] * 300)
    for _ in range(300):
        cost.observe(64, 0)
    assert cost.promised_ns(64) <= 10
    run(cost, [64] * 50)
    assert cost.expected_ns(64) == pytest.approx(linear_ns(64), rel=0.25)


def test_what_a_model_of_costs_cannot_be_made_of_is_named() -> None:
    with pytest.raises(ValueError, match=r"buckets: expected rising sizes from 1 on, found \[8, 1\]"):
        CostModel([8, 1])
    with pytest.raises(ValueError, match=r"buckets: .*found \[0, 1\]"):
        CostModel([0, 1])
    with pytest.raises(ValueError, match=r"buckets: .*found \[\]"):
        CostModel([])
    with pytest.raises(ValueError, match=r"quantile: expected 0\.5 to 0\.999, found 1"):
        CostModel([1], 1.0)
    with pytest.raises(ValueError, match=r"bucket: expected one of \[1, 8\], found 7"):
        CostModel([1, 8]).seed(7, [1])


def test_a_size_that_saves_less_than_a_tenth_over_padding_is_not_worth_warming() -> None:
    assert worthwhile_buckets({1: 50, 2: 55, 4: 55, 8: 60, 16: 80, 32: 82, 64: 170}, 64) == (1, 8, 32)
    assert worthwhile_buckets({1: 50, 2: 45, 4: 40}, 4) == (1, 4)


def test_sizes_above_the_most_efficient_or_the_limit_are_not_worth_warming() -> None:
    curve = {1: 10, 32: 32, 256: 200, 512: 900}
    assert worthwhile_buckets(curve, 512) == (1, 32, 256)
    assert worthwhile_buckets(curve, 255) == (1, 32)
    assert worthwhile_buckets({1: 1, 64: 128}, 64) == (1,)
    with pytest.raises(ValueError, match=r"curve: expected a size up to 4 rows, found \[8\]"):
        worthwhile_buckets({8: 1}, 4)
    with pytest.raises(ValueError, match=r"found 0 for 8 rows"):
        worthwhile_buckets({8: 0}, 8)
