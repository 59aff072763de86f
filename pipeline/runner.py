"""A batch through its tier: rows gathered, scored, and what came of them written back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.answering import Answerer, Answerers
from pipeline.batch import Batch
from pipeline.beside import Tried, both, try_candidate
from pipeline.image_rows import NO_CLASS, ImageRows, Told, Unscorable
from pipeline.reuse import Reuse
from pipeline.rows import Rows
from pipeline.tier import ModelTier, RuleTier, Session, Tier
from pipeline.tier_reuse import TierReuse

Now = Callable[[], int]
_NOTHING = Told(np.empty(0, np.int32), [], 0, 0)


@dataclass(frozen=True, slots=True)
class Scored:
    """What became of a batch: `slots` have their score, `rejected` never will.

    `cost_ns` is what scoring `cost_rows` of them took, those that were not spared by an answer given before, without
    what was lost on the others; 0 for a rule.
    """

    batch: Batch
    slots: NDArray[np.int32]
    rejected: list[Unscorable]
    cost_ns: int
    cost_rows: int
    tried: Tried | None = None


class _Way(Protocol):
    def score(self, slots: NDArray[np.int32]) -> Told: ...


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


class Runner:
    """Scores batches by whoever answers in their tier, in memory of its own. One thread at a time."""

    def __init__(
        self,
        rows: Rows,
        answerers: Answerers,
        rows_max: int,
        now_ns: Now,
        reuse: Reuse | None = None,
    ) -> None:
        self._rows = rows
        self._answerers = answerers
        self._rows_max = rows_max
        self._now_ns = now_ns
        self._reuse = reuse
        self._ways: dict[int, _Way] = {}
        self._changes = 0

    def _way(self, who: Answerer) -> _Way:
        """How it scores, made when it is first asked; who answers no more is let go of."""
        if self._changes != self._answerers.changes:
            self._changes, alive = self._answerers.changes, self._answerers.alive()
            self._ways = {number: way for number, way in self._ways.items() if number in alive}
        if who.number not in self._ways:
            self._ways[who.number] = self._new_way(who)
        return self._ways[who.number]

    def _new_way(self, who: Answerer) -> _Way:
        rows, tier = self._rows, who.tier
        if isinstance(tier, RuleTier):
            return _RuleRows(rows, tier)
        if tier.view is None:
            return _FeatureRows(rows, tier.session, self._rows_max)
        # Of the configured tiers this is the tier's number; a version that came later has answers of its own.
        kept = None if self._reuse is None else TierReuse(rows, self._reuse, who.number - 1, tier.view.clean)
        return ImageRows(rows, tier.session, tier.view, self._rows_max, kept, self._now_ns)

    def run(self, batch: Batch) -> Scored:
        """Score the batch's rows."""
        started_ns = self._now_ns()
        now, rows, tried = self._answerers.of(batch.tier), self._rows, None
        if now.candidate is None or now.choose is None:
            told = self._way(now.stable).score(batch.slots)
            rows.serving[told.slots] = now.stable.number
        else:
            chosen = now.choose(batch.slots)
            told, left = _NOTHING, batch.slots
            if chosen.any():
                way = self._way(now.candidate)
                tried, told, again = try_candidate(way.score, batch.slots[chosen], rows, self._now_ns)
                rows.serving[told.slots] = now.candidate.number
                left = np.concatenate((batch.slots[~chosen], again))
            if len(left):
                rest = self._way(now.stable).score(left)
                rows.serving[rest.slots] = now.stable.number
                told = both(told, rest)
        took_ns = self._now_ns() - started_ns if isinstance(now.stable.tier, ModelTier) else 0
        rows.dispatch_ns[told.slots] = started_ns
        rows.score_ns[told.slots] = took_ns
        return Scored(batch, told.slots, told.rejected, took_ns - told.lost_ns, told.cost_rows, tried)


def learn(tiers: Sequence[Tier], scored: Scored) -> None:
    """Tell the tier's cost model; in the loop's thread, as the batcher reads it there."""
    tier = tiers[scored.batch.tier]
    if isinstance(tier, ModelTier) and scored.cost_rows:
        tier.cost.observe(scored.cost_rows, scored.cost_ns)
