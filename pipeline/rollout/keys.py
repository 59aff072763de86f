"""Where an entity's key stands in [0, 1): below a share the candidate answers, everywhere and always."""

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from features.kernel import kernel
from features.keys import identity_of

GROUPS = 32
"""Keys fall into so many groups, too, independent of their place: what differs between groups is chance."""


@kernel("void(int32[::1], int64[::1], int32[::1], int64, float64[::1], int64[::1])")
def _place(slots: Any, value: Any, length: Any, seed: int, place: Any, group: Any) -> None:
    # The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): all bits of the key reach all bits of the word.
    for index in range(len(slots)):
        slot = slots[index]
        word = np.uint64(identity_of(value[slot], length[slot])) ^ np.uint64(seed)
        word += np.uint64(0x9E3779B97F4A7C15)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        word ^= word >> np.uint64(31)
        place[index] = np.float64(word >> np.uint64(11)) * 2.0**-53
        group[index] = np.int64(word & np.uint64(GROUPS - 1))


def seed_of(rollout: str) -> int:
    """The seed of a rollout, the same in all processes: other rollouts try other keys first."""
    return int.from_bytes(blake2b(rollout.encode(), digest_size=8).digest(), "little", signed=True)


class KeyPlaces:
    """Places and groups of rows by their entity's key, which is column `column` of the events.

    The same key has the same place in every process, after every restart; a larger share keeps who was in a smaller.
    """

    def __init__(self, columns: Columns, column: int) -> None:
        self._value = columns.value[column]
        self._length = columns.length[column]

    def of(self, slots: NDArray[np.int32], seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """float64[n] in [0, 1) and int64[n] below GROUPS, new arrays."""
        place, group = np.empty(len(slots), np.float64), np.empty(len(slots), np.int64)
        _place(slots, self._value, self._length, seed, place, group)
        return place, group
