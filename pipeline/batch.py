"""What the batcher speaks in: what it asks of a tier, and what it decides."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

NEVER_NS = 2**62
NO_ROWS: NDArray[np.int32] = np.empty(0, np.int32)


class TierCost(Protocol):
    """What the batcher asks of the cost model of a tier that needs a session."""

    def promised_ns(self, rows: int) -> int:
        """How long a run of so many rows takes, as an upper quantile."""
        ...

    def expected_ns(self, rows: int) -> int:
        """How long it takes on average."""
        ...


class Delivery(NamedTuple):
    """The time from hand-over to delivery, which a deadline has to leave room for."""

    typical_ns: int
    promised_ns: int


AT_ONCE = Delivery(0, 0)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows to be scored together. `slots` is the receiver's to keep."""

    tier: int
    slots: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Plan:
    """What `poll` decided: batches to run now, and rows past saving."""

    batches: list[Batch]
    expired: NDArray[np.int32]
