"""A cascade of two models: which rows the cheap one settles, and whether that still holds as the stream drifts.

The first model scores every row. A row that it is sure of keeps its score; the others go on to the second model, and
have the second's. Pure functions of arrays: who keeps the scores, and how many, is the caller's affair.

A model that gives a probability for each class has its likeliest class's as the score here (`confidence_of`); there
only `sure_above` means anything, and `sure_below` is 0.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32] | NDArray[np.float64]
SIGMAS = 4.0
"""How far chance may take a share or a mean: one false word in some 16,000 looks."""
SHARE_SLACK = 0.25
"""Of the calibrated share passed on: an afternoon's customers are not the night's, and that is no drift."""
AGREEMENT_SLACK = 0.02


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The first model is sure of scores below `sure_below` and of those above `sure_above`.

    A score equal to either is not sure, so (0, 1) passes every row on; `sure_below` above `sure_above` passes none.
    NaN is never sure.
    """

    sure_below: float
    sure_above: float

    def unsure(self, first: Scores) -> NDArray[np.bool_]:
        """bool[rows]: what goes on to the second model."""
        return ~((first < self.sure_below) | (first > self.sure_above))


@dataclass(frozen=True, slots=True)
class Expected:
    """What the calibration saw, to hold a stream against."""

    rows: int
    below_share: float
    """Of all rows: sure, since their score was below `sure_below`."""
    above_share: float
    agreement: float
    """Of rows passed on: the mean of `agreement_of`."""
    agreement_std: float
    """Its standard deviation from row to row."""

    @property
    def passed_share(self) -> float:
        """Of all rows: passed on to the second model."""
        return max(0.0, 1.0 - self.below_share - self.above_share)


@dataclass(frozen=True, slots=True)
class Range:
    """A number that was found, and where it was to lie."""

    found: float
    low: float
    high: float

    @property
    def left(self) -> bool:
        """Whether it does not."""
        return not self.low <= self.found <= self.high


@dataclass(frozen=True, slots=True)
class Drift:
    """What recent scores say of a cascade."""

    rows: int
    passed_share: Range
    agreement: Range | None
    """None where no row was passed on."""
    proposed: Thresholds
    """Those with which the first model would be sure of the same shares of the recent rows as when calibrated."""

    @property
    def drifted(self) -> bool:
        """Whether either number has left its range: the thresholds no longer rest on the calibration."""
        return self.passed_share.left or (self.agreement is not None and self.agreement.left)


def confidence_of(probabilities: NDArray[Any]) -> NDArray[Any]:
    """The score of a model of classes, from float[rows, classes]: the likeliest class's probability."""
    best: NDArray[Any] = probabilities.max(axis=1)
    return best


def merged(first: Scores, second: Scores, thresholds: Thresholds) -> Scores:
    """The cascade's scores of rows that both models scored: the second's where the first is not sure."""
    return np.where(thresholds.unsure(first), second, first)


def agreement_of(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """How far two models agree on each row, in [0, 1].

    Of scores [rows]: 1 less the distance. Of probabilities [rows, classes]: 1 where the likeliest class is the same.
    """
    if first.ndim == 2:
        same: NDArray[np.float64] = (first.argmax(axis=1) == second.argmax(axis=1)).astype(np.float64)
        return same
    near: NDArray[np.float64] = 1.0 - np.abs(first.astype(np.float64) - second)
    return near


def expected_of(first: NDArray[Any], second: NDArray[Any], thresholds: Thresholds) -> Expected:
    """What a stream like these rows, scored by both models, will look like; scores [rows] or [rows, classes]."""
    score = confidence_of(first) if first.ndim == 2 else first
    unsure = thresholds.unsure(score)
    agreement = agreement_of(first[unsure], second[unsure])
    return Expected(
        len(score),
        float((score < thresholds.sure_below).mean()),
        float((score > thresholds.sure_above).mean()),
        float(agreement.mean()) if len(agreement) else 1.0,
        float(agreement.std()) if len(agreement) else 0.0,
    )


def proposed(recent: Scores, expected: Expected, old: Thresholds) -> Thresholds:
    """Thresholds for recent scores of the first model (at least one), by matching quantiles; labels are not needed.

    The most cautious ones that leave the calibrated shares sure: never is a larger share of `recent` sure than was,
    on either side. Where that is none, the old one stays if it leaves none. What the second model would say of the
    rows is not asked: this mends a shifted scale, not a first model that has become worse; calibrate anew for that.
    """
    ordered = np.sort(recent)
    rows = len(ordered)
    below, above = (int(share * rows + 1e-9) for share in (expected.below_share, expected.above_share))
    low, high = float(ordered[min(below, rows - 1)]), float(ordered[max(rows - 1 - above, 0)])
    return Thresholds(
        low if below else min(low, old.sure_below),
        high if above else max(high, old.sure_above),
    )


def drift_of(
    expected: Expected,
    thresholds: Thresholds,
    recent: Scores,
    agreement: NDArray[np.float64],
    share_slack: float = SHARE_SLACK,
    agreement_slack: float = AGREEMENT_SLACK,
) -> Drift:
    """Hold recent rows against the calibration.

    `recent` are scores of the first model of all recent rows, at least one; `agreement` is `agreement_of` those
    that were passed on and scored by both. A range is what was expected, give or take `SIGMAS` of what chance does
    with so few rows, and a slack: of the share, relative; of the agreement, absolute.
    """
    share, rows = expected.passed_share, len(recent)
    spread = math.sqrt(share * (1 - share) * (1 / rows + 1 / expected.rows)) + 1 / rows
    away = SIGMAS * spread + share_slack * share
    found = Range(float(thresholds.unsure(recent).mean()), share - away, share + away)
    agreed = None
    if len(agreement):
        passed = max(1.0, share * expected.rows)
        away = SIGMAS * expected.agreement_std * math.sqrt(1 / len(agreement) + 1 / passed) + agreement_slack
        agreed = Range(float(agreement.mean()), expected.agreement - away, expected.agreement + away)
    return Drift(rows, found, agreed, proposed(recent, expected, thresholds))
