"""The runs of rows in flight: from their poll to the delivery of their last outcome."""

from collections import deque
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.offsets import Span, Watermarks
from pipeline.rows import Outcome, Rows

CHUNKS_MAX = 4096


class Partition(Protocol):
    """A topic's partition, as lanes name it."""

    @property
    def topic(self) -> str: ...  # noqa: D102

    @property
    def partition(self) -> int: ...  # noqa: D102


class Messages(Protocol):
    """The memory behind a run of rows."""

    @property
    def pointers(self) -> NDArray[np.int64]: ...  # noqa: D102

    def free(self) -> None: ...  # noqa: D102


@dataclass(slots=True)
class Chunk:
    """One run of slots: the records that one read of one lane brought."""

    partition: Any
    number: int
    first: int
    rows: int
    used_rows: int
    messages: Messages
    span: Span
    keep: list[bytes]


class InFlight:
    """Opens chunks in claim order, settles rows as their outcomes are delivered, frees what is done.

    Slots and message memory are freed in claim order; watermarks move by partition, each on its own.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._order: deque[Chunk] = deque()
        self._by_number: list[Chunk | None] = [None] * CHUNKS_MAX
        self._next_number = 0
        self._abandoned: NDArray[np.bool_] = np.zeros(CHUNKS_MAX, np.bool_)
        self.watermarks: Watermarks[Any] = Watermarks()
        self.on_open: Callable[[Chunk], None] = lambda chunk: None

    def room(self) -> int:
        """Rows that the next chunk may have."""
        return self._rows.room() if self._by_number[self._next_number] is None else 0

    @property
    def used_rows(self) -> int:
        """Slots in use."""
        return self._rows.used_rows

    def open(self, partition: Any, messages: Messages, rows: int, next_offset: int) -> Chunk:
        """Claim slots for a read's rows; every one of them waits for its outcome's delivery."""
        first, used_rows = self._rows.claim(rows)
        number = self._next_number
        self._next_number = (number + 1) % CHUNKS_MAX
        span = self.watermarks.open(partition, next_offset, rows)
        chunk = Chunk(partition, number, first, rows, used_rows, messages, span, [])
        self._rows.chunk[first : first + rows] = number
        self._rows.outcome[first : first + rows] = Outcome.PENDING
        self._rows.partition[first : first + rows] = partition.partition
        self._order.append(chunk)
        self._by_number[number] = chunk
        self.on_open(chunk)
        return chunk

    def settle(self, slots: NDArray[np.int64] | NDArray[np.int32]) -> None:
        """These rows' outcomes are delivered, or will never be handed over (their partition was revoked)."""
        numbers, counts = np.unique(self._rows.chunk[slots], return_counts=True)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            chunk = self._by_number[number]
            if chunk is None or chunk.span.pending_rows < count:
                raise RuntimeError(f"chunk {number}: {count} rows settled that were not in flight")
            chunk.span.pending_rows -= count

    def settle_chunk(self, chunk: Chunk) -> None:
        """The outcomes of all of a chunk's rows are delivered, at once."""
        if chunk.span.pending_rows != chunk.rows:
            raise RuntimeError(
                f"chunk {chunk.number}: {chunk.rows} rows settled, {chunk.span.pending_rows} in flight"
            )
        chunk.span.pending_rows = 0

    def free_settled(self) -> None:
        """Give back the slots and the messages of the oldest chunks that are done."""
        while self._order and self._order[0].span.pending_rows == 0:
            chunk = self._order.popleft()
            self._by_number[chunk.number] = None
            self._abandoned[chunk.number] = False
            chunk.messages.free()
            self._rows.free(chunk.used_rows)

    def abandon(self, partitions: Set[Any]) -> NDArray[np.bool_]:
        """Nothing of these partitions' chunks is handed over from now on.

        Returns bool[capacity]: False for their slots, True for all others.
        """
        living = np.ones(self._rows.capacity_rows, np.bool_)
        for chunk in self._order:
            if chunk.partition in partitions:
                living[chunk.first : chunk.first + chunk.rows] = False
                self._abandoned[chunk.number] = True
        return living

    def abandoned(self, chunk: Chunk) -> bool:
        """Whether nothing of a chunk in flight may be handed over any more."""
        return bool(self._abandoned[chunk.number])

    def abandoned_slot(self, slot: int) -> bool:
        """The same for the chunk of a slot in flight."""
        return bool(self._abandoned[self._rows.chunk[slot]])

    def living(self, slots: NDArray[np.int32]) -> NDArray[np.int32]:
        """Those of the slots whose chunk was not abandoned; the others are settled here, unpublished."""
        if not self._abandoned.any():
            return slots
        dead = self._abandoned[self._rows.chunk[slots]]
        self.settle(slots[dead])
        return slots[~dead]

    def pointer_of(self, slot: int) -> int:
        """The address of the message that a slot in flight came from."""
        chunk = self._by_number[int(self._rows.chunk[slot])]
        if chunk is None:
            raise RuntimeError(f"slot {slot} is not in flight")
        return int(chunk.messages.pointers[slot - chunk.first])

    def offsets(self) -> dict[str, tuple[int, int]]:
        """By "topic/partition": up to where all is settled, and up to where has been read."""
        marks, found = self.watermarks, {}
        for partition in marks.partitions():
            read, settled = marks.read_up_to(partition), marks.watermark(partition)
            if read is not None:
                oldest = settled if settled is not None else self._oldest(partition, read)
                found[f"{partition.topic}/{partition.partition}"] = (oldest, read)
        return found

    def _oldest(self, partition: Any, otherwise: int) -> int:
        """The first offset that is in flight."""
        chunk = next((chunk for chunk in self._order if chunk.partition == partition), None)
        return otherwise if chunk is None else int(self._rows.offset[chunk.first])

    def close(self) -> None:
        """Free all messages, done or not: nothing more will be settled."""
        for chunk in self._order:
            chunk.messages.free()
        self._order.clear()
