"""The laws of the statistics of an evaluation, and that its intervals hold what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.train.evaluate import average_precision, card_precision, roc_auc
from pipeline.evaluation.ranking import Cards, Ranking
from pipeline.evaluation.statistics import _STUDENT, Interval, draws, over_rounds, percentiles, verdict


def drawn(seed: int, rows: int = 400, clusters: int = 30, decimals: int = 1) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(seed)
    positive = random.random(rows) < 0.2
    positive[:2] = True, False
    score = np.round(random.random(rows) + 0.5 * positive, decimals)
    cluster = random.integers(0, clusters, rows).astype(np.int32)
    return positive, score, cluster, np.sort(random.integers(0, 5, rows))


@given(st.integers(0, 10**6), st.integers(1, 4))
@settings(max_examples=40)
def test_without_weights_the_figures_are_those_of_training(seed: int, decimals: int) -> None:
    positive, score, cluster, day = drawn(seed, decimals=decimals)
    ones = np.ones((1, 30), np.int32)
    auc, ap = Ranking.of(positive, score, cluster).areas(ones)[0]
    assert np.isclose(auc, roc_auc(positive, score), rtol=0, atol=1e-12)
    assert np.isclose(ap, average_precision(positive, score), rtol=0, atol=1e-12)
    cards = Cards.of(day, positive, score, cluster).precision(7, ones)[0]
    assert np.isclose(cards, card_precision(day, cluster.astype(np.int64), positive, score, k=7), rtol=0, atol=1e-12)


@given(st.integers(0, 10**6))
@settings(max_examples=40)
def test_a_weight_is_how_often_a_clusters_rows_stand(seed: int) -> None:
    positive, score, cluster, _ = drawn(seed)
    weights = next(draws(30, 1, seed))
    rows = np.repeat(np.arange(len(score)), weights[0][cluster])
    auc, ap = Ranking.of(positive, score, cluster).areas(weights)[0]
    if 0 < positive[rows].sum() < len(rows):
        assert np.isclose(auc, roc_auc(positive[rows], score[rows]), rtol=0, atol=1e-12)
        assert np.isclose(ap, average_precision(positive[rows], score[rows]), rtol=0, atol=1e-12)


@given(st.integers(1, 50), st.integers(1, 60), st.integers(0, 10**6))
def test_a_draw_has_as_many_clusters_as_there_are(clusters: int, replicates: int, seed: int) -> None:
    blocks = np.concatenate(list(draws(clusters, replicates, seed)))
    assert blocks.shape == (replicates, clusters)
    assert (blocks.sum(axis=1) == clusters).all()


def test_draws_come_in_blocks_that_fit_and_are_independent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.evaluation.statistics.CELLS_A_BLOCK", 100)
    blocks = list(draws(30, 10, 1))
    assert [len(block) for block in blocks] == [3, 3, 3, 1]
    assert len({block.tobytes() for block in np.concatenate(blocks)}) == 10


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=31))
@settings(max_examples=25)
def test_the_interval_of_a_mean_holds_students_and_is_hardly_wider(values: list[float]) -> None:
    found = over_rounds(lambda times: float(times @ np.array(values) / times.sum()), len(values))
    width = _STUDENT[len(values) - 2] * np.std(values, ddof=1) / np.sqrt(len(values))
    assert np.isclose(found.value, np.mean(values))
    assert found.low <= np.mean(values) - width + 1e-6
    assert found.high >= np.mean(values) + width - 1e-6
    assert found.high - found.low <= 4 * width + 1e-6


def test_students_quantiles_are_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    assert np.allclose(_STUDENT, stats.t.ppf(0.975, np.arange(1, len(_STUDENT) + 1)), rtol=0, atol=6e-5)


@pytest.mark.parametrize(
    ("low", "high", "better", "word"),
    [
        (0.0, 0.0, "higher", "no difference seen"),
        (-1.0, 1.0, "lower", "no difference seen"),
        (0.0, 1.0, "higher", "no difference seen"),
        (0.1, 1.0, "higher", "better"),
        (0.1, 1.0, "lower", "worse"),
        (-1.0, -0.1, "higher", "worse"),
        (-1.0, -0.1, "lower", "better"),
        (0.1, 1.0, "", "more"),
        (-1.0, -0.1, "", "fewer"),
        (float("nan"), float("nan"), "higher", "cannot be told"),
    ],
)
def test_only_an_interval_without_zero_is_a_difference(low: float, high: float, better: str, word: str) -> None:
    assert verdict(Interval(0.0, low, high), better) == word  # type: ignore[arg-type]


def test_replicates_without_a_positive_do_not_count_unless_they_are_most() -> None:
    told = percentiles(0.5, np.array([0.4, 0.5, 0.6, np.nan]))
    assert 0.4 <= told.low <= told.high <= 0.6
    assert np.isnan(percentiles(0.5, np.array([0.4, np.nan, np.nan])).low)


def one_trial(random: np.random.Generator, customers: int) -> tuple[np.ndarray, ...]:
    """Rows of a customer share its habits, so rows alone are not independent; score B is a little worse than A."""
    cluster = np.repeat(np.arange(customers), random.poisson(12, customers)).astype(np.int32)
    habit = random.normal(0, 1, customers)[cluster]
    positive = random.random(len(cluster)) < np.where(habit > 1, 0.25, 0.03)
    told = habit + 2.0 * positive
    return positive, told + random.normal(0, 1, len(cluster)), told + random.normal(0, 1.3, len(cluster)), cluster


@pytest.mark.slow
def test_the_bootstrap_covers_the_true_difference() -> None:
    """400 worlds: the interval of AUC and AP holds the truth in about 95 of 100 of them."""
    random = np.random.default_rng(5)
    positive, a, b, cluster = one_trial(random, 60_000)
    ones = np.ones((1, 60_000), np.int32)
    truth = (Ranking.of(positive, b, cluster).areas(ones) - Ranking.of(positive, a, cluster).areas(ones))[0]
    covered, worlds = np.zeros(2), 400
    for world in range(worlds):
        positive, a, b, cluster = one_trial(random, 150)
        weights = next(draws(150, 300, world))
        found = Ranking.of(positive, b, cluster).areas(weights) - Ranking.of(positive, a, cluster).areas(weights)
        for figure in range(2):
            interval = percentiles(0.0, found[:, figure])
            covered[figure] += interval.low <= truth[figure] <= interval.high
    assert (covered / worlds >= 0.91).all(), covered / worlds
    assert (covered / worlds <= 0.985).all(), covered / worlds


def held(worlds: int, rounds: int, seed: int, disturbed: float, ratio: float) -> float:
    """How often the interval holds a ratio of 0.9 quantiles, where some rounds of a side are ten times slower."""
    random = np.random.default_rng(seed)
    covered = 0
    for _ in range(worlds):
        noise = random.lognormal(0, 0.3, (rounds, 1))
        sides = []
        for by in (1.0, ratio):
            slow = np.where(random.random((rounds, 1)) < disturbed, 10.0, 1.0)
            sides.append(random.lognormal(0, 0.5, (rounds, 50)) * noise * slow * by)

        def log_ratio(times: np.ndarray, sides: list[np.ndarray] = sides) -> float:
            at = times.sum() * 45
            a, b = (np.partition(np.repeat(one, times, axis=0).ravel(), at)[at] for one in sides)
            return float(np.log(b / a))

        interval = over_rounds(log_ratio, rounds)
        covered += interval.low <= np.log(ratio) <= interval.high
    return covered / worlds


@pytest.mark.slow
@pytest.mark.parametrize(("rounds", "disturbed", "seed"), [(8, 0.0, 6), (8, 0.25, 7), (4, 0.0, 8)])
def test_the_interval_over_rounds_covers_a_ratio_of_quantiles(
    rounds: int, disturbed: float, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when what else the machine does hits some rounds of one side, which a jackknife alone does not see."""
    monkeypatch.setattr("pipeline.evaluation.statistics.RESAMPLES", 300)
    found = held(200, rounds, seed, disturbed, 1.1)
    assert found >= 0.92, found
