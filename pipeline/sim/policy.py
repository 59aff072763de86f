"""What decides in the simulator: the live engine's own batcher and cost models, used in this one place."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.cost import CostModel
from pipeline.batcher import Batcher, Plan
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

    def poll(self, now_ns: int, idle_sessions: int, delivery_ns: int) -> Plan:
        """What leaves now: at most one batch an idle session, and the expired."""
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


class LivePolicy:
    """`Batcher` over one `CostModel` a tier, exactly as a process of a pipeline holds them.

    `seeds` are the warm-up's runs, by bucket, of each tier; `buckets` as in the configuration.
    """

    def __init__(
        self,
        work: Workload,
        buckets: Sequence[int],
        seeds: Sequence[dict[int, list[int]]],
        *,
        deadlines: bool = True,
    ) -> None:
        self.costs = [CostModel(buckets) for _ in seeds]
        for cost, runs in zip(self.costs, seeds, strict=True):
            for bucket, runs_ns in runs.items():
                cost.seed(bucket, runs_ns)
        self._batcher = Batcher(work.deadline_ns, self.costs, max(buckets), deadlines=deadlines)

    @property
    def pending_rows(self) -> int:
        """Rows the batcher holds."""
        return self._batcher.pending_rows

    def offer(self, rows: NDArray[np.int32]) -> None:
        """Give rows to the batcher."""
        self._batcher.offer(rows)

    def poll(self, now_ns: int, idle_sessions: int, delivery_ns: int) -> Plan:
        """Ask the batcher."""
        return self._batcher.poll(now_ns, idle_sessions, delivery_ns)

    def next_wake_ns(self) -> int:
        """The batcher's."""
        return self._batcher.next_wake_ns()

    def observe(self, tier: int, rows: int, took_ns: int) -> None:
        """Tell the tier's cost model."""
        self.costs[tier].observe(rows, took_ns)

    def promised_ns(self, tier: int, rows: int) -> int:
        """The tier's cost model's."""
        return self.costs[tier].promised_ns(rows)
