"""A batch through its tier: rows gathered, scored, and what came of them written back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.batch import Batch
from pipeline.image_rows import NO_CLASS, ImageRows, Told, Unscorable
from pipeline.recurrence import RecurrentRows
from pipeline.reuse import Reuse
from pipeline.rows import Rows
from pipeline.servings import own_serving
from pipeline.tier import ModelTier, RuleTier, Session, Tier
from pipeline.tier_reuse import TierReuse

Now = Callable[[], int]


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
    """Scores batches by any of the tiers, in memory of its own; None where it is not asked. One thread at a time.

    `recurrent` are the ways of the tiers that are models with state.
    """

    def __init__(
        self,
        rows: Rows,
        tiers: Sequence[Tier | None],
        rows_max: int,
        now_ns: Now,
        reuse: Reuse | None = None,
        recurrent: Mapping[int, RecurrentRows] | None = None,
    ) -> None:
        self._rows = rows
        self._tiers = tiers
        self._now_ns = now_ns
        self._ways: dict[int, _Way] = dict(recurrent or {})
        for number, tier in enumerate(tiers):
            if number in self._ways:
                continue
            if isinstance(tier, RuleTier):
                self._ways[number] = _RuleRows(rows, tier)
            elif tier is not None and tier.view is None:
                self._ways[number] = _FeatureRows(rows, tier.session, rows_max)
            elif tier is not None and tier.view is not None:
                answers = TierReuse(rows, reuse, number, tier.view.clean) if reuse is not None else None
                self._ways[number] = ImageRows(rows, tier.session, tier.view, rows_max, answers, now_ns)

    def run(self, batch: Batch) -> Scored:
        """Score the batch's rows."""
        started_ns = self._now_ns()
        told = self._ways[batch.tier].score(batch.slots)
        took_ns = self._now_ns() - started_ns if isinstance(self._tiers[batch.tier], ModelTier) else 0
        self._rows.serving[told.slots] = own_serving(batch.tier)
        self._rows.dispatch_ns[told.slots] = started_ns
        self._rows.score_ns[told.slots] = took_ns
        return Scored(batch, told.slots, told.rejected, took_ns - told.lost_ns, told.cost_rows)


def learn(tiers: Sequence[Tier], scored: Scored) -> None:
    """Tell the tier's cost model; in the loop's thread, as the batcher reads it there."""
    tier = tiers[scored.batch.tier]
    if isinstance(tier, ModelTier) and scored.cost_rows:
        tier.cost.observe(scored.cost_rows, scored.cost_ns)
