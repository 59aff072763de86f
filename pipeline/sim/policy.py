"""What decides in the simulator: the live engine's own batcher and cost models, used in this one place."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from models.cost import CostModel
from pipeline.batch import NO_ROWS, Batch, Delivery, Ladder, Plan
from pipeline.batcher import Batcher, Objective
from pipeline.ladders import KEEP, Ladders
from pipeline.sim.trace import Workload


class Answered(NamedTuple):
    """What becomes of a batch's rows once it has run: `rows` are answered, as by `tier`, `passed` go on."""

    rows: NDArray[np.int32]
    tier: int
    passed: NDArray[np.int32]


class Policy(Protocol):
    """How the simulated loop drives whatever decides; a rival policy of a benchmark has the same methods.

    Rows are named by their number in the workload. `offer` gives them in the order read.
    """

    @property
    def pending_rows(self) -> int:
        """Rows offered that have not left in a plan."""
        ...

    def offer(self, rows: NDArray[np.int32]) -> None:
        """These rows were read."""
        ...

    def poll(self, now_ns: int, delivery: Delivery) -> Plan:
        """What leaves now: at most one batch an idle session, a rule's rows, and the expired."""
        ...

    def complete(self, batch: Batch) -> None:
        """The batch's run has ended; its session is idle."""
        ...

    def next_wake_ns(self) -> int:
        """When to poll again even if nothing happens before."""
        ...

    def observe(self, tier: int, rows: int, took_ns: int) -> None:
        """A run has ended."""
        ...

    def promised_ns(self, tier: int, rows: int) -> int:
        """What is promised of such a run now."""
        ...

    @property
    def first_tier(self) -> int:
        """The tier of a cascade's first model: that of rows that keep its score."""
        ...

    def answered(self, batch: Batch) -> Answered:
        """What becomes of the batch's rows, the same whenever it is asked."""
        ...

    def pass_on(self, rows: NDArray[np.int32]) -> None:
        """These rows were passed on."""
        ...


class Decides(Protocol):
    """What the engine asks of a batcher while nothing is revoked."""

    @property
    def pending_rows(self) -> int: ...  # noqa: D102

    def offer(self, slots: NDArray[np.int32]) -> None: ...  # noqa: D102

    def poll(self, now_ns: int, delivery: Delivery) -> Plan: ...  # noqa: D102

    def complete(self, batch: Batch) -> None: ...  # noqa: D102

    def next_wake_ns(self) -> int: ...  # noqa: D102


class CostedPolicy:
    """A batcher and the cost model of each tier, None for a rule, as a process of a pipeline holds them."""

    def __init__(self, batcher: Decides, costs: Sequence[CostModel | None]) -> None:
        self._batcher = batcher
        self.costs = costs

    @property
    def pending_rows(self) -> int:
        """Rows the batcher holds."""
        return self._batcher.pending_rows

    def offer(self, rows: NDArray[np.int32]) -> None:
        """Give rows to the batcher."""
        self._batcher.offer(rows)

    def poll(self, now_ns: int, delivery: Delivery) -> Plan:
        """Ask the batcher."""
        return self._batcher.poll(now_ns, delivery)

    def complete(self, batch: Batch) -> None:
        """Tell the batcher."""
        self._batcher.complete(batch)

    def next_wake_ns(self) -> int:
        """The batcher's."""
        return self._batcher.next_wake_ns()

    def observe(self, tier: int, rows: int, took_ns: int) -> None:
        """Tell the tier's cost model."""
        if (cost := self.costs[tier]) is not None:
            cost.observe(rows, took_ns)

    def promised_ns(self, tier: int, rows: int) -> int:
        """The tier's cost model's; a rule takes no time."""
        cost = self.costs[tier]
        return 0 if cost is None else cost.promised_ns(rows)

    first_tier = 0

    def answered(self, batch: Batch) -> Answered:
        """All of them, by the tier that scored them."""
        return Answered(batch.slots, batch.tier, NO_ROWS)

    def pass_on(self, rows: NDArray[np.int32]) -> None:
        """There is no second stage."""


class LivePolicy(CostedPolicy):
    """The engine's own batcher. `seeds` are the warm-up's runs, by bucket, of each tier, None for a rule.

    With `padded` a batch runs at the size of the smallest bucket that holds it, in every tier.
    """

    def __init__(
        self,
        work: Workload,
        buckets: Sequence[int],
        seeds: Sequence[dict[int, list[int]] | None],
        *,
        sessions: int = 1,
        objective: Objective = "latency",
        deadlines: bool = True,
        padded: bool = False,
    ) -> None:
        costs = [None if runs is None else seeded(buckets, runs, padded=padded) for runs in seeds]
        batcher = Batcher(
            work.deadline_ns,
            work.value,
            costs,
            buckets,
            sessions=sessions,
            objective=objective,
            deadlines=deadlines,
        )
        super().__init__(batcher, costs)


class CascadePolicy(CostedPolicy):
    """The engine's own ladders of a cascade whose first model is of tier `first`, and is unsure of the rows `unsure`.

    `seeds` and `padded` as of `LivePolicy`; `second` is the objective of the second stage.
    """

    def __init__(
        self,
        work: Workload,
        buckets: Sequence[int],
        seeds: Sequence[dict[int, list[int]] | None],
        first: int,
        unsure: NDArray[np.bool_],
        *,
        sessions: int = 1,
        objective: Objective = "latency",
        second: Objective = "latency",
        padded: bool = False,
    ) -> None:
        costs = [None if runs is None else seeded(buckets, runs, padded=padded) for runs in seeds]
        running: list[Batch] = []
        stages = (Ladder(0, tuple(range(first, len(costs)))), Ladder(1, (*range(first), KEEP)))
        entry, further = (
            Batcher(
                work.deadline_ns,
                work.value,
                [None if tier == KEEP else costs[tier] for tier in ladder.tiers],
                buckets,
                sessions=sessions,
                objective=asked,
                ladder=ladder,
                running=running,
            )
            for ladder, asked in zip(stages, (objective, second), strict=True)
        )
        route = np.zeros(work.rows, np.int8)
        cheap = costs[first]
        assert cheap is not None
        self._ladders = Ladders(
            [entry], further, running, [0], route, work.deadline_ns, lambda: 2 * cheap.promised_ns(buckets[-1])
        )
        self._unsure = unsure
        self.first_tier = first
        super().__init__(self._ladders, costs)

    def answered(self, batch: Batch) -> Answered:
        """Of the first model's rows those that it is sure of, as by the best tier."""
        if batch.ladder or batch.tier != self.first_tier:
            return super().answered(batch)
        on = self._unsure[batch.slots]
        return Answered(batch.slots[~on], 0, batch.slots[on])

    def pass_on(self, rows: NDArray[np.int32]) -> None:
        """To the second stage."""
        self._ladders.pass_on(rows)


def seeded(buckets: Sequence[int], runs: dict[int, list[int]], *, padded: bool = False) -> CostModel:
    """A cost model that has seen a warm-up."""
    cost = CostModel(buckets, padded=padded)
    for bucket, runs_ns in runs.items():
        cost.seed(bucket, runs_ns)
    return cost
