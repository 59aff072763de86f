"""Laws of the paired bootstrap, and of the front of cost against quality."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bootstrap import Paired, average_precision_of, share_of
from models.optimise.measure import rank_correlation
from models.optimise.study import on_front
from models.train.evaluate import average_precision


@given(st.integers(2, 60), st.integers(1, 8), st.integers(0, 1 << 30))
def test_rows_that_count_often_are_rows_that_are_there_often(rows: int, scores: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    score = random.integers(0, scores, rows) / scores
    truth = random.uniform(size=rows) < 0.4
    counts = random.integers(0, 4, rows)
    counts[0], truth[0] = 1, True
    again = average_precision(np.repeat(truth, counts), np.repeat(score, counts))
    assert abs(average_precision_of(truth, score)(counts) - again) < 1e-12
    assert abs(share_of(truth)(counts) - np.repeat(truth, counts).mean()) < 1e-12


@settings(max_examples=20)
@given(st.integers(5, 50), st.integers(0, 1 << 30))
def test_nothing_is_lost_by_the_same_answers_and_what_is_lost_is_between(rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    right, other = (random.uniform(size=rows) < 0.7 for _ in range(2))
    same = Paired(share_of(right), rows).lost(share_of(right), 0.95)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    found = Paired(share_of(right), rows).lost(share_of(other), 0.95)
    back = Paired(share_of(other), rows).lost(share_of(right), 0.95)
    assert found.low <= found.high
    assert abs(found.value + back.value) < 1e-12
    assert abs(found.high + back.low) < 1e-9


POINTS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12)


@given(POINTS)
def test_whatever_is_not_on_the_front_is_beaten_by_one_that_is(points: list[tuple[int, int]]) -> None:
    costs, qualities = [float(cost) for cost, _ in points], [float(quality) for _, quality in points]
    front = on_front(costs, qualities)
    best = [pair for pair, there in zip(zip(costs, qualities, strict=True), front, strict=True) if there]
    for cost, quality, there in zip(costs, qualities, front, strict=True):
        better = any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in best)
        assert better != there


@given(st.lists(st.integers(-5, 5), min_size=3, max_size=30))
def test_ranks_are_kept_by_any_rising_function(values: list[int]) -> None:
    one = np.array(values, np.float32)
    expected = 0.0 if len(set(values)) == 1 else 1.0
    assert abs(rank_correlation(one, np.exp(one)) - expected) < 1e-9
    assert abs(rank_correlation(one, -one) + expected) < 1e-9
