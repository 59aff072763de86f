"""How well scores told hits from the others, each measure with the interval that 95 of 100 samples would give."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.bootstrap import average_precision_of, draws_of
from models.train.evaluate import average_precision, card_precision, roc_auc

Z = 1.96
SEED = 1
BINS = 10
MS_PER_DAY = 86_400_000
Scores = NDArray[np.float64]
Hits = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Measure:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far scores can be taken at their word: the expected error over BINS bins of equal width, and the bins.

    `reliability` has the mean score, the share of hits and the rows of each bin that has any.
    """

    ece: float
    reliability: tuple[tuple[float, float, int], ...]


def auc_of(hit: Hits, score: Scores) -> Measure | None:
    """ROC AUC with the interval of DeLong et al. (1988) by midranks (Sun and Xu, 2014); None without both kinds."""
    hits, others = int(hit.sum()), int((~hit).sum())
    if not hits or not others:
        return None
    value, ranks = roc_auc(hit, score), midranks(score)
    above = (ranks[hit] - midranks(score[hit])) / others
    below = 1 - (ranks[~hit] - midranks(score[~hit])) / hits
    spread = sum(float(np.var(part, ddof=1)) / len(part) for part in (above, below) if len(part) > 1)
    return _around(value, spread**0.5)


def midranks(score: Scores) -> Scores:
    """Ranks from 1, tied scores sharing the mean of theirs."""
    _, where, counts = np.unique(score, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Scores = (last - (counts - 1) / 2)[where]
    return ranks


def ap_of(hit: Hits, score: Scores) -> Measure | None:
    """Average precision, tied scores together, with the interval of the bootstrap; None without a hit."""
    if not hit.any():
        return None
    measure = average_precision_of(hit, score)
    found = [measure(counts) for counts in draws_of(len(score), SEED)]
    value = average_precision(hit, score)
    low, high = np.quantile(found, (0.025, 0.975))
    return Measure(value, min(float(low), value), max(float(high), value))


def cards_of(event_ms: NDArray[np.int64], key: NDArray[np.int64], hit: Hits, score: Scores, cards: int) -> Measure:
    """Card precision@k, the mean over days, with Wilson's interval for the cards that were looked at."""
    day = event_ms // MS_PER_DAY
    value = card_precision(day, key, hit, score, cards)
    looked_at = cards * len(np.unique(day))
    middle = (value + Z**2 / (2 * looked_at)) / (1 + Z**2 / looked_at)
    half = Z * (value * (1 - value) / looked_at + Z**2 / (4 * looked_at**2)) ** 0.5 / (1 + Z**2 / looked_at)
    return Measure(value, max(0.0, middle - half), min(1.0, middle + half))


def brier_of(hit: Hits, score: Scores) -> Measure:
    """The mean squared distance of score and hit (Brier, 1950), with its normal interval."""
    errors = (score - hit) ** 2
    return _around(float(errors.mean()), float(errors.std() / len(errors) ** 0.5))


def calibration_of(hit: Hits, score: Scores) -> Calibration:
    """The reliability of scores in [0, 1], and their expected calibration error."""
    place = np.clip((score * BINS).astype(np.int64), 0, BINS - 1)
    rows = np.bincount(place, minlength=BINS)
    many = np.maximum(rows, 1)
    mean, share = np.bincount(place, score, BINS) / many, np.bincount(place, hit, BINS) / many
    ece = float((rows * np.abs(mean - share)).sum() / rows.sum())
    told = [(float(mean[bin_]), float(share[bin_]), int(rows[bin_])) for bin_ in np.flatnonzero(rows)]
    return Calibration(ece, tuple(told))


def _around(value: float, deviation: float) -> Measure:
    return Measure(value, max(0.0, value - Z * deviation), min(1.0, value + Z * deviation))
