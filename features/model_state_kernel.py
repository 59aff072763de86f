"""The kernels of model state: where a key's state lies, which rows may run together, and the way there and back.

A key's words lie in one block, as a paned entity's do: the sequence of the last event taken in, whether it has
changed since a checkpoint wrote it, then the state, two float32 a word.
"""

from typing import Any

import numpy as np

from features.entity_kernel import BLOCK, CACHE_LINE_WORDS, DONE, OUT_OF_MEMORY, STOPPED_AT
from features.kernel import kernel
from features.keys import FULL, find_key_from, first_place
from features.memory import copy_bytes, load_word, prefetch, store_word
from features.paned_kernel import NEWEST, TOUCHED, Ring, block_of

LAST = NEWEST
"""The word of the last sequence taken in; before the first event it is less than any."""
FIRST_WORD = 2
KEY_COLUMN, FIRST_ROW, ARENA, META, BLOCK_WORDS = range(5)
"What a call of `find_blocks` is told."
TAKEN, DISORDERED, NOT_FINITE = range(3)
"What is counted of rows: taken in; not, as a later event of the key was before; not, as what came is no number."
_HEADER_BYTES = FIRST_WORD * 8
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def words_of(size: int) -> int:
    """The words of a block with a state of `size` float32."""
    return FIRST_WORD + -(-size // 2)


@kernel()
def _ask_ahead(
    first: int,
    stop: int,
    value: Any,
    length: Any,
    rows: Any,
    plan: Any,
    table: Any,
    keys: Any,
    lengths: Any,
    key_meta: Any,
    places: Any,
) -> None:
    """Where the search for each key begins; its cache misses, and those of its block, overlap."""
    for index in range(first, stop):
        places[index] = first_place(value[rows[index]], length[rows[index]], table, key_meta)
        prefetch(table.ctypes.data + places[index] * table.itemsize, 0)
    for index in range(first, stop):
        guess = max(table[places[index]], 0)
        prefetch(keys.ctypes.data + guess * keys.itemsize, 0)
        prefetch(lengths.ctypes.data + guess * lengths.itemsize, 0)
        for word in range(0, plan[BLOCK_WORDS] + CACHE_LINE_WORDS - 1, CACHE_LINE_WORDS):
            prefetch(plan[ARENA], guess * plan[BLOCK_WORDS] + min(word, plan[BLOCK_WORDS] - 1))


# fmt: off
@kernel(
    "void(int64[:, ::1], int32[:, ::1], int32[::1], int64[::1], int32[::1], int64[::1], int32[::1], uint8[::1],"
    " int64[::1], int64[::1], int64[::1])"
)
def find_blocks(
    value: Any, length: Any, rows: Any, plan: Any, table: Any, keys: Any, lengths: Any, text: Any, key_meta: Any,
    blocks: Any, counts: Any,
) -> None:
    # fmt: on
    """The address of the block of each row's key, into blocks[index]; a new key's is empty.

    plan: the key's column, the first row, the address of the arena and of its meta, the words of a block. counts: as
    `apply_paned_events`.
    """
    ring = Ring(0, 0, 0, 0, FIRST_WORD, plan[BLOCK_WORDS])
    counts[STOPPED_AT] = DONE
    for first in range(plan[FIRST_ROW], len(rows), BLOCK):
        stop = min(first + BLOCK, len(rows))
        column = plan[KEY_COLUMN]
        _ask_ahead(first, stop, value[column], length[column], rows, plan, table, keys, lengths, key_meta, blocks)
        for index in range(first, stop):
            row = rows[index]
            text_or_number, bytes_of = value[column, row], length[column, row]
            key = find_key_from(
                blocks[index], text_or_number, bytes_of, True, table, keys, lengths, text, key_meta
            )
            block = block_of(key, ring, plan[ARENA], plan[META]) if key != FULL else 0
            if not block:
                counts[STOPPED_AT], counts[OUT_OF_MEMORY] = index, key != FULL
                return
            blocks[index] = block


@kernel("int64(int64[::1], int32[::1], int32[::1], int32[::1], int32[::1])")
def waves_of(blocks: Any, order: Any, starts: Any, wave: Any, table: Any) -> int:
    """Rows whose blocks are all different, wave by wave, a block's rows in the order given; returns the waves.

    Wave w is order[starts[w] : starts[w + 1]]. `starts` has a cell more than there are rows, `wave` one for each;
    `table` is a power of two above twice as many.
    """
    mask, waves, rows = len(table) - 1, 0, len(blocks)
    table[:] = -1
    starts[: rows + 1] = 0
    for row in range(rows):
        place = np.int64((np.uint64(blocks[row]) * _SPREAD) >> np.uint64(32)) & mask
        while table[place] >= 0 and blocks[table[place]] != blocks[row]:
            place = (place + 1) & mask
        number = wave[table[place]] + 1 if table[place] >= 0 else 0
        table[place], wave[row] = row, number
        starts[number + 1] += 1
        waves = max(waves, number + 1)
    for number in range(waves):
        starts[number + 1] += starts[number]
    for row in range(rows):
        order[starts[wave[row]]] = row
        starts[wave[row]] += 1
    for number in range(waves, 0, -1):
        starts[number] = starts[number - 1]
    starts[0] = 0
    return waves


@kernel("void(int64[::1], int64[::1], boolean[::1])")
def mark_untaken(blocks: Any, sequence: Any, untaken: Any) -> None:
    """Which rows come after all that their blocks have taken in."""
    for row in range(len(blocks)):
        untaken[row] = sequence[row] > load_word(blocks[row], LAST)


@kernel("void(int64[::1], int32[::1], float32[:, ::1])")
def gather_state(blocks: Any, rows: Any, state: Any) -> None:
    """The state of the blocks of these rows, row by row."""
    size_bytes = state.shape[1] * 4
    for index in range(len(rows)):
        copy_bytes(state.ctypes.data + index * size_bytes, blocks[rows[index]] + _HEADER_BYTES, size_bytes)


@kernel("void(int64[::1], int32[::1], int64[::1], float32[:, ::1], int64[::1])")
def scatter_state(blocks: Any, rows: Any, sequence: Any, state: Any, counts: Any) -> None:
    """What these rows left goes to their blocks, where it is finite and the row's sequence above the last one's.

    counts: int64[3], added to.
    """
    size_bytes = state.shape[1] * 4
    for index in range(len(rows)):
        row, finite = rows[index], True
        for column in range(state.shape[1]):
            finite &= np.isfinite(state[index, column])
        block = blocks[row]
        if not finite:
            counts[NOT_FINITE] += 1
        elif sequence[row] <= load_word(block, LAST):
            counts[DISORDERED] += 1
        else:
            copy_bytes(block + _HEADER_BYTES, state.ctypes.data + index * size_bytes, size_bytes)
            store_word(block, LAST, sequence[row])
            store_word(block, TOUCHED, 1)
            counts[TAKEN] += 1
