"""How good a fraud model is, by the Fraud Detection Handbook's protocol (Le Borgne et al., 2022, chapter 5).

Train on some days, leave a week for labels to come in, test on the next days; customers whose card is known to be
compromised are not counted again. Three numbers: ROC AUC, average precision, and card precision@k, the share of
compromised cards among the k that a day's investigators look at.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Quality:
    """ROC AUC, average precision and card precision@k."""

    auc: float
    ap: float
    cp: float

    def as_dict(self) -> dict[str, float]:
        """For a manifest."""
        return {"auc": round(self.auc, 4), "ap": round(self.ap, 4), "cp100": round(self.cp, 4)}


def roc_auc(fraud: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """The probability that a fraud scores above a genuine one, ties counted half (Mann and Whitney, 1947)."""
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    _, first, counts = np.unique(ranked, return_index=True, return_counts=True)
    ranks = np.empty(len(score))
    ranks[order] = np.repeat(first + (counts + 1) / 2, counts)
    hits = int(fraud.sum())
    return float((ranks[fraud].sum() - hits * (hits + 1) / 2) / (hits * (len(fraud) - hits)))


def average_precision(fraud: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """The sum of precision over steps of recall, tied scores taken together."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(fraud[order])
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    precision, recall = hits[last] / (last + 1), hits[last] / hits[-1]
    return float(np.sum(np.diff(np.append(0.0, recall)) * precision))


def card_precision(
    day: NDArray[np.int64],
    customer: NDArray[np.int64],
    fraud: NDArray[np.bool_],
    score: NDArray[np.float64],
    k: int = 100,
) -> float:
    """The mean over days of hits among the k customers whose highest score of the day is highest.

    A compromised customer that was found is not looked at again on later days.
    """
    found: set[int] = set()
    shares = []
    for today in np.unique(day):
        rows = np.flatnonzero(day == today)
        rows = rows[~np.isin(customer[rows], list(found))]
        customers, where = np.unique(customer[rows], return_inverse=True)
        best = np.full(len(customers), -np.inf)
        np.maximum.at(best, where, score[rows])
        hit = np.zeros(len(customers), np.bool_)
        np.logical_or.at(hit, where, fraud[rows])
        top = np.argsort(-best, kind="stable")[:k]
        compromised = customers[top][hit[top]]
        shares.append(len(compromised) / k)
        found.update(compromised.tolist())
    return float(np.mean(shares))


@dataclass(frozen=True)
class Split:
    """Days since the first one: train on [train_from, train_from + train_days), test after the delay."""

    train_from: int
    train_days: int = 7
    delay_days: int = 7
    test_days: int = 7

    @property
    def test_from(self) -> int:
        """The first test day."""
        return self.train_from + self.train_days + self.delay_days

    def train_rows(self, day: NDArray[np.int64]) -> NDArray[np.bool_]:
        """bool[rows]: what the model may learn from."""
        return (day >= self.train_from) & (day < self.train_from + self.train_days)

    def test_rows(
        self, day: NDArray[np.int64], customer: NDArray[np.int64], fraud: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """bool[rows]: the test days, without customers known to be compromised by each day.

        Known are frauds of the training days, and on test day d those whose labels have come in: of the days
        from training's end to `delay_days` before d.
        """
        chosen = np.zeros(len(day), np.bool_)
        known = set(customer[fraud & self.train_rows(day)].tolist())
        for step in range(self.test_days):
            today = self.test_from + step
            reported = fraud & (day == today - self.delay_days - 1) & (step > 0)
            known |= set(customer[reported].tolist())
            chosen |= (day == today) & ~np.isin(customer, list(known))
        return chosen


def evaluate(
    day: NDArray[np.int64], customer: NDArray[np.int64], fraud: NDArray[np.bool_], score: NDArray[np.float64]
) -> Quality:
    """Quality on rows already chosen."""
    return Quality(
        roc_auc(fraud, score), average_precision(fraud, score), card_precision(day, customer, fraud, score)
    )
