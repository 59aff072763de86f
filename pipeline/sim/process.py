"""What the simulator assumes of a process and of the ways to and from it."""

from dataclasses import dataclass

_UNBOUNDED = 2**62


@dataclass(frozen=True, slots=True)
class Hop:
    """One way through Kafka: the sender's linger, then a lognormal transit of this mean and spread."""

    linger_ns: int
    transit_ns: int
    sigma: float


@dataclass(frozen=True, slots=True)
class Ways:
    """Both ways through Kafka, as far as no configuration says: the producer's linger is the pipeline's own."""

    linger_ns: int = 2_000_000
    """Of whoever sends the events."""
    fetch_ns: int = 1_250_000
    """The mean transit of an event to the process."""
    delivery_ns: int = 1_250_000
    """The mean transit of a decision until its delivery is reported."""
    sigma: float = 0.7


@dataclass(frozen=True, slots=True)
class LoopCost:
    """What the loop pays beside the sessions; all zero unless said, for a study of the batcher alone."""

    turn_ns: int = 0
    """A turn, whatever it finds."""
    read_ns: int = 0
    """A read that finds rows, however many."""
    read_row_ns: int = 0
    """A row read, decoded, given features and offered."""
    batch_ns: int = 0
    """A batch taken out and handed to its session."""
    publish_ns: int = 0
    """A hand-over, of however many rows."""
    decided_row_ns: int = 0
    """A scored row decided, encoded, handed over and settled."""
    expired_row_ns: int = 0
    """The same for one that expired."""


@dataclass(frozen=True, slots=True)
class ProcessModel:
    """How a process runs. With `overlapped` sessions run beside the loop, else the loop waits for its one.

    `rows_max` bounds the rows from read to delivery; what finds no room waits unread. Without hops a row is
    seen as it arrives and delivered as it is handed over.
    """

    sessions: int = 1
    overlapped: bool = True
    poll_rows_max: int = _UNBOUNDED
    rows_max: int = _UNBOUNDED
    poll_interval_ns: int = 0
    little_rows: int = 256
    """A turn that did less than this waits `poll_interval_ns` before the next, as the engine does."""
    cost: LoopCost = LoopCost()
    fetch: Hop | None = None
    delivery: Hop | None = None
    promised_delivery_ns_max: int = _UNBOUNDED
    """Of the budget, what the learned delivery time may take."""

    def __post_init__(self) -> None:
        if self.sessions < 1 or (not self.overlapped and self.sessions != 1):
            raise ValueError(f"sessions: expected at least one, and one that the loop waits for: {self.sessions}")
