"""The kernel of paned entities: find the key, put the event into its pane, ask every window, row by row.

A key's words lie in one block, found by the key's index: its newest event's time, whether it has changed since a
checkpoint wrote it, the totals of all its events so far (their count, then the sum of each field), and the ring: of
each pane what those totals were when it began, then the extremes in it. So the sum over any run of panes is one
subtraction, and a late event costs one addition for each pane after its own. Totals wrap around in int64, which
differences undo.
"""

from typing import Any, NamedTuple

import numpy as np

from features.aggregates import COUNT, MEAN, MIN, SUM
from features.arena import BUMP, LIMIT
from features.entity_kernel import BLOCK, DISORDERED, DONE, LATE, OUT_OF_MEMORY, STOPPED_AT
from features.kernel import kernel
from features.keys import ABSENT, FULL, find_key
from features.memory import load_word, prefetch, store_word
from features.windows import NOTHING_YET_MS

NEWEST, TOUCHED, TOTALS = 0, 1, 2
"The first words of a key's block; the ring follows the totals."
OP, WORD, FIRST_BACK, LAST_BACK, COLUMN, FIELD = range(6)
"The columns of a window's row: the aggregate, its word in a pane, the panes it covers, where it goes, its field."
EXTREME_OP, EXTREME_FIELD, EXTREME_FLOATING = range(3)
"The columns of an extreme's row."
_LEAST, _GREATEST = -(2**63), 2**63 - 1


class Ring(NamedTuple):
    """How a block is laid out, in words, and how long a pane is."""

    width_ms: int
    panes: int
    sums: int
    pane_words: int
    first_word: int
    block_words: int


@kernel()
def _ranked(value: int, op: int, floating: bool) -> Any:
    """A value, or a float's bits, as an integer that is greater the more extreme the value is."""
    rank = value ^ _GREATEST if floating and value < 0 else value
    return ~rank if op == MIN else rank


@kernel()
def _unranked(rank: int, op: int, scale: float) -> Any:
    """The value back again; scale 0 says that it is a float."""
    value = np.int64(~rank if op == MIN else rank)
    if scale == 0.0:
        return np.int64(value ^ _GREATEST if value < 0 else value).view(np.float64)
    return value / scale


@kernel()
def block_of(index: int, ring: Ring, arena: int, meta: int) -> Any:
    """The address of a key's block, which is made empty when it is new; 0 when there is no room for it."""
    end = (index + 1) * ring.block_words
    if end > load_word(meta, LIMIT):
        return 0
    block = arena + index * ring.block_words * 8
    if end > load_word(meta, BUMP):
        store_word(meta, BUMP, end)
        store_word(block, NEWEST, NOTHING_YET_MS)
        store_word(block, TOUCHED, 1)
        for word in range(ring.sums):
            store_word(block, TOTALS + word, 0)
    return block


# fmt: off
@kernel()
def _find_blocks(
    first: int, value: Any, length: Any, rows: Any, key_column: int, update: bool, ring: Ring, arena: int, meta: int,
    table: Any, keys: Any, lengths: Any, text: Any, key_meta: Any, found: Any, counts: Any,
) -> int:
    # fmt: on
    """Addresses of the blocks of up to BLOCK rows from `first`, 0 where a key is unknown; returns where it ended.

    It ends early, and says so in `counts`, at a row whose key there is no room for.
    """
    stop = min(first + BLOCK, len(rows))
    for index in range(first, stop):
        row = rows[index]
        key = find_key(value[key_column, row], length[key_column, row], update, table, keys, lengths, text, key_meta)
        found[index - first] = 0
        if key == ABSENT:
            continue
        if key != FULL:
            found[index - first] = block_of(key, ring, arena, meta)
        if not found[index - first]:
            counts[STOPPED_AT], counts[OUT_OF_MEMORY] = index, key != FULL
            return index
        prefetch(found[index - first], 0)
    return stop


@kernel()
def _prefetch_edges(block: int, pane: int, ring: Ring, windows: Any) -> None:
    prefetch(block, ring.first_word + pane % ring.panes * ring.pane_words)
    for window in range(len(windows)):
        edge = (pane - windows[window, FIRST_BACK]) % ring.panes
        prefetch(block, ring.first_word + edge * ring.pane_words)


@kernel()
def _begin_panes(block: int, newest: int, pane: int, ring: Ring) -> None:
    """The panes after the newest, up to `pane`: all that was is before them, and nothing is in them."""
    for new in range(max(newest, pane - ring.panes) + 1, pane + 1):
        at = ring.first_word + new % ring.panes * ring.pane_words
        for word in range(ring.sums):
            store_word(block, at + word, load_word(block, TOTALS + word))
        for word in range(ring.sums, ring.pane_words):
            store_word(block, at + word, _LEAST)


@kernel()
def _add(block: int, pane: int, newest: int, ring: Ring, sums: Any, extremes: Any, value: Any, row: int) -> None:
    """Put an event into its pane, which the ring holds."""
    at = ring.first_word + pane % ring.panes * ring.pane_words
    for extreme in range(len(extremes)):
        word, more = at + ring.sums + extreme, value[extremes[extreme, EXTREME_FIELD], row]
        rank = _ranked(more, extremes[extreme, EXTREME_OP], extremes[extreme, EXTREME_FLOATING] != 0)
        store_word(block, word, max(load_word(block, word), rank))
    for word in range(ring.sums):
        more = value[sums[word - 1], row] if word else 1
        store_word(block, TOTALS + word, load_word(block, TOTALS + word) + more)
        for later in range(pane + 1, newest + 1):
            at = ring.first_word + later % ring.panes * ring.pane_words + word
            store_word(block, at, load_word(block, at) + more)


@kernel()
def _before(block: int, word: int, pane: int, newest: int, newest_slot: int, ring: Ring) -> int:
    """A total when a pane began: as it is now for a pane after the newest, the oldest pane's for one before it."""
    if pane > newest:
        return load_word(block, TOTALS + word)
    slot = newest_slot - min(newest - pane, ring.panes - 1)
    if slot < 0:
        slot += ring.panes
    return load_word(block, ring.first_word + slot * ring.pane_words + word)


@kernel()
def _extreme(block: int, word: int, first: int, last: int, ring: Ring) -> int:
    slot, most = first % ring.panes, _LEAST
    for _ in range(first, last + 1):
        most = max(most, load_word(block, ring.first_word + slot * ring.pane_words + word))
        slot = slot + 1 if slot + 1 < ring.panes else 0
    return most


@kernel()
def _answer(
    block: int, pane: int, newest: int, ring: Ring, windows: Any, scales: Any, value: Any, row: int, out: Any
) -> None:
    """Write every window's number to out[row, its column]: of the event alone when its pane left the ring."""
    oldest, newest_slot = newest - ring.panes + 1, newest % ring.panes
    for window in range(len(windows)):
        op, word, scale = windows[window, OP], windows[window, WORD], scales[window]
        first, last = pane - windows[window, FIRST_BACK], pane - windows[window, LAST_BACK]
        alone = pane < oldest
        if alone:
            count = 1 if last == pane else 0
        else:
            count = _before(block, 0, last + 1, newest, newest_slot, ring)
            count -= _before(block, 0, first, newest, newest_slot, ring)
        answer = 0.0
        if count and op == COUNT:
            answer = float(count)
        elif count and op in (SUM, MEAN):
            if alone:
                units = value[windows[window, FIELD], row]
            else:
                units = _before(block, word, last + 1, newest, newest_slot, ring)
                units -= _before(block, word, first, newest, newest_slot, ring)
            answer = units / scale if op == SUM else units / scale / count
        elif count:
            if alone:
                rank = _ranked(value[windows[window, FIELD], row], op, scale == 0.0)
            else:
                rank = _extreme(block, word, max(first, oldest), min(last, newest), ring)
            answer = _unranked(rank, op, scale)
        out[row, windows[window, COLUMN]] = answer


# fmt: off
@kernel(
    "void(int64[:, ::1], int32[:, ::1], int32[::1], int64[::1], int32[::1], int64[::1], int32[::1], uint8[::1],"
    " int64[::1], int64[::1], int64[:, ::1], int64[:, ::1], float64[::1], float64[:, ::1], int64[::1])"
)
def apply_paned_events(
    value: Any, length: Any, rows: Any, plan: Any, table: Any, keys: Any, lengths: Any, text: Any, key_meta: Any,
    sums: Any, extremes: Any, windows: Any, scales: Any, out: Any, counts: Any,
) -> None:
    # fmt: on
    """Take events in, in the order of `rows`, and write their windows to out[row].

    plan: [key column, time column, lateness ms, update, several partitions, first row, the address of the arena and
    of its meta, then a `Ring`'s fields]. With `update` 0 the events are in their panes already and only asked for.
    `out` of no rows: nothing is written. sums: int64[fields], extremes and windows as their columns say, the fields
    as columns of `value`; scales: float64[windows], 0 for a float field. counts: [late, disordered, row index where
    there was no room or DONE, whether memory ran out].
    """
    time_column, lateness_ms, update, shared = plan[1], plan[2], plan[3] != 0, plan[4] != 0
    ring = Ring(plan[8], plan[9], plan[10], plan[11], plan[12], plan[13])
    found = np.empty(BLOCK, np.int64)
    counts[STOPPED_AT], first = DONE, plan[5]
    while first < len(rows) and counts[STOPPED_AT] == DONE:
        stop = _find_blocks(
            first, value, length, rows, plan[0], update, ring, plan[6], plan[7], table, keys, lengths, text, key_meta,
            found, counts
        )  # fmt: skip
        for index in range(first, stop):
            if found[index - first]:
                _prefetch_edges(found[index - first], value[time_column, rows[index]] // ring.width_ms, ring, windows)
        for index in range(first, stop):
            row, block = rows[index], found[index - first]
            if not block:
                if len(out):
                    for window in range(len(windows)):
                        out[row, windows[window, COLUMN]] = 0.0
                continue
            time_ms, newest_ms = value[time_column, row], load_word(block, NEWEST)
            pane, newest = time_ms // ring.width_ms, newest_ms // ring.width_ms
            held = pane > newest - ring.panes
            if update:
                counts[DISORDERED] += shared and newest_ms - time_ms > lateness_ms
                counts[LATE] += not held
            if update and held:
                _begin_panes(block, newest, pane, ring)
                newest = max(newest, pane)
                _add(block, pane, newest, ring, sums, extremes, value, row)
                store_word(block, NEWEST, max(newest_ms, time_ms))
                store_word(block, TOUCHED, 1)
            if len(out):
                _answer(block, pane, newest, ring, windows, scales, value, row, out)
        first = stop
