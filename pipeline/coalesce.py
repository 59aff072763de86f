"""Which rows a newer one of the same key makes pointless: in overload only the newest view of a scene counts."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from features.keys import identity_of
from pipeline.batch import NO_ROWS, Batching
from pipeline.rows import Rows


@kernel("void(int32[::1], int64[::1], int32[::1], int64[::1])")
def _hash_keys(slots: Any, key_address: Any, key_length: Any, out: Any) -> None:
    """64 bits of each key; rows without a key have none in common, so each gets its own slot."""
    for index in range(len(slots)):
        slot = slots[index]
        if key_length[slot] < 0:
            out[index] = slot
            continue
        out[index] = identity_of(key_address[slot], key_length[slot])


def superseded(rows: Rows, slots: NDArray[np.int32]) -> NDArray[np.int32]:
    """Those of the slots for which another one has the same Kafka key and a later event time (or offset).

    Keys are compared by 64 bits of a hash: that two of a thousand cameras share one is a matter of 1e-14.
    """
    keys = np.empty(len(slots), np.int64)
    _hash_keys(slots, rows.key_address, rows.key_length, keys)
    order = np.lexsort((rows.offset[slots], rows.event_time_ms[slots], keys))
    newest = np.append(keys[order][1:] != keys[order][:-1], True)
    return slots[order[~newest]] if len(slots) else slots


class Coalescer:
    """Under overload, takes what is superseded out of the batcher, and gives that as its reason. None is, without a
    column of `Rows.reasons` for it.
    """

    def __init__(self, rows: Rows, batcher: Batching, reason: int) -> None:
        self._rows = rows
        self._batcher = batcher
        self._reason = reason
        self._keep: NDArray[np.bool_] = np.ones(rows.capacity_rows, np.bool_)

    def superseded(self) -> NDArray[np.int32]:
        """Rows that will not be scored: they leave the batcher here."""
        if self._reason < 0 or not self._batcher.overloaded:
            return NO_ROWS
        old = superseded(self._rows, self._batcher.waiting())
        if not len(old):
            return NO_ROWS
        self._keep[old] = False
        dropped = self._batcher.drop(self._keep)
        self._keep[old] = True
        self._rows.reasons[dropped, self._reason] = 1.0
        return dropped
