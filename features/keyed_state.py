"""What the state of every entity has: a key table, its records, an arena, and a part of the memory bound."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.arena import Arena
from features.columns import Columns
from features.entity_kernel import DONE, OUT_OF_MEMORY, STOPPED_AT
from features.keys import Keys
from features.memory_bound import Holding, MemoryBound
from features.seen import Seen, Taken


@dataclass(frozen=True, slots=True)
class Piece:
    """Keys [first, first + keys) as they were written: so many words, so many bytes of text."""

    first: int
    keys: int
    words: int
    text_bytes: int


class KeyedState:
    """Keys and the memory behind them; it grows between calls of a kernel, never in an event's.

    All memory is taken from `bound`. Raises StateFullError when that has no room for the first tables.
    """

    def __init__(self, name: str, key_column: int, keys_expected: int, record_words: int, bound: MemoryBound) -> None:
        self._key_column = key_column
        self._holding = Holding(name, bound)
        self._keys = Keys(keys_expected)
        self._records = np.zeros((self._keys.capacity, record_words), np.int64)
        self._holding.require(self._keys.used_bytes() + self._records.nbytes, 0)
        self._arena = Arena(self._holding)
        self._counts = np.zeros(4, np.int64)
        self._seen = Seen()

    @property
    def keys(self) -> int:
        """Keys with state."""
        return self._keys.count

    def used_bytes(self) -> int:
        """Memory in use: what the arena handed out, key records and the key table."""
        return self._arena.used_bytes + self._records.nbytes + self._keys.used_bytes()

    def close(self) -> None:
        """Leave its memory to others; nothing is called after that."""
        self._holding.give_back()

    def reserve(self, keys: int) -> None:
        """Make the tables large enough for so many keys. Raises StateFullError when the bound has no room."""
        while self._keys.capacity < keys:
            self._grow_tables()

    def restored(self, taken: Taken) -> None:
        """Its first keys came from a checkpoint: events that they have taken already are `seen` from now on."""
        self._seen = Seen(taken)

    def seen(
        self, columns: Columns, rows: NDArray[np.int32], partition: NDArray[np.int32], offset: NDArray[np.int64]
    ) -> NDArray[np.bool_] | None:
        """Which of these events the restored keys have taken already; None when that is none of them.

        The rows are of one partition, their offsets rising.
        """
        return self._seen.of(columns, rows, partition, offset, self._key_column, self._keys)

    def whole(self, positions: dict[int, int]) -> bool:
        """Whether a partition's position stands for all keys: none was restored from beyond it."""
        return self._seen.passed(positions)

    def _grown(self, arena: Arena) -> int:
        """Make room where the kernel found none; returns where it goes on, DONE when it had not stopped."""
        stopped, known = int(self._counts[STOPPED_AT]), self._keys.count
        if stopped == DONE:
            arena.prefault()
        elif self._counts[OUT_OF_MEMORY]:
            self._counts[OUT_OF_MEMORY] = 0
            if not arena.extend():
                raise self._holding.full(known)
        elif known == self._keys.capacity:
            self._grow_tables()
        else:
            self._holding.require(self._keys.text_bytes, known)
            self._keys.grow_text()
        return stopped

    def _grow_tables(self) -> None:
        self._holding.require(self._keys.table_bytes + self._records.nbytes, self._keys.count)
        self._keys.grow()
        self._records = np.concatenate((self._records, np.zeros_like(self._records)))
