"""Which offset may be committed: below it, every record read has its outcome delivered. Pure."""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Partition = TypeVar("Partition")


@dataclass(slots=True)
class Span:
    """A run of records read together from one partition, and how many still wait for their delivery."""

    next_offset: int
    pending_rows: int


@dataclass(slots=True)
class _Progress:
    spans: deque[Span] = field(default_factory=deque)
    watermark: int | None = None


class Watermarks(Generic[Partition]):
    """One watermark a partition, moved by deliveries alone.

    Spans are opened in offset order and may finish in any order; a watermark moves only over a prefix of
    finished ones, so an offset is never committed past a gap. Offsets themselves may have gaps (transaction
    markers, compaction): a span says where the next one begins.
    """

    def __init__(self) -> None:
        self._progress: dict[Partition, _Progress] = {}

    def open(self, partition: Partition, next_offset: int, pending_rows: int) -> Span:
        """Record that a run up to, not including, `next_offset` was read.

        Raises ValueError when the run does not come after the one before it.
        """
        progress = self._progress.setdefault(partition, _Progress())
        newest = progress.spans[-1].next_offset if progress.spans else progress.watermark
        if newest is not None and next_offset < newest:
            raise ValueError(f"{partition}: a run up to offset {next_offset} after one up to {newest}")
        span = Span(next_offset, pending_rows)
        progress.spans.append(span)
        return span

    def watermark(self, partition: Partition) -> int | None:
        """The offset that may be committed, None when nothing has been finished since the assignment."""
        progress = self._progress.get(partition)
        if progress is None:
            return None
        while progress.spans and progress.spans[0].pending_rows == 0:
            progress.watermark = progress.spans.popleft().next_offset
        return progress.watermark

    def read_up_to(self, partition: Partition) -> int | None:
        """The offset after the last record that was read, None when nothing was since the assignment."""
        progress = self._progress.get(partition)
        if progress is None or not progress.spans:
            return self.watermark(partition)
        return progress.spans[-1].next_offset

    def unfinished_rows(self, partition: Partition) -> int:
        """Rows read from this partition whose outcome is not delivered yet."""
        progress = self._progress.get(partition)
        return sum(span.pending_rows for span in progress.spans) if progress else 0

    def forget(self, partition: Partition) -> None:
        """Drop a partition that was revoked or lost."""
        self._progress.pop(partition, None)

    def partitions(self) -> tuple[Partition, ...]:
        """The partitions with progress since their assignment."""
        return tuple(self._progress)


class Commits(Generic[Partition]):
    """When to commit what: each watermark once, no oftener than an interval. Pure."""

    def __init__(self, interval_ns: int) -> None:
        self._interval_ns = interval_ns
        self._due_ns = 0
        self._committed: dict[Partition, int] = {}

    def due_ns(self) -> int:
        """The instant before which `take` without force returns nothing."""
        return self._due_ns

    def take(self, watermarks: Watermarks[Partition], now_ns: int, *, force: bool = False) -> dict[Partition, int]:
        """The offsets to commit now, empty when it is too early or none has moved."""
        if now_ns < self._due_ns and not force:
            return {}
        self._due_ns = now_ns + self._interval_ns
        moved = {}
        for partition in watermarks.partitions():
            watermark = watermarks.watermark(partition)
            if watermark is not None and self._committed.get(partition) != watermark:
                moved[partition] = watermark
        self._committed.update(moved)
        return moved

    def failed(self, partition: Partition) -> None:
        """A commit of this partition did not go through: offer its watermark again."""
        self._committed.pop(partition, None)

    def forget(self, partition: Partition) -> None:
        """Drop a partition that was revoked or lost."""
        self._committed.pop(partition, None)
