"""What the batcher speaks in: what it asks of a tier, and what it decides."""

from dataclasses import dataclass, field
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
    """Rows to be scored together. `slots` is the receiver's to keep. `ladder`: which of several asks for it."""

    tier: int
    slots: NDArray[np.int32]
    ladder: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What `poll` decided: batches to run now, rows past saving, and rows that keep the score they have."""

    batches: list[Batch]
    expired: NDArray[np.int32]
    kept: NDArray[np.int32] = field(default_factory=lambda: NO_ROWS)


@dataclass(frozen=True, slots=True)
class Ladder:
    """One of several ladders of tiers that share the sessions: its number, and the pipeline's of its tiers."""

    number: int
    tiers: tuple[int, ...]


class Batching(Protocol):
    """What the engine, and what feeds it, ask of whatever makes batches of rows; see `Batcher`."""

    @property
    def pending_rows(self) -> int:
        """Rows offered that have not left yet."""
        ...

    @property
    def overloaded(self) -> bool:
        """Whether not all rows can be served as they should be."""
        ...

    def offer(self, slots: NDArray[np.int32]) -> None:
        """Take rows in."""
        ...

    def give_up(self, slots: NDArray[np.int32]) -> None:
        """Take rows in that are past saving already."""
        ...

    def waiting(self) -> NDArray[np.int32]:
        """The rows that may still be scored and have no score yet, earliest deadline first."""
        ...

    def drop(self, keep: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Remove the pending rows whose slot is False in `keep`, and return them."""
        ...

    def complete(self, batch: Batch) -> None:
        """The batch has been run."""
        ...

    def poll(self, now_ns: int, delivery: Delivery = AT_ONCE) -> Plan:
        """Take out what must leave now."""
        ...

    def lost_before_ns(self, now_ns: int, delivery: Delivery) -> int:
        """A row due before this is past saving."""
        ...

    def next_wake_ns(self) -> int:
        """When `poll` next has something to say, whatever happens."""
        ...
