"""The Handbook's three numbers, against definitions written out."""

import numpy as np
import pytest

from models.train.evaluate import Split, average_precision, card_precision, roc_auc


def test_auc_is_the_share_of_pairs_in_order() -> None:
    random = np.random.default_rng(0)
    fraud = random.random(300) < 0.2
    score = np.round(random.random(300), 1)
    pairs = [
        (score[a] > score[b]) + 0.5 * (score[a] == score[b])
        for a in np.flatnonzero(fraud)
        for b in np.flatnonzero(~fraud)
    ]
    assert np.isclose(roc_auc(fraud, score), np.mean(pairs))


@pytest.mark.parametrize("decimals", [1, 2, 17])
def test_both_areas_are_those_of_scikit_learn(decimals: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    for seed in range(20):
        random = np.random.default_rng(seed)
        fraud = random.random(500) < 0.1
        fraud[0] = True
        score = np.round(random.random(500) * (1 + fraud), decimals)
        assert np.isclose(roc_auc(fraud, score), metrics.roc_auc_score(fraud, score), rtol=0, atol=1e-12)
        expected = metrics.average_precision_score(fraud, score)
        assert np.isclose(average_precision(fraud, score), expected, rtol=0, atol=1e-12)


def test_average_precision_takes_tied_scores_together() -> None:
    fraud = np.array([True, False, True, False])
    assert np.isclose(average_precision(fraud, np.array([0.9, 0.8, 0.7, 0.1])), 0.5 * 1 + 0.5 * 2 / 3)
    assert np.isclose(average_precision(fraud, np.array([0.5, 0.5, 0.5, 0.5])), 0.5)


def test_card_precision_counts_a_found_card_once() -> None:
    day = np.array([0, 0, 0, 1, 1, 1])
    customer = np.array([1, 2, 3, 1, 2, 3])
    fraud = np.array([True, False, False, True, False, True])
    score = np.array([0.9, 0.8, 0.1, 0.99, 0.2, 0.7])
    # day 0: customers 1 and 2 are looked at, 1 is found; day 1: 1 is not looked at again, 3 and 2 are, 3 is found
    assert card_precision(day, customer, fraud, score, k=2) == (1 / 2 + 1 / 2) / 2


def test_customers_known_to_be_compromised_are_not_tested() -> None:
    split = Split(train_from=0, train_days=2, delay_days=2, test_days=2)
    day = np.array([0, 1, 2, 4, 4, 5, 5])
    customer = np.array([1, 2, 3, 1, 3, 3, 4])
    fraud = np.array([True, False, True, True, True, True, False])
    assert split.train_rows(day).tolist() == [True, True, False, False, False, False, False]
    # customer 1 was caught in training; the fraud of customer 3 on day 2 is known from day 5 on
    assert split.test_rows(day, customer, fraud).tolist() == [False, False, False, False, True, False, True]
