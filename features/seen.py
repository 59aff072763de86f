"""What keys from a checkpoint have taken already, so that no event enters a set twice.

A checkpoint is written piece by piece while events go on, so each piece of keys stands for offsets of its own. What
is read again begins at the lowest of them: an event is new for a key whose piece stands for an offset at or below it.
A key that is in no piece was unknown when the last piece was written: all its events are new.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from features.kernel import kernel
from features.keys import ABSENT, Keys, find_key


@dataclass(frozen=True)
class Taken:
    """Pieces of keys in the order of their indices, and up to which offset each has taken each partition.

    starts: int64[pieces + 1], the first key of each and where the last ends; next_offset: int64[pieces, partitions].
    """

    starts: NDArray[np.int64]
    next_offset: NDArray[np.int64]


@kernel(
    "void(int64[:, ::1], int32[:, ::1], int32[::1], int64[::1], int64, int64, int32[::1], int64[::1], int32[::1],"
    " uint8[::1], int64[::1], int64[::1], int64[:, ::1], boolean[::1])"
)
def _mark_seen(
    value: Any,
    length: Any,
    rows: Any,
    offset: Any,
    partition: int,
    key_column: int,
    table: Any,
    keys: Any,
    lengths: Any,
    text: Any,
    key_meta: Any,
    starts: Any,
    next_offset: Any,
    seen: Any,
) -> None:
    restored = starts[len(starts) - 1]
    for index in range(len(rows)):
        row = rows[index]
        key = find_key(value[key_column, row], length[key_column, row], False, table, keys, lengths, text, key_meta)
        if key == ABSENT or key >= restored:
            continue
        piece = np.searchsorted(starts, key, side="right") - 1
        seen[index] = offset[index] < next_offset[piece, partition]


class Seen:
    """Answers which events are in the set already."""

    def __init__(self, taken: Taken | None = None) -> None:
        self._taken = taken if taken is not None and len(taken.next_offset) else None
        if self._taken is not None:
            self._since = self._taken.next_offset.min(axis=0)
            self._until = self._taken.next_offset.max(axis=0)

    def of(
        self,
        columns: Columns,
        rows: NDArray[np.int32],
        partition: NDArray[np.int32],
        offset: NDArray[np.int64],
        key_column: int,
        keys: Keys,
    ) -> NDArray[np.bool_] | None:
        """bool[rows], or None for none of them; of one partition, offsets rising."""
        if self._taken is None or not len(rows):
            return None
        number = int(partition[0])
        if number >= len(self._until) or offset[0] >= self._until[number]:
            return None
        if offset[-1] < self._since[number]:
            return np.ones(len(rows), np.bool_)
        seen = np.zeros(len(rows), np.bool_)
        _mark_seen(
            columns.value,
            columns.length,
            rows,
            np.ascontiguousarray(offset),
            number,
            key_column,
            keys.table,
            keys.keys,
            keys.lengths,
            keys.text,
            keys.meta,
            self._taken.starts,
            self._taken.next_offset,
            seen,
        )
        return seen

    def passed(self, positions: dict[int, int]) -> bool:
        """Whether every partition has been read beyond what any piece had taken of it."""
        if self._taken is None:
            return True
        return all(positions.get(number, -1) >= until for number, until in enumerate(self._until.tolist()) if until)
