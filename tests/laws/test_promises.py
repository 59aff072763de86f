"""Laws of the learned cost: what fits the slack, how often promises break, how soon a slowdown is known."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.buckets import worthwhile_buckets
from models.cost import CostModel

ROWS_MAX = 80
BUCKETS = st.sets(st.integers(1, ROWS_MAX), min_size=1, max_size=6).map(sorted)
COST_NS = st.integers(1, 300) | st.integers(1, 10**12) | st.integers(10**15, 10**15 + 30)
LADDER = [1, 8, 32, 64, 128, 256, 512]
SEED = st.integers(0, 2**32 - 1)


@st.composite
def models(draw: st.DrawFn) -> CostModel:
    """Any shape of curve, some buckets never met, after any runs."""
    buckets = draw(BUCKETS)
    cost = CostModel(buckets, draw(st.sampled_from([0.5, 0.9, 0.99])), padded=draw(st.booleans()))
    for bucket in draw(st.sets(st.sampled_from(buckets))):
        cost.seed(bucket, [draw(COST_NS)])
    for rows, ns in draw(st.lists(st.tuples(st.integers(1, buckets[-1]), st.integers(0, 10**12)), max_size=20)):
        cost.observe(rows, ns)
    return cost


@settings(max_examples=500)
@given(cost=models(), rows_max=st.integers(0, ROWS_MAX + 5), data=st.data())
def test_rows_within_is_the_largest_number_whose_promise_fits(cost, rows_max, data):
    largest = cost.rows_within(2**62, ROWS_MAX)
    sizes = range(1, min(rows_max, largest) + 1)
    promises = [cost.promised_ns(rows) for rows in sizes]
    near = st.sampled_from(promises or [0]).flatmap(lambda ns: st.integers(ns - 1, ns + 1))
    slack_ns = data.draw(near | st.integers(-1, 1000))
    fitting = [rows for rows, promise in zip(sizes, promises, strict=True) if promise <= slack_ns]
    assert cost.rows_within(slack_ns, rows_max) == max(fitting, default=0)


def test_rows_within_is_exact_where_the_curve_is_so_flat_and_high_that_rounding_shows():
    random = np.random.default_rng(0)
    for rise_ns, rows, ratio in zip(
        random.integers(1, 40, 2000).tolist(),
        random.integers(1, 61, 2000).tolist(),
        random.uniform(0.6, 1.9, 2000).tolist(),
        strict=True,
    ):
        cost = CostModel([1, 60])
        cost.seed(1, [10**15])
        cost.seed(60, [10**15 + rise_ns])
        cost.observe(1, int(ratio * 10**15))
        cost.seed(1, [10**15])
        cost.seed(60, [10**15 + rise_ns])
        slack_ns = cost.promised_ns(rows)
        fitting = [size for size in range(1, 61) if cost.promised_ns(size) <= slack_ns]
        assert cost.rows_within(slack_ns, 60) == fitting[-1]


@given(buckets=BUCKETS, data=st.data())
def test_any_shape_of_curve_is_kept_and_the_sizes_between_lie_between(buckets, data):
    cost = CostModel(buckets)
    curve = {bucket: data.draw(COST_NS) for bucket in buckets}
    for bucket, ns in curve.items():
        cost.seed(bucket, [ns])
    assert {bucket: cost.expected_ns(bucket) for bucket in buckets} == curve
    for low, high in pairwise(buckets):
        bounds = sorted((curve[low], curve[high]))
        assert all(bounds[0] <= cost.expected_ns(rows) + 1 <= bounds[1] + 1 for rows in range(low, high))


@given(
    a_row_ns=st.dictionaries(st.integers(1, 64), st.integers(1000, 1050) | st.integers(1, 10**6), min_size=1),
    rows_max=st.integers(1, 64),
)
def test_the_efficient_size_costs_within_two_percent_of_the_least_and_no_smaller_one_does(a_row_ns, rows_max):
    buckets = sorted(a_row_ns)
    curve = {bucket: bucket * a_row_ns[bucket] for bucket in buckets}
    cost = CostModel(buckets)
    for bucket in buckets:
        cost.seed(bucket, [curve[bucket]])
    allowed = {bucket: curve[bucket] / bucket for bucket in buckets if bucket <= rows_max}
    chosen = cost.efficient_rows(rows_max)
    if not allowed:
        assert chosen == rows_max
    else:
        enough = 1.02 * min(allowed.values())
        assert chosen == min(bucket for bucket, a_row in allowed.items() if a_row <= enough)


@given(
    runs=st.lists(st.tuples(st.integers(1, 64), st.integers(0, 5000)), min_size=1, max_size=300),
    cut=st.floats(0, 0.999),
)
def test_calibration_counts_every_run_and_every_promise_it_broke(runs, cut):
    cost, broken, earlier = CostModel([1, 8, 64], 0.9), [], None
    cut = int(cut * len(runs))
    for number, (rows, ns) in enumerate(runs):
        if number == cut:
            earlier = cost.calibration
        broken.append(ns > cost.promised_ns(rows))
        cost.observe(rows, ns)
        assert cost.promised_ns(rows) >= 0
    assert (cost.calibration.runs, cost.calibration.broken) == (len(runs), sum(broken))
    later = cost.calibration.since(earlier)
    assert (later.runs, later.broken) == (len(runs) - cut, sum(broken[cut:]))
    assert later.share == sum(broken[cut:]) / (len(runs) - cut)


def seeded(quantile: float = 0.99) -> CostModel:
    cost = CostModel(LADDER, quantile)
    for bucket in LADDER:
        cost.seed(bucket, [linear_ns(bucket)] * 5)
    return cost


def linear_ns(rows: int) -> int:
    return 8_000 + 1_400 * rows


def run(cost: CostModel, sizes: NDArray[np.int64], ratios: NDArray[np.float64]) -> None:
    for rows, ratio in zip(sizes.tolist(), ratios.tolist(), strict=True):
        cost.observe(rows, int(linear_ns(rows) * ratio))


NOISE = {
    "lognormal 0.1": lambda random, n: random.lognormal(0.0, 0.1, n),
    "lognormal 0.3": lambda random, n: random.lognormal(0.0, 0.3, n),
    "lognormal 0.5": lambda random, n: random.lognormal(0.0, 0.5, n),
    "half at three times": lambda random, n: random.choice([1.0, 3.0], n) * random.lognormal(0.0, 0.05, n),
    "a tenth at three times": lambda random, n: (
        random.choice([1.0, 3.0], n, p=[0.9, 0.1]) * random.lognormal(0, 0.05, n)
    ),
}


@pytest.mark.parametrize("quantile", [0.9, 0.99])
@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_promises_break_as_often_as_they_should_once_a_thousand_runs_were_seen(noise, quantile):
    """Drawn alike, with sizes at random. The seeds are fixed: a count of chance events has no sure bounds."""
    for seed in range(3):
        random = np.random.default_rng(seed)
        cost = seeded(quantile)
        run(cost, random.integers(1, 513, 1000), noise(random, 1000))
        young = cost.calibration
        assert young.share < 2.5 * young.target_share
        run(cost, random.integers(1, 513, 3000), noise(random, 3000))
        later = cost.calibration.since(young)
        assert 0.5 * later.target_share <= later.share <= 2 * later.target_share


@settings(max_examples=60)
@given(
    seed=SEED,
    sigma=st.floats(0.0, 0.2),
    times=st.floats(1.5, 20.0),
    runs=st.integers(350, 700),
    slow_runs=st.integers(50, 400),
    asked=st.sampled_from(LADDER),
    ran=st.sampled_from(LADDER),
)
def test_a_slowdown_is_learned_for_all_sizes_within_fifty_runs_and_unlearned_within_fifty(
    seed, sigma, times, runs, slow_runs, asked, ran
):
    random = np.random.default_rng(seed)
    cost = seeded()

    def run_at(speed: float, count: int) -> tuple[float, float]:
        run(cost, np.full(count, ran), speed * random.lognormal(0.0, sigma, count))
        return cost.expected_ns(asked), cost.promised_ns(asked)

    run_at(1.0, runs)
    expected_ns, promised_ns = run_at(1.0, 1)
    slow_expected_ns, slow_promised_ns = run_at(times, 50)
    assert 0.7 * times < slow_expected_ns / expected_ns < 1.4 * times
    assert 0.6 * times < slow_promised_ns / promised_ns < 1.7 * times
    run_at(times, slow_runs - 50)
    fast_expected_ns, fast_promised_ns = run_at(1.0, 50)
    assert 0.7 < fast_expected_ns / expected_ns < 1.4
    assert 0.6 < fast_promised_ns / promised_ns < 1.7


@settings(max_examples=60)
@given(seed=SEED, sigma=st.floats(0.0, 0.1), times=st.floats(5.0, 1000.0), runs=st.integers(0, 700))
def test_a_stall_moves_no_promise_by_a_third_and_is_forgotten_by_expectations(seed, sigma, times, runs):
    random = np.random.default_rng(seed)
    calm, stalled = seeded(), seeded()
    for count, stall in ((runs, 1.0), (1, times), (100, 1.0)):
        sizes, ratios = random.choice(LADDER, count), random.lognormal(0.0, sigma, count)
        run(calm, sizes, ratios)
        run(stalled, sizes, ratios * stall)
        assert all(stalled.promised_ns(rows) < 1.34 * calm.promised_ns(rows) for rows in LADDER)
    assert all(stalled.expected_ns(rows) < 1.1 * calm.expected_ns(rows) for rows in LADDER)


@given(curve=st.dictionaries(st.integers(1, 64), st.integers(1, 200), min_size=1), rows_max=st.integers(64, 100))
def test_padding_to_the_buckets_kept_costs_at_most_a_ninth_more_than_to_any_other(curve, rows_max):
    kept = worthwhile_buckets(curve, rows_max)
    top = kept[-1]
    assert list(kept) == sorted(set(kept))
    assert set(kept) <= set(curve)
    assert kept[0] == min(curve)
    assert all(curve[top] / top <= 1.02 * curve[size] / size for size in curve)
    assert all(curve[low] <= 0.9 * curve[high] for low, high in pairwise(kept[1:]))
    for rows in range(kept[0] + 1, top + 1):
        padded = curve[next(size for size in kept if size >= rows)]
        best = min(curve[size] for size in curve if rows <= size <= top)
        assert padded <= best / 0.9 + 1e-9
