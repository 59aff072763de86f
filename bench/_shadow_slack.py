"""A loop in virtual time at a share of its capacity, with a shadow in its slack and without: like for like.

Arrivals and noise are the same in both.

The batcher and the cost model are the product's own, and so is what may run in slack; events arrive by chance
(Poisson), runs take what the model costs, times noise (lognormal).
"""

from dataclasses import dataclass

import numpy as np

from models.cost import CostModel
from pipeline.batcher import Batcher
from pipeline.clock import NS_PER_MS
from pipeline.engine import LITTLE
from pipeline.rollout.shadow import ShadowRows
from pipeline.servings import TierLabel
from pipeline.tier import ModelTier

BUCKETS = (1, 2, 4, 8, 16, 32, 64)
TURN_NS = 150_000
"""What a turn of the loop takes beside the model."""
PAUSE_NS = 5 * NS_PER_MS
NOISE = 0.2
WORK_AN_EVENT = 3
"""An event is read, decided and delivered."""
LABEL = TierLabel("primary", "m", "1", "CPUExecutionProvider")


@dataclass(frozen=True)
class Slack:
    """One simulated stretch. `us_a_row` is what either version costs, beside 100 us a run."""

    us_a_row: float
    budget_ms: float
    utilisation: float
    events: int
    shadow: bool
    run_us_max: int = 1000
    seed: int = 1

    def cost_ns(self, rows: int) -> float:
        return 100_000 + rows * self.us_a_row * 1000

    def capacity_rows_s(self) -> float:
        """Full batches, one after the other."""
        return BUCKETS[-1] / (self.cost_ns(BUCKETS[-1]) + TURN_NS) * 1e9


@dataclass(frozen=True)
class Kept:
    """What became of the events, and how many copies the shadow has scored."""

    missed_share: float
    p99_ms: float
    shadow_rows: int
    busy_share: float


class _Loop:
    def __init__(self, slack: Slack) -> None:
        self.slack = slack
        drawn = np.random.default_rng(slack.seed)
        rate = slack.capacity_rows_s() * slack.utilisation
        self.arrival_ns = np.cumsum(drawn.exponential(1e9 / rate, slack.events)).astype(np.int64)
        self.deadline_ns = self.arrival_ns + int(slack.budget_ms * NS_PER_MS)
        self.noise = np.random.default_rng(slack.seed + 1)
        self.shadow_noise = np.random.default_rng(slack.seed + 2)
        self.cost = self._seeded()
        self.other = ModelTier("primary", None, self._seeded(), LABEL, ())  # type: ignore[arg-type]
        self.batcher = Batcher(self.deadline_ns, np.zeros(slack.events), [self.cost], BUCKETS)
        self.copies = ShadowRows(1, 8192)
        self.done_ns = np.zeros(slack.events, np.int64)
        self.now_ns = self.offered = self.ended = self.shadow_rows = self.busy_ns = 0

    def _seeded(self) -> CostModel:
        made = CostModel(BUCKETS)
        for bucket in BUCKETS:
            made.seed(bucket, [int(self.slack.cost_ns(bucket))])
        return made

    def turn(self) -> int:
        """Offer what has come, run what the batcher says; returns the rows."""
        until = int(np.searchsorted(self.arrival_ns, self.now_ns, "right"))
        come = until - self.offered
        if come:
            self.batcher.offer(np.arange(self.offered, until, dtype=np.int32))
            self.offered = until
            self.now_ns += TURN_NS
        while self.batcher.pending_rows:
            plan = self.batcher.poll(self.now_ns)
            self.ended += len(plan.expired)
            for batch in plan.batches:
                took_ns = int(self.slack.cost_ns(len(batch.slots)) * self.noise.lognormal(0.0, NOISE))
                self.now_ns += took_ns
                self.busy_ns += took_ns
                self.cost.observe(len(batch.slots), took_ns)
                self.batcher.complete(batch)
                self.done_ns[batch.slots] = self.now_ns
                self.ended += len(batch.slots)
                self.copies.waiting += min(self.copies.room(), len(batch.slots))
        return come

    def rest(self, come: int) -> None:
        """What the loop would sleep: until more comes, or for a pause while little does; else it does not."""
        if come * WORK_AN_EVENT >= LITTLE:
            return
        due_ns = int(self.arrival_ns[self.offered]) if self.offered < self.slack.events else self.now_ns
        spare_ns = PAUSE_NS if come else 100 * NS_PER_MS
        if self.slack.shadow and self.copies.waiting and self._spared(spare_ns):
            return
        self.now_ns = self.now_ns + PAUSE_NS if come else max(self.now_ns, due_ns)

    def _spared(self, spare_ns: int) -> bool:
        count = self.copies.rows_within(self.other, min(spare_ns, self.slack.run_us_max * 1000))
        if count:
            took_ns = int(self.slack.cost_ns(count) * self.shadow_noise.lognormal(0.0, NOISE))
            self.now_ns += took_ns
            self.other.cost.observe(count, took_ns)
            self.copies.waiting -= count
            self.shadow_rows += count
        return count > 0


def simulated(slack: Slack) -> Kept:
    """All events through the loop."""
    loop = _Loop(slack)
    while loop.ended < slack.events:
        loop.rest(loop.turn())
    answered = loop.done_ns > 0
    in_time = answered & (loop.done_ns <= loop.deadline_ns)
    waited_ms = (loop.done_ns - loop.arrival_ns)[answered] / NS_PER_MS
    return Kept(
        1.0 - float(in_time.mean()),
        float(np.quantile(waited_ms, 0.99)),
        loop.shadow_rows,
        loop.busy_ns / loop.now_ns,
    )
