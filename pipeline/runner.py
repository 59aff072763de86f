"""A batch through its tier: rows scored by whoever answers there, and what came of them written back."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.answering import Answerer, Answerers, Answering
from pipeline.batch import Batch
from pipeline.beside import Tried, both, try_candidate
from pipeline.image_rows import Told, Unscorable
from pipeline.models_run import DeviceSession, ModelRun
from pipeline.rows import Rows
from pipeline.tier import ModelTier, Tier
from pipeline.ways import Now, Remembered, Way, Ways

_NOTHING = Told(np.empty(0, np.int32), [], 0, 0)


@dataclass(frozen=True, slots=True)
class Scored:
    """What became of a batch: `slots` have their score, `rejected` never will.

    `cost_ns` is what scoring `cost_rows` of them took, those that were not spared by an answer given before, without
    what was lost on the others; 0 for a rule. `lookup_ns` is what looking for such answers took. `runs` are what was
    run for it, for the bill; `tried` what a candidate made of its share.
    """

    batch: Batch
    slots: NDArray[np.int32]
    rejected: list[Unscorable]
    cost_ns: int
    cost_rows: int
    lookup_ns: int = 0
    runs: tuple[ModelRun, ...] = ()
    tried: Tried | None = None


class Runner:
    """Scores batches by whoever answers in their tier, in memory of its own. One thread at a time."""

    def __init__(
        self,
        rows: Rows,
        answerers: Answerers,
        rows_max: int,
        now_ns: Now,
        remembered: Remembered | None = None,
        cpu_ns: Now = time.thread_time_ns,
    ) -> None:
        self._rows = rows
        self._answerers = answerers
        self._now_ns = now_ns
        self._cpu_ns = cpu_ns
        self._new = Ways(rows, rows_max, now_ns, remembered or Remembered())
        self._ways: dict[int, tuple[Way, DeviceSession | None]] = {}
        self._changes = 0

    def _way(self, who: Answerer) -> tuple[Way, DeviceSession | None]:
        """How it scores, made when it is first asked; who answers no more is let go of."""
        if self._changes != self._answerers.changes:
            self._changes, alive = self._answerers.changes, self._answerers.alive()
            self._ways = {number: way for number, way in self._ways.items() if number in alive}
        if who.number not in self._ways:
            self._ways[who.number] = self._new.of(who)
        return self._ways[who.number]

    def _ask(self, who: Answerer, slots: NDArray[np.int32], runs: list[ModelRun]) -> Told:
        """Have these rows scored by it, and put on the bill what that took."""
        way, device = self._way(who)
        started_ns = self._cpu_ns()
        told = way.score(slots)
        gpu_ns = device.take_ns() if device is not None else 0
        runs.append(ModelRun(who.number, slots, self._cpu_ns() - started_ns, gpu_ns))
        self._rows.serving[told.slots] = who.number
        return told

    def run(self, batch: Batch) -> Scored:
        """Score the batch's rows."""
        started_ns, now = self._now_ns(), self._answerers.of(batch.tier)
        runs: list[ModelRun] = []
        tried, told = None, _NOTHING
        if now.candidate is None or now.choose is None:
            told = self._ask(now.stable, batch.slots, runs)
        else:
            tried, told = self._shared_out(now, now.candidate, now.choose(batch.slots), batch.slots, runs)
        took_ns = self._now_ns() - started_ns if isinstance(now.stable.tier, ModelTier) else 0
        self._rows.dispatch_ns[told.slots] = started_ns
        self._rows.score_ns[told.slots] = took_ns
        cost_ns = took_ns - told.lost_ns
        return Scored(batch, told.slots, told.rejected, cost_ns, told.cost_rows, told.lookup_ns, tuple(runs), tried)

    def _shared_out(
        self,
        now: Answering,
        candidate: Answerer,
        chosen: NDArray[np.bool_],
        slots: NDArray[np.int32],
        runs: list[ModelRun],
    ) -> tuple[Tried | None, Told]:
        """The chosen rows by the candidate; the others, and those that it fails at, by the stable version."""
        tried, told, left = None, _NOTHING, slots
        if chosen.any():
            asked = slots[chosen]
            tried, told, again = try_candidate(
                lambda asked: self._ask(candidate, asked, runs), asked, self._rows, self._now_ns
            )
            left = np.concatenate((slots[~chosen], again))
        return tried, both(told, self._ask(now.stable, left, runs)) if len(left) else told


def learn(tiers: Sequence[Tier], scored: Scored) -> None:
    """Tell the tier's cost model; in the loop's thread, as the batcher reads it there."""
    tier = tiers[scored.batch.tier]
    if isinstance(tier, ModelTier) and scored.cost_rows:
        tier.cost.observe(scored.cost_rows, scored.cost_ns)
