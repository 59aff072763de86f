"""Model state: what a recurrent model remembers of an entity, one step an event.

It is outcome state, for it advances only by rows that the model scored; but the records it was made of are in the
topic, so that it is brought back from there, or read on from a checkpoint, by scoring them once more.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.arena import WORD_BYTES
from features.block_state import BlockState
from features.columns import Columns
from features.entity_kernel import DONE
from features.keys import TABLE_BYTES_A_KEY
from features.memory_bound import MemoryBound
from features.model_state_kernel import FIRST_ROW, FIRST_WORD, find_blocks, words_of
from features.paned_kernel import Ring


@dataclass(frozen=True)
class ModelStatePlan:
    """What the model of tier `tier` remembers of the keys in `key_column`: float32[size], zeros at first.

    `sha256` is its file's: another model begins anew.
    """

    tier: str
    key: str
    key_column: int
    keys_expected: int
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """What checkpoints and errors call it; windows of an entity may have the same name as a tier."""
        return f"model_state.{self.tier}"

    @property
    def bytes_a_key(self) -> int:
        """What a key takes in all while its table is full: up to twice TABLE_BYTES_A_KEY where that has just grown.

        The bytes of a string key come on top.
        """
        return words_of(self.size) * WORD_BYTES + TABLE_BYTES_A_KEY


class ModelState(BlockState):
    """What one model remembers of one partition's keys.

    A block's own word says which event was taken in last, so no event is taken twice, whatever is read again.
    """

    def __init__(self, plan: ModelStatePlan, bound: MemoryBound) -> None:
        ring = Ring(0, 0, 0, 0, FIRST_WORD, words_of(plan.size))
        super().__init__(plan.name, plan.key_column, plan.keys_expected, ring, bound)
        self.plan = plan
        addresses = (self._arena.address, self._arena.meta_address, ring.block_words)
        self._call = np.array([plan.key_column, 0, *addresses], np.int64)

    def find(self, columns: Columns, rows: NDArray[np.int32], blocks: NDArray[np.int64]) -> None:
        """Where the state of each row's key lies, into blocks[index]; it stays there. Keys that are new get theirs.

        Raises StateFullError when the memory bound is reached.
        """
        first = 0
        while first != DONE:
            self._call[FIRST_ROW] = first
            find_blocks(
                columns.value,
                columns.length,
                rows,
                self._call,
                self._keys.table,
                self._keys.keys,
                self._keys.lengths,
                self._keys.text,
                self._keys.meta,
                blocks,
                self._counts,
            )
            first = self._grown(self._arena)
