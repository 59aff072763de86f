"""One fused kernel for any entity: find the key, put the event into its set, ask every window, row by row.

It is driven by tables rather than generated for each declaration: a user's features cost no compilation at start,
and stream, backfill and training run the very same machine code.
"""

from typing import Any

import numpy as np

from features.aggregates import COLUMN, OP, TIME_SINCE_LAST, answer_windows
from features.kernel import kernel
from features.keys import ABSENT, FULL, find_key, find_key_from, first_place, identity_of
from features.labels import put_label
from features.memory import load_word, prefetch
from features.windows import (
    CLASS,
    HEAD,
    LABEL_CLASS,
    NEWEST,
    NOTHING_YET_MS,
    SEGMENT,
    TAIL,
    TOTALS,
    find_edges,
    insert,
    remove,
    upper_bound,
)

LATE, DISORDERED, STOPPED_AT, OUT_OF_MEMORY = 0, 1, 2, 3
DONE = -1
BLOCK = 16
CACHE_LINE_WORDS = 8
_ORDER_SHIFT = 44  # partition in the upper bits, offset below: 17 trillion records a partition


@kernel()
def _record_of(index: int, known: int, records: Any) -> Any:
    """The address of the key's record, which is made empty when the key is new."""
    if index >= known:
        records[index, :] = 0
        records[index, CLASS] = -1
        records[index, LABEL_CLASS] = -1
        records[index, NEWEST] = NOTHING_YET_MS
    return records.ctypes.data + index * records.shape[1] * 8


@kernel()
def _floor(arena: int, key: int, words: int, floor_ms: int) -> int:
    return upper_bound(arena, load_word(key, SEGMENT), words, load_word(key, HEAD), load_word(key, TAIL), floor_ms)


@kernel()
def _find_block(
    first: int,
    value: Any,
    length: Any,
    rows: Any,
    key_column: int,
    update: bool,
    table: Any,
    keys: Any,
    lengths: Any,
    text: Any,
    key_meta: Any,
    records: Any,
    found: Any,
) -> int:
    """Addresses of the records of up to BLOCK rows from `first`, 0 where a key is unknown; returns where it ended.

    It ends early at a row whose key there is no room for. Looking many keys up at once lets their cache misses
    overlap, which is most of what an event costs here.
    """
    stop = min(first + BLOCK, len(rows))
    for index in range(first, stop):
        place = first_place(value[key_column, rows[index]], length[key_column, rows[index]], table, key_meta)
        prefetch(table.ctypes.data + place * table.itemsize, 0)
        found[index - first] = place
    for index in range(first, stop):
        guess = max(table[found[index - first]], 0)
        prefetch(keys.ctypes.data + guess * keys.itemsize, 0)
        prefetch(lengths.ctypes.data + guess * lengths.itemsize, 0)
        record = records.ctypes.data + guess * records.shape[1] * 8
        prefetch(record, 0)
        prefetch(record, CACHE_LINE_WORDS)
    for index in range(first, stop):
        row, known = rows[index], key_meta[0]
        text_or_number, bytes_of = value[key_column, row], length[key_column, row]
        place = found[index - first]
        key = find_key_from(place, text_or_number, bytes_of, update, table, keys, lengths, text, key_meta)
        if key == FULL:
            return index
        found[index - first] = 0
        if key != ABSENT:
            found[index - first] = _record_of(key, known, records)
    return stop


@kernel()
def _prefetch_entries(arena: int, key: int, words: int, pointers: int, ages: int) -> None:
    segment = load_word(key, SEGMENT)
    prefetch(arena, segment + load_word(key, TAIL) * words)
    for age in range(ages):
        prefetch(arena, segment + load_word(key, pointers + age) * words)


@kernel()
def _answer_nothing(windows: Any, row: int, out: Any) -> None:
    if len(out):
        for window in range(len(windows)):
            out[row, windows[window, COLUMN]] = -1.0 if windows[window, OP] == TIME_SINCE_LAST else 0.0


@kernel()
def _answer(
    arena: int,
    key: int,
    words: int,
    labels: int,
    time_ms: int,
    keep_ms: int,
    place: int,
    newest: bool,
    late: bool,
    pointers: int,
    ages_ms: Any,
    edges: Any,
    windows: Any,
    exact: Any,
    scales: Any,
    row: int,
    out: Any,
) -> None:
    """Ask every window; entries too old to be kept do not count, whether or not their memory was taken back."""
    find_edges(arena, key, words, time_ms, ages_ms, pointers, newest, edges)
    floor, floor_ms = load_word(key, HEAD), load_word(key, NEWEST) - keep_ms
    if not newest:
        floor = place if late and time_ms <= floor_ms else _floor(arena, key, words, floor_ms)
    answer_windows(
        arena, key, words, labels, time_ms, floor, floor_ms, windows, edges, ages_ms, exact, scales, row, out
    )


# fmt: off
@kernel(
    "void(int64[:, ::1], int32[:, ::1], int32[::1], int32[::1], int64[::1], int64[::1], int64[::1], int32[::1],"
    " int64[::1], int32[::1], uint8[::1], int64[::1], int64[:, ::1], int64[::1], boolean[::1], int64[::1],"
    " float64[::1], int64[:, ::1], float64[:, ::1], int64[::1])"
)
def apply_events(
    value: Any, length: Any, rows: Any, partition: Any, offset: Any, plan: Any, ages_ms: Any, table: Any, keys: Any,
    lengths: Any, text: Any, key_meta: Any, records: Any, field_columns: Any, exact: Any, entry: Any, scales: Any,
    windows: Any, out: Any, counts: Any,
) -> None:
    # fmt: on
    """Take events in, in the order of `rows`, and write their windows to out[row].

    plan: [key column, time column, lateness ms, keep ms, update, several partitions, keeps the order of ties,
    pointers, first row, and the addresses of arena, its meta and the labels' arena]. With `update` 0 the events
    are in the set already and only asked for. `out` of no rows: nothing is written. counts: [late, disordered,
    row index where there was no room or DONE, whether memory ran out].
    """
    key_column, time_column, lateness_ms, keep_ms = plan[0], plan[1], plan[2], plan[3]
    update, shared, ordered, pointers = plan[4] != 0, plan[5] != 0, plan[6] != 0, plan[7]
    arena, meta, labels, ages = plan[9], plan[10], plan[11], len(ages_ms)
    words = 1 + len(exact) + (1 if ordered else 0)
    edges, found = np.empty(ages, np.int64), np.empty(BLOCK, np.int64)
    counts[STOPPED_AT], first = DONE, plan[8]
    while first < len(rows) and counts[STOPPED_AT] == DONE:
        stop = _find_block(
            first, value, length, rows, key_column, update, table, keys, lengths, text, key_meta, records, found
        )
        if stop < min(first + BLOCK, len(rows)):
            counts[STOPPED_AT] = stop
        for index in range(first, stop):
            if found[index - first]:
                _prefetch_entries(arena, found[index - first], words, pointers, ages)
        for index in range(first, stop):
            row, key, place = rows[index], found[index - first], 0
            if not key:
                _answer_nothing(windows, row, out)
                continue
            time_ms = value[time_column, row]
            behind_ms = load_word(key, NEWEST) - time_ms
            late = update and behind_ms > (keep_ms if shared else lateness_ms)
            if update:
                for field in range(len(exact)):
                    entry[field] = value[field_columns[field], row]
                order = (np.int64(partition[index]) << _ORDER_SHIFT) | offset[index]
                place = insert(arena, meta, key, time_ms, order, exact, entry, pointers, ages, ordered, keep_ms)
                if place < 0:
                    counts[STOPPED_AT], counts[OUT_OF_MEMORY] = index, 1
                    return
                counts[DISORDERED] += shared and behind_ms > lateness_ms
                counts[LATE] += late
            if len(out):
                newest = update and behind_ms <= 0
                # fmt: off
                _answer(arena, key, words, labels, time_ms, keep_ms, place, newest, late, pointers, ages_ms, edges,
                        windows, exact, scales, row, out)
                # fmt: on
            if late:
                remove(arena, key, place, exact, entry, pointers, ages, words)
        first = stop


@kernel(
    "void(int64[:, ::1], int32[:, ::1], int32[::1], int64[::1], int64, int64, int32[::1], int64[::1],"
    " int32[::1], uint8[::1], int64[::1], int64[:, ::1], int64[::1])"
)
def apply_labels(
    value: Any,
    length: Any,
    rows: Any,
    plan: Any,
    labels: int,
    labels_meta: int,
    table: Any,
    keys: Any,
    lengths: Any,
    text: Any,
    key_meta: Any,
    records: Any,
    counts: Any,
) -> None:
    """Take labels in, in the order of `rows`; the last one for an id wins.

    plan: [key column, time column, id column, hit column, delay ms, keep ms, first row]. A label that comes when
    its event has already passed the shortest delay is counted as disordered: earlier answers missed it.
    """
    counts[STOPPED_AT] = DONE
    for index in range(plan[6], len(rows)):
        row = rows[index]
        known = key_meta[0]
        found = find_key(value[plan[0], row], length[plan[0], row], True, table, keys, lengths, text, key_meta)
        if found == FULL:
            counts[STOPPED_AT] = index
            return
        key = _record_of(found, known, records)
        time_ms = value[plan[1], row]
        identity = identity_of(value[plan[2], row], length[plan[2], row])
        if not put_label(labels, labels_meta, key, time_ms, identity, value[plan[3], row] != 0, plan[5]):
            counts[STOPPED_AT], counts[OUT_OF_MEMORY] = index, 1
            return
        counts[DISORDERED] += time_ms < load_word(key, NEWEST) - plan[4]


RECORD_WORDS_MIN = TOTALS
