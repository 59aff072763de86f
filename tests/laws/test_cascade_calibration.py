"""Laws of the calibration: never more than is allowed is lost, and nothing where nothing is allowed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cascade import Thresholds
from models.cascade_calibration import calibrate
from models.train.evaluate import average_precision


def two_scores(rows: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A model that knows what makes a fraud likely, and a cheap one that sees it through noise."""
    random = np.random.default_rng(seed)
    hidden = random.normal(-3, 1.5, rows)
    truth = random.uniform(size=rows) < 1 / (1 + np.exp(-2 * hidden))
    truth[:2] = True, False
    first = 1 / (1 + np.exp(-2 * (hidden + random.normal(0, noise, rows))))
    return first.astype(np.float32), (1 / (1 + np.exp(-2 * hidden))).astype(np.float32), truth


@settings(max_examples=8)
@given(st.integers(200, 1500), st.floats(0, 2), st.floats(0, 0.2), st.integers(0, 1 << 30))
def test_what_is_lost_is_within_what_is_allowed(rows: int, noise: float, loss_max: float, seed: int) -> None:
    first, second, truth = two_scores(rows, noise, seed)
    found = calibrate(first, second, truth, loss_max)
    scores = np.where(found.thresholds.unsure(first), second, first)
    assert abs(found.cascade_quality - average_precision(truth, scores)) < 1e-9
    assert abs(found.second_quality - average_precision(truth, second)) < 1e-9
    assert found.loss.high <= loss_max + 1e-9
    assert found.second_quality - found.cascade_quality <= loss_max * found.second_quality + 1e-9


def test_the_same_model_twice_passes_nothing_on() -> None:
    _, second, truth = two_scores(2000, 0, 1)
    found = calibrate(second, second, truth, 0.0)
    assert found.expected.passed_share == 0
    assert found.cascade_quality == found.second_quality


def test_a_first_model_that_knows_nothing_settles_little() -> None:
    _, second, truth = two_scores(4000, 0, 2)
    blind = np.random.default_rng(3).uniform(0, 1, 4000).astype(np.float32)
    found = calibrate(blind, second, truth, 0.01)
    assert found.expected.passed_share > 0.8
    assert calibrate(blind, second, truth, 0.0).loss.high <= 0


def test_more_may_be_settled_where_more_may_be_lost() -> None:
    first, second, truth = two_scores(5000, 0.4, 4)
    shares = [calibrate(first, second, truth, loss).expected.passed_share for loss in (0.0, 0.005, 0.05, 0.5)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]


def test_scores_of_two_scales_are_seen_as_they_are_merged() -> None:
    first, second, truth = two_scores(5000, 0.3, 5)
    alike = calibrate(first, second, truth, 0.02)
    shifted = calibrate(first ** np.float32(0.2), second, truth, 0.02)
    assert shifted.expected.passed_share >= alike.expected.passed_share
    assert shifted.loss.high <= 0.02


def classes(rows: int, right: float, seed: int, truth: np.ndarray) -> np.ndarray:
    """Probabilities of three classes: as often right as said, and surer where it is."""
    random = np.random.default_rng(seed)
    hit = random.uniform(size=rows) < right
    said = np.where(hit, truth, (truth + 1) % 3)
    sure = np.where(hit, random.uniform(0.7, 1.0, rows), random.uniform(0.4, 0.8, rows))
    answers = np.repeat(((1 - sure) / 2)[:, None], 3, axis=1)
    answers[np.arange(rows), said] = sure
    return answers.astype(np.float32)


def test_a_classifier_settles_what_it_is_sure_of() -> None:
    truth = np.random.default_rng(6).integers(0, 3, 6000)
    first, second = classes(6000, 0.9, 7, truth), classes(6000, 0.98, 8, truth)
    found = calibrate(first, second, truth, 0.003)
    assert found.measure == "accuracy"
    assert found.thresholds.sure_below == 0
    assert 0.1 < found.expected.passed_share < 0.7
    assert found.second_quality - found.cascade_quality <= 0.003
    assert found.loss.high <= 0.003


@pytest.mark.parametrize(("rows", "settles"), [(300, False), (3000, True)])
def test_few_rows_without_a_loss_prove_little(rows: int, settles: bool) -> None:
    truth = np.random.default_rng(9).integers(0, 3, rows)
    perfect = classes(rows, 1.0, 10, truth)
    found = calibrate(perfect, perfect, truth, 0.003)
    assert (found.expected.passed_share < 0.5) == settles
    assert (found.thresholds == Thresholds(0.0, 1.0)) != settles
