"""A cheap model first, a dear one for the rows that it is unsure of: what becomes of a scored batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.cascade import agreement_of
from pipeline.cascade_watch import CascadeWatch
from pipeline.ladders import Ladders
from pipeline.rows import Rows
from pipeline.standing import Standing

BEST_TIER = 0
_MIX = np.uint64(0x9E3779B97F4A7C15)
_MIX_AGAIN = np.uint64(0xBF58476D1CE4E5B9)


@dataclass(slots=True)
class CascadeCounts:
    """Rows, each in one of the first three."""

    sure: int = 0
    passed: int = 0
    """Unsure, and answered by a tier above the first model's."""
    kept: int = 0
    """Unsure, and answered by the first model, as there was no time for another."""
    audited: int = 0
    """Of the sure ones: scored by the best tier too."""
    disagreed: int = 0
    """Of those: decided otherwise."""


class Cascade:
    """Splits what the first model scored, passes on what it is unsure of, and learns from what comes back.

    Rows that it is sure of have their answer: the first model's, in the standing of the best tier. The others have
    it once a higher tier has scored them, or when `kept` says that there was no time for that: then they keep their
    score, degraded. Of the sure ones a share of `audit_share`, drawn by partition and offset (so a replay draws the
    same), goes on too while nothing is overloaded; where there is no time it stays what it was. `by_confidence`: the
    models tell classes, and the first is sure by the probability of the likeliest. `decide` writes the decisions of
    rows by the score they have. Belongs to the loop's thread.
    """

    def __init__(
        self,
        rows: Rows,
        ladders: Ladders,
        standing: Standing,
        watch: CascadeWatch,
        decide: Callable[[NDArray[np.int32]], None],
        *,
        audit_share: float,
        by_confidence: bool,
    ) -> None:
        n = rows.capacity_rows
        self._rows = rows
        self._ladders = ladders
        self._standing = standing
        self._decide = decide
        self._audit_below = np.uint64(min(audit_share * 2.0**64, 2.0**64 - 2048))
        self._by_confidence = by_confidence
        self._audited: NDArray[np.bool_] = np.zeros(n, np.bool_)
        self._first_score: NDArray[np.float32] = np.zeros(n, np.float32)
        self._first_class: NDArray[np.int8] = np.zeros(n, np.int8)
        self._first_decision: NDArray[np.int8] = np.zeros(n, np.int8)
        self._counts = CascadeCounts()
        self.watch = watch

    def first(self, slots: NDArray[np.int32]) -> NDArray[np.int32]:
        """The first model has scored these rows; returns those that have their answer."""
        rows, score = self._rows, self._score(slots)
        unsure = self.watch.thresholds.unsure(score)
        sure = slots[~unsure]
        self.watch.scored(score)
        rows.serving[sure] = self._standing.of(rows.serving[sure])
        self._counts.sure += len(sure)
        self._audited[slots] = False
        if self._audit_below and not self._ladders.overloaded:
            audited = sure[self._drawn(sure)]
            if len(audited):
                self._audit(audited)
                unsure |= self._audited[slots]
        passed = slots[unsure]
        if not len(passed):
            return slots
        self._first_score[passed] = rows.score[passed]
        self._first_class[passed] = rows.likeliest[passed]
        self._ladders.pass_on(passed)
        return slots[~unsure]

    def _score(self, slots: NDArray[np.int32]) -> NDArray[np.float32]:
        rows = self._rows
        return rows.probabilities[slots, rows.likeliest[slots]] if self._by_confidence else rows.score[slots]

    def _audit(self, slots: NDArray[np.int32]) -> None:
        self._audited[slots] = True
        self._decide(slots)
        self._first_decision[slots] = self._rows.decision[slots]

    def _drawn(self, slots: NDArray[np.int32]) -> NDArray[np.bool_]:
        """A share of the slots, by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) of what their record is."""
        rows = self._rows
        mixed = rows.offset[slots].astype(np.uint64) + (rows.partition[slots].astype(np.uint64) << np.uint64(40))
        mixed *= _MIX
        mixed ^= mixed >> np.uint64(30)
        mixed *= _MIX_AGAIN
        mixed ^= mixed >> np.uint64(27)
        return mixed < self._audit_below

    def second(self, slots: NDArray[np.int32], tier: int) -> None:
        """A tier above the first model's has scored these rows: they have their answer."""
        audited = self._audited[slots]
        unsure = slots[~audited]
        self._counts.passed += len(unsure)
        if tier != BEST_TIER:
            return
        rows = self._rows
        if len(unsure):
            if self._by_confidence:
                self.watch.agreed((self._first_class[unsure] == rows.likeliest[unsure]).astype(np.float64))
            else:
                self.watch.agreed(agreement_of(self._first_score[unsure], rows.score[unsure]))
        if len(unsure) < len(slots):
            self._compare(slots[audited])

    def _compare(self, slots: NDArray[np.int32]) -> None:
        self._decide(slots)
        same = self._rows.decision[slots] == self._first_decision[slots]
        self._counts.audited += len(slots)
        self._counts.disagreed += int((~same).sum())
        self.watch.audited(same)

    def kept(self, slots: NDArray[np.int32], now_ns: int) -> None:
        """There was no time for another score: these rows keep the one they have, and waited until now."""
        self._counts.kept += int((~self._audited[slots]).sum())
        self._rows.dispatch_ns[slots] = now_ns - self._rows.score_ns[slots]

    def counts(self) -> Mapping[str, int]:
        """Running totals by name."""
        counts = self._counts
        return {
            "cascade_rows/sure": counts.sure,
            "cascade_rows/passed": counts.passed,
            "cascade_rows/kept": counts.kept,
            "cascade_audited/same": counts.audited - counts.disagreed,
            "cascade_audited/otherwise": counts.disagreed,
            "cascade_moved": self.watch.moved,
        }
