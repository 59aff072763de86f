"""One fused kernel for any entity: find the key, put the event into its set, ask every window, row by row.

It is driven by tables rather than generated for each declaration: a user's features cost no compilation at start,
and stream, backfill and training run the very same machine code.
"""

from typing import Any

import numpy as np

from features.aggregates import COLUMN, answer_windows
from features.kernel import kernel
from features.keys import ABSENT, FULL, find_key
from features.labels import put_label
from features.memory import load_u8, load_word
from features.schema import NUMBER
from features.windows import (
    CLASS,
    LABEL_CLASS,
    NEWEST,
    NOTHING_YET_MS,
    TOTALS,
    find_edges,
    insert,
    remove,
)

LATE, DISORDERED, STOPPED_AT, OUT_OF_MEMORY = 0, 1, 2, 3
DONE = -1
_NUMBER = NUMBER
_ORDER_SHIFT = 44  # partition in the upper bits, offset below: 17 trillion records a partition


@kernel()
def _record_of(index: int, known: int, records: Any) -> int:
    """The address of the key's record, which is made empty when the key is new."""
    if index >= known:
        records[index, :] = 0
        records[index, CLASS] = -1
        records[index, LABEL_CLASS] = -1
        records[index, NEWEST] = NOTHING_YET_MS
    return records.ctypes.data + index * records.shape[1] * 8


@kernel(
    "void(int64[:, ::1], int32[:, ::1], int32[::1], int32[::1], int64[::1], int64[::1], int64, int64, int64,"
    " int64[::1], int32[::1], int64[::1], int32[::1], uint8[::1], int64[::1], int64[:, ::1], int64[::1], boolean[::1], int64[::1], float64[::1], int64[:, ::1],"
    " float64[:, ::1], int64[::1])"
)
def apply_events(
    value: Any,
    length: Any,
    rows: Any,
    partition: Any,
    offset: Any,
    plan: Any,
    arena: int,
    meta: int,
    labels: int,
    ages_ms: Any,
    table: Any,
    keys: Any,
    lengths: Any,
    text: Any,
    key_meta: Any,
    records: Any,
    field_columns: Any,
    exact: Any,
    entry: Any,
    scales: Any,
    windows: Any,
    out: Any,
    counts: Any,
) -> None:
    """Take events in, in the order of `rows`, and write their windows to out[row].

    plan: [key column, time column, lateness ms, keep ms, update, several partitions, order column, pointers,
    first row]. With `update` 0 the events are in the set already and only asked for. `out` of no rows: nothing
    is written. counts: [late, disordered, row index where there was no room or DONE, whether memory ran out].
    """
    key_column, time_column, lateness_ms, keep_ms = plan[0], plan[1], plan[2], plan[3]
    update, shared, order_column, pointers = plan[4] != 0, plan[5] != 0, plan[6], plan[7]
    ages, writes = len(ages_ms), len(out) > 0
    edges = np.empty(ages, np.int64)
    counts[STOPPED_AT] = DONE
    for index in range(plan[8], len(rows)):
        row = rows[index]
        time_ms = value[time_column, row]
        known = key_meta[0]
        found = find_key(
            value[key_column, row], length[key_column, row], update, table, keys, lengths, text, key_meta
        )
        if found == FULL:
            counts[STOPPED_AT] = index
            return
        if found == ABSENT:
            if writes:
                for window in range(len(windows)):
                    out[row, windows[window, COLUMN]] = 0.0
            continue
        key = _record_of(found, known, records)
        late = update and time_ms < load_word(key, NEWEST) - (keep_ms if shared else lateness_ms)
        place = 0
        if update:
            if shared and time_ms < load_word(key, NEWEST) - lateness_ms:
                counts[DISORDERED] += 1
            if late:
                counts[LATE] += 1
            for field in range(len(exact)):
                entry[field] = value[field_columns[field], row]
            order = (np.int64(partition[index]) << _ORDER_SHIFT) | offset[index]
            place = insert(arena, meta, key, time_ms, order, exact, entry, pointers, ages, order_column, keep_ms)
            if place < 0:
                counts[STOPPED_AT], counts[OUT_OF_MEMORY] = index, 1
                return
        if writes:
            newest = update and time_ms == load_word(key, NEWEST)
            find_edges(arena, key, time_ms, ages_ms, pointers, newest, edges)
            answer_windows(arena, key, labels, time_ms, windows, edges, ages_ms, exact, scales, row, out)
        if late:
            columns = 1 + len(exact) + (1 if order_column else 0)
            remove(arena, key, place, exact, entry, pointers, ages, columns)


@kernel()
def _identity(value: int, length: int) -> int:
    """An id as one integer: itself, or the 64-bit FNV-1a hash of its bytes."""
    if length == _NUMBER:
        return value
    word = np.uint64(0xCBF29CE484222325)
    for index in range(length):
        word = (word ^ np.uint64(load_u8(value + index))) * np.uint64(0x100000001B3)
    return np.int64(word)


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
        if time_ms < load_word(key, NEWEST) - plan[4]:
            counts[DISORDERED] += 1
        identity = _identity(value[plan[2], row], length[plan[2], row])
        if not put_label(labels, labels_meta, key, time_ms, identity, value[plan[3], row] != 0, plan[5]):
            counts[STOPPED_AT], counts[OUT_OF_MEMORY] = index, 1
            return


RECORD_WORDS_MIN = TOTALS
