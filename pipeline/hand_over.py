"""Which outcomes may go into the open transaction, and when it is committed. Pure."""

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar


class Run(Protocol):
    """Records of one partition that were read together, in one piece."""

    @property
    def partition(self) -> Any: ...  # noqa: D102


R = TypeVar("R", bound=Run)


class HandOver(Generic[R]):
    """Runs of each partition leave in the order they were read in, each when all of it is decided.

    So what has left of a partition is always all up to some offset: that offset can be committed with it.
    """

    def __init__(self, decided: Callable[[R], bool]) -> None:
        self._decided = decided
        self._waiting: dict[Any, deque[R]] = {}

    def opened(self, run: R) -> None:
        """A run was read; of each partition in offset order."""
        self._waiting.setdefault(run.partition, deque()).append(run)

    def ready(self) -> list[R]:
        """Take the runs that may be handed over now."""
        taken: list[R] = []
        for waiting in self._waiting.values():
            while waiting and self._decided(waiting[0]):
                taken.append(waiting.popleft())
        return taken

    def drop(self, gone: Callable[[R], bool]) -> list[R]:
        """Take the runs that will never be handed over: their partition was given up."""
        dropped = [run for waiting in self._waiting.values() for run in waiting if gone(run)]
        kept = {
            partition: deque(run for run in waiting if not gone(run)) for partition, waiting in self._waiting.items()
        }
        self._waiting = {partition: waiting for partition, waiting in kept.items() if waiting}
        return dropped


AFTER_ABORT_NS = 20_000_000
"""What made a transaction fail, a rebalance above all, takes a while to pass: it is not tried again at once."""


class CommitPolicy:
    """When a transaction is committed: no oftener than an interval, and sooner when it holds much or is waited for.

    The interval runs from the commit before, not from the beginning: after a quiet time an outcome does not wait.
    `rows_max` is what it may hold: the rows of a transaction keep their slots, and reading stops when none is free.
    """

    def __init__(self, interval_ns: int, rows_max: int) -> None:
        self._interval_ns = interval_ns
        self._rows_max = rows_max
        self._due_ns = 0
        self._not_before_ns = 0

    @property
    def due_ns(self) -> int:
        """The instant from which a transaction with anything in it is committed."""
        return max(self._due_ns, self._not_before_ns)

    def due(self, rows: int, now_ns: int, *, urgent: bool = False) -> bool:
        """Whether to commit a transaction of so many rows now."""
        if rows == 0 or now_ns < self._not_before_ns:
            return False
        return urgent or rows >= self._rows_max or now_ns >= self._due_ns

    def begun(self, now_ns: int) -> None:
        """A commit begins."""
        self._due_ns = now_ns + self._interval_ns

    def aborting(self, now_ns: int) -> None:
        """The transaction cannot be committed; the next one waits a little, whoever waits for it."""
        self._not_before_ns = now_ns + AFTER_ABORT_NS
