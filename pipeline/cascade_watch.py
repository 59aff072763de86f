"""Whether a cascade still does what it was calibrated to do, window by window. Pure but for its log lines."""

import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.cascade import Drift, Expected, Range, Thresholds, drift_of

AUDITS_ROWS = 2_000
"""The share of audited rows that were decided otherwise is of so many, the last ones."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Moves:
    """How far thresholds may be moved: the least and the most of each."""

    sure_below: tuple[float, float]
    sure_above: tuple[float, float]

    def within(self, asked: Thresholds) -> Thresholds:
        """The thresholds next to what is asked that are allowed."""
        below, above = self.sure_below, self.sure_above
        return Thresholds(
            min(max(asked.sure_below, below[0]), below[1]), min(max(asked.sure_above, above[0]), above[1])
        )


class CascadeWatch:
    """Holds recent rows against what the calibration expected; `thresholds` are those in force.

    Each full window of `window_rows` rows is looked at once, and then forgotten. Where the share that is passed on
    has left its range and `moves` are allowed, the thresholds move to those that leave the calibrated shares sure, as
    far as `moves` lets them. Without `expected` nothing is held against anything, and only audits are counted.
    """

    def __init__(
        self, thresholds: Thresholds, expected: Expected | None, window_rows: int, moves: Moves | None = None
    ) -> None:
        self.thresholds = thresholds
        self.moved = 0
        self._expected = expected
        self._window_rows = window_rows
        self._moves = moves
        self._scores: list[NDArray[np.float32]] = []
        self._rows = 0
        self._agreement: list[NDArray[np.float64]] = []
        self._audits: deque[bool] = deque(maxlen=AUDITS_ROWS)
        self._last: Drift | None = None
        self._told = False

    def scored(self, score: NDArray[np.float32]) -> None:
        """The first model has scored these rows. The array is kept."""
        if self._expected is None:
            return
        self._scores.append(score)
        self._rows += len(score)
        if self._rows >= self._window_rows:
            self._look(self._expected)

    def agreed(self, agreement: NDArray[np.float64]) -> None:
        """How far the second model agreed with the first on rows that were passed on. The array is kept."""
        if self._expected is not None:
            self._agreement.append(agreement)

    def audited(self, same: NDArray[np.bool_]) -> None:
        """Whether rows that the first model was sure of were decided the same by the second."""
        self._audits.extend(same.tolist())

    def _look(self, expected: Expected) -> None:
        agreement = np.concatenate((np.empty(0), *self._agreement))
        drift = self._last = drift_of(expected, self.thresholds, np.concatenate(self._scores), agreement)
        self._scores.clear()
        self._agreement.clear()
        self._rows = 0
        if drift.drifted != self._told:
            self._told = drift.drifted
            self._tell(drift)
        if drift.passed_share.left and self._moves is not None:
            self._move(self._moves.within(drift.proposed), drift)

    def _tell(self, drift: Drift) -> None:
        if not drift.drifted:
            log.info("the cascade is as calibrated again: %s", _said("passed on", drift.passed_share))
            return
        agreed = [_said("agreement", drift.agreement)] if drift.agreement is not None else []
        log.warning(
            "the cascade is no longer as calibrated: %s; calibrate it anew (headrace models cascade)",
            ", ".join((_said("passed on", drift.passed_share), *agreed)),
        )

    def _move(self, moved: Thresholds, drift: Drift) -> None:
        old = self.thresholds
        if moved == old:
            return
        self.thresholds = moved
        self.moved += 1
        log.info(
            "thresholds of the cascade moved: sure_below %.6f to %.6f, sure_above %.6f to %.6f, since %s",
            old.sure_below,
            moved.sure_below,
            old.sure_above,
            moved.sure_above,
            _said("passed on", drift.passed_share),
        )

    def levels(self) -> Mapping[str, float]:
        """What is as it is now, by name; of the last full window, where there was one."""
        found = {"cascade_sure/below": self.thresholds.sure_below, "cascade_sure/above": self.thresholds.sure_above}
        if self._audits:
            found["cascade_disagreement"] = 1.0 - sum(self._audits) / len(self._audits)
        if self._last is not None:
            found |= _ranged("cascade_passed_share", self._last.passed_share)
            if self._last.agreement is not None:
                found |= _ranged("cascade_agreement", self._last.agreement)
            found["cascade_drifted"] = float(self._last.drifted)
        return found


def _ranged(name: str, of: Range) -> dict[str, float]:
    return {f"{name}/found": of.found, f"{name}/low": of.low, f"{name}/high": of.high}


def _said(what: str, of: Range) -> str:
    return f"{what} {of.found:.4f}, expected {of.low:.4f} to {of.high:.4f}"
