"""State whose keys all take a block of one size: how blocks are checkpointed and come back."""

import numpy as np
from numpy.typing import NDArray

from features.entity_kernel import DONE
from features.keyed_state import KeyedState, Piece
from features.memory_bound import MemoryBound
from features.paned_kernel import Ring
from features.piece_kernel import any_block_touched, read_blocks, write_blocks


class BlockState(KeyedState):
    """A key table and an arena of blocks, a block a key, laid out as `ring` says.

    A key takes the same memory from its first event on; all of it is taken from `bound`. Raises StateFullError when
    that has no room for the first table.
    """

    def __init__(self, name: str, key_column: int, keys_expected: int, ring: Ring, bound: MemoryBound) -> None:
        super().__init__(name, key_column, keys_expected, 0, bound)
        self._ring = ring

    def changed(self, first: int, stop: int) -> bool:
        """Whether any of the keys [first, stop) has changed since `write_piece` wrote it."""
        return bool(any_block_touched(self._arena.address, self._ring.block_words, first, stop))

    def write_piece(self, first: int, stop: int, words: NDArray[np.int64], text: NDArray[np.uint8]) -> Piece:
        """As EntityState's."""
        used, block_words = np.zeros(2, np.int64), self._ring.block_words
        table = (self._keys.keys, self._keys.lengths, self._keys.text)
        keys = write_blocks(first, stop, self._arena.address, block_words, *table, words, text, used)
        return Piece(first, int(keys), int(used[0]), int(used[1]))

    def read_piece(self, words: NDArray[np.int64], text: NDArray[np.uint8], keys: int) -> None:
        """As EntityState's."""
        cursor, ring = np.zeros(3, np.int64), np.array(self._ring, np.int64)
        while True:
            arena = (self._arena.address, self._arena.meta_address)
            table = (self._keys.table, self._keys.keys, self._keys.lengths, self._keys.text, self._keys.meta)
            read_blocks(words, text, keys, ring, *arena, *table, cursor, self._counts)
            if self._grown(self._arena) == DONE:
                return
