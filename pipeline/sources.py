"""Where the engine has its partitions, its state and its rows from: what it asks of each."""

from collections.abc import Sequence
from typing import Any, Protocol

from features.columns import Columns
from pipeline.clock import SystemClock
from pipeline.drain import Drain
from pipeline.intake import IntakeCounts, Rejected
from pipeline.kafka.consumer import Lane
from pipeline.router import Router
from pipeline.wire.dead_letter import DeadRecord


class PartitionSource(Protocol):
    """Where partitions come from: a consumer group, or a replay of all of them."""

    @property
    def drain(self) -> Drain | None:
        """Partitions being given up."""
        ...

    def serve(self, now_ns: int) -> int:
        """Handle what the source says; returns how much that was."""
        ...

    def lanes(self) -> Sequence[Lane]:
        """The lanes that may be read now."""
        ...

    def due_ns(self) -> int:
        """When `commit` next has something to do."""
        ...

    def commit(self, now_ns: int) -> None:
        """Commit what has moved, when it is time."""
        ...

    def commit_finished(self) -> None:
        """Commit all that is finished and wait for the answer."""
        ...

    def give_up(self, partitions: frozenset[Any], *, lost: bool) -> None:
        """Answer a revoke."""
        ...


class StateSource(Protocol):
    """What reads records that only feed state."""

    def poll(self) -> tuple[int, list[DeadRecord]]:
        """One turn: how many were read, and those that cannot become events."""
        ...


class RowSource(Protocol):
    """What makes rows of the lanes' records."""

    columns: Columns
    """The events of the rows: a row's slot is its place in both."""
    router: Router | None
    """What tells them which route they take, where there are routes."""

    @property
    def counts(self) -> IntakeCounts:
        """What has been read so far."""
        ...

    def poll(self, lanes: Sequence[Lane], clock: SystemClock) -> list[Rejected]:
        """Read, decode, compute features, offer; returns the bad records."""
        ...

    def forget(self, partition: Any) -> None:
        """The partition is another process's now."""
        ...
