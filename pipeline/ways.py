"""The ways to score: a model of features, a model of images, a rule; with what is remembered of earlier rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.session import CUDA
from pipeline.answering import Answerer
from pipeline.image_rows import NO_CLASS, ImageRows, Told
from pipeline.models_run import DeviceSession
from pipeline.recurrence import RecurrentRows
from pipeline.reuse import Reuse
from pipeline.row_cache import RowCache
from pipeline.row_reuse import CachedRows
from pipeline.rows import Rows
from pipeline.tier import RuleTier, Session
from pipeline.tier_reuse import TierReuse

Now = Callable[[], int]


class Way(Protocol):
    """How one answerer scores; one thread at a time."""

    def score(self, slots: NDArray[np.int32]) -> Told:
        """Write the score of each row that can have one."""
        ...


@dataclass(frozen=True, slots=True)
class Remembered:
    """What ways know of rows that came before, shared by all threads that score; nothing where it is not asked for.

    `reuse` has the answers about frames; `cache_of` gives the scores of feature rows by an answerer's number, and
    `recurrent` has the ways of models with state by theirs: they are the loop's own.
    """

    reuse: Reuse | None = None
    cache_of: Callable[[int], RowCache] | None = None
    recurrent: Mapping[int, RecurrentRows] = field(default_factory=dict)


class Ways:
    """Makes ways, each with memory of its own for `rows_max` rows."""

    def __init__(self, rows: Rows, rows_max: int, now_ns: Now, remembered: Remembered) -> None:
        self._rows = rows
        self._rows_max = rows_max
        self._now_ns = now_ns
        self._remembered = remembered

    def of(self, who: Answerer) -> tuple[Way, DeviceSession | None]:
        """How it scores; where its session runs on a GPU, with a clock on that."""
        rows, tier, known = self._rows, who.tier, self._remembered
        if isinstance(tier, RuleTier):
            return _RuleRows(rows, tier), None
        if who.number in known.recurrent:
            return known.recurrent[who.number], None
        device = DeviceSession(tier.session, self._now_ns) if tier.label.provider == CUDA else None
        session: Session = device or tier.session
        if tier.view is not None:
            # Of the configured tiers this is the tier's number; a version that came later has answers of its own.
            kept = None if known.reuse is None else TierReuse(rows, known.reuse, who.number - 1, tier.view.clean)
            return ImageRows(rows, session, tier.view, self._rows_max, kept, self._now_ns), device
        if known.cache_of is not None:
            return CachedRows(rows, session, self._rows_max, known.cache_of(who.number), self._now_ns), device
        return _FeatureRows(rows, session, self._rows_max), device


class _FeatureRows:
    """Feature rows gathered side by side for a session, scores scattered back."""

    def __init__(self, rows: Rows, session: Session, rows_max: int) -> None:
        self._rows = rows
        self._session = session
        self._input = np.zeros((rows_max, rows.features32.shape[1]), np.float32)
        self._scores = np.zeros(rows_max, np.float32)

    def score(self, slots: NDArray[np.int32]) -> Told:
        inputs, scores = self._input[: len(slots)], self._scores[: len(slots)]
        np.take(self._rows.features32, slots, axis=0, out=inputs, mode="clip")
        self._session.run(inputs, scores)
        self._rows.score[slots] = scores
        return Told(slots, [], len(slots), 0)


class _RuleRows:
    """Features where they are; a rule knows no class."""

    def __init__(self, rows: Rows, tier: RuleTier) -> None:
        self._rows = rows
        self._rule = tier.rule

    def score(self, slots: NDArray[np.int32]) -> Told:
        self._rule.score(self._rows.features64, slots, self._rows.score)
        self._rows.likeliest[slots] = NO_CLASS
        return Told(slots, [], 0, 0)
