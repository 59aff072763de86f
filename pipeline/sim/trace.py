"""What goes into a simulated run and what comes out: arrays with a cell a row, in the order of arrival."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.rows import Outcome

NOT_DISPATCHED = -1
NO_TIER = -1


@dataclass(frozen=True)
class Workload:
    """Rows that will arrive. `arrival_ns` (rising) is the record's timestamp, from which budgets count.

    `value` is the priority of each row: the higher keeps the better tier.
    """

    arrival_ns: NDArray[np.int64]
    deadline_ns: NDArray[np.int64]
    value: NDArray[np.float64]

    @classmethod
    def with_budget(
        cls, arrival_ns: NDArray[np.int64], budget_ns: int, value: NDArray[np.float64] | None = None
    ) -> "Workload":
        """Every row has the pipeline's budget; all are of equal value unless given."""
        worth = np.zeros(len(arrival_ns)) if value is None else value
        return cls(arrival_ns, arrival_ns + budget_ns, worth)

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.arrival_ns)


@dataclass(frozen=True)
class Batches:
    """Every run of a session, in the order of dispatch; a cell a batch."""

    start_ns: NDArray[np.int64]
    took_ns: NDArray[np.int64]
    promised_ns: NDArray[np.int64]
    tier: NDArray[np.int64]
    rows: NDArray[np.int64]
    session: NDArray[np.int64]

    def broken_promises(self) -> float:
        """The share of runs that took longer than promised."""
        return float((self.took_ns > self.promised_ns).mean()) if len(self.rows) else 0.0


@dataclass(frozen=True)
class Trace:
    """How each row ended, and when. Times are virtual ns; a row that expired has NOT_DISPATCHED and NO_TIER."""

    work: Workload
    read_ns: NDArray[np.int64]
    dispatch_ns: NDArray[np.int64]
    handed_ns: NDArray[np.int64]
    """When the decision was handed to the producer."""
    done_ns: NDArray[np.int64]
    """When it was delivered."""
    outcome: NDArray[np.int8]
    tier: NDArray[np.int8]
    batches: Batches
    loop_busy_ns: int
    """How long the loop worked, a session that it waits for included."""
    overlapped: bool
    """Whether sessions ran beside the loop."""
    in_flight_rows_max: int

    def latency_ns(self) -> NDArray[np.int64]:
        """From the record's timestamp to the delivery of its decision."""
        return self.done_ns - self.work.arrival_ns

    def deadline_met(self) -> NDArray[np.bool_]:
        """Whether a model's score was delivered in time. An expired row is a miss, as in the metrics."""
        met: NDArray[np.bool_] = (self.outcome != Outcome.EXPIRED) & (self.done_ns <= self.work.deadline_ns)
        return met

    def good(self) -> NDArray[np.bool_]:
        """The rows that count as goodput: scored by the best tier and delivered in time."""
        good: NDArray[np.bool_] = (self.tier == 0) & self.deadline_met()
        return good
