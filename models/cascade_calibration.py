"""Where the first model of a cascade may be sure: the least that is passed on for a stated loss of quality.

Both models' scores of held-out rows are merged into one ranking, just as the stream merges them, and that ranking is
what is measured; nothing is rescaled, on the stream or here. Two models whose scores mean different things lose by
being merged, so that less can be settled by the first: the calibration sees it and passes more on.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bootstrap import Interval, Measure, Paired, average_precision_of, share_of
from models.bounds import upper_bound
from models.cascade import Expected, Scores, Thresholds, confidence_of, expected_of, merged

PASSED = (0.0, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2,
          0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # fmt: skip
"""Shares of rows that are tried, besides all of them; few, since the best of many tries is best by chance too."""
ABOVE = (0.0, 0.001, 0.004, 0.03, 0.1, 0.3)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Thresholds, what they cost in quality on the rows they were chosen on, and what to expect of a stream."""

    thresholds: Thresholds
    expected: Expected
    measure: str
    """`ap`, whose losses are relative, or `accuracy`, whose losses are shares of rows."""
    second_quality: float
    cascade_quality: float
    loss: Interval
    """`high` is what was held to `loss_max`."""
    loss_max: float
    confidence: float


def calibrate(
    first: NDArray[Any],
    second: NDArray[Any],
    truth: NDArray[Any],
    loss_max: float,
    confidence: float = 0.95,
    seed: int = 0,
) -> Calibrated:
    """The thresholds that pass the least on while the loss is at most `loss_max` with that confidence.

    Answers float[rows] of both models with truth bool[rows]; or probabilities float[rows, classes] with the true
    class of each row. The loss is of average precision, relative to the second model's, or of accuracy, absolute. A
    `loss_max` of 0 asks for none. At worst all is passed on, (0, 1): nothing is lost, nor saved. Rows are taken to
    be independent. The same for the same seed.
    """
    pair = (_Classes if first.ndim == 2 else _Ranked)(first, second, truth, seed)
    passed_first = sorted(pair.candidates(), key=lambda tried: float(tried.unsure(pair.score).mean()))
    for tried in passed_first:
        if pair.quality_lost(tried) > loss_max + 1e-12:
            continue
        loss = pair.loss(tried, confidence)
        if loss.high <= loss_max + 1e-12:
            break
    else:
        tried, loss = Thresholds(0.0, 1.0), Interval(0.0, 0.0, 0.0)
    once = np.ones(len(truth), np.int64)
    return Calibrated(
        tried,
        expected_of(first, second, tried),
        pair.measure,
        pair.alone(once),
        pair.of(tried)(once),
        loss,
        loss_max,
        confidence,
    )


class _Ranked:
    """Scores, measured by average precision."""

    measure = "ap"

    def __init__(self, first: Scores, second: Scores, truth: NDArray[np.bool_], seed: int) -> None:
        self.score, self._second, self._truth = first, second, truth
        self.alone: Measure = average_precision_of(truth, second)
        self._paired = Paired(self.alone, len(truth), seed)

    def candidates(self) -> list[Thresholds]:
        """Every pair of shares, at the scores where they end."""
        ordered = np.sort(self.score)
        rows = len(ordered)
        found = set()
        for passed, above in product(PASSED, ABOVE):
            if passed + above >= 1:
                continue
            top = max(0, rows - 1 - round(above * rows))
            bottom = max(0, rows - round((passed + above) * rows))
            high = 1.0 if above == 0 else float(ordered[top])
            low = float(ordered[bottom]) if bottom < rows else float(np.nextafter(ordered[-1], np.float32(2)))
            if low <= 1:
                found.add(Thresholds(low, max(high, low)))
        return sorted(found, key=lambda pair: (pair.sure_below, pair.sure_above))

    def of(self, tried: Thresholds) -> Measure:
        return average_precision_of(self._truth, merged(self.score, self._second, tried))

    def quality_lost(self, tried: Thresholds) -> float:
        """Without a bound."""
        once = np.ones(len(self.score), np.int64)
        was = self.alone(once)
        return (was - self.of(tried)(once)) / was if was > 0 else 0.0

    def loss(self, tried: Thresholds, confidence: float) -> Interval:
        return self._paired.lost(self.of(tried), confidence, relative=True)


class _Classes:
    """Probabilities of classes, measured by accuracy; the score is the likeliest's."""

    measure = "accuracy"

    def __init__(self, first: NDArray[Any], second: NDArray[Any], truth: NDArray[np.int64], seed: int) -> None:
        self.score: Scores = confidence_of(first)
        self._first = first.argmax(axis=1) == truth
        self._second = second.argmax(axis=1) == truth
        self.alone: Measure = share_of(self._second)
        self._paired = Paired(self.alone, len(truth), seed)

    def candidates(self) -> list[Thresholds]:
        """Every share, at the confidence where it begins."""
        ordered = np.sort(self.score)
        places = {min(len(ordered) - 1, max(0, round(passed * len(ordered)) - 1)) for passed in PASSED if passed}
        none = Thresholds(0.0, 0.0)
        return [none, *(Thresholds(0.0, float(ordered[place])) for place in sorted(places))]

    def of(self, tried: Thresholds) -> Measure:
        return share_of(np.where(tried.unsure(self.score), self._second, self._first))

    def quality_lost(self, tried: Thresholds) -> float:
        """Without a bound."""
        once = np.ones(len(self.score), np.int64)
        return self.alone(once) - self.of(tried)(once)

    def loss(self, tried: Thresholds, confidence: float) -> Interval:
        """Drawing again from rows of which none was lost finds none: the bound on such rows is exact instead."""
        drawn = self._paired.lost(self.of(tried), confidence)
        sure = ~tried.unsure(self.score)
        rows = len(sure)
        harmed, helped = (
            int((sure & self._second & ~self._first).sum()),
            int((sure & self._first & ~self._second).sum()),
        )
        exact = upper_bound(harmed, rows, 1 - confidence) - helped / rows if sure.any() else 0.0
        return Interval(drawn.value, drawn.low, max(drawn.high, exact))
