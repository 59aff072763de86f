"""What decides in the simulator: the live engine's own batcher and cost models, used in this one place."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.cost import CostModel
from pipeline.batch import Batch, Delivery, Plan
from pipeline.batcher import Batcher, Objective
from pipeline.sim.trace import Workload


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


def seeded(buckets: Sequence[int], runs: dict[int, list[int]], *, padded: bool = False) -> CostModel:
    """A cost model that has seen a warm-up."""
    cost = CostModel(buckets, padded=padded)
    for bucket, runs_ns in runs.items():
        cost.seed(bucket, runs_ns)
    return cost
