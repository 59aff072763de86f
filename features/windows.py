"""The entries of one key: a set ordered by (event time, partition, offset), kept as sorted columns.

An entry is a few words side by side, so that a window's edge costs one cache line: the time, then one word a field.
Of an exact field (an integer or a decimal) that is the sum of all entries before it, so that any window's sum is one
subtraction and a late entry costs one pass; of a float field it is the value's bits, which windows add up in the
order of the set. Entities fed by several partitions also keep each entry's (partition, offset), last. Sums wrap
around in int64, which differences undo.
"""

from typing import Any

from features.arena import allocate, class_entries, class_of, release
from features.kernel import kernel
from features.memory import load_word, store_word

SEGMENT, CLASS, HEAD, TAIL, NEWEST = (0, 1, 2, 3, 4)
LABEL_SEGMENT, LABEL_CLASS, LABELS = (5, 6, 7)
TOUCHED, TOTALS = (8, 9)
NOTHING_YET_MS = -(2**62)
_OUT_OF_MEMORY = -1


@kernel()
def upper_bound(arena: int, first: int, words: int, low: int, high: int, time_ms: int) -> int:
    """The first of the positions [low, high) whose time is after `time_ms`, in entries of `words` from `first`."""
    while low < high:
        middle = (low + high) // 2
        if load_word(arena, first + middle * words) <= time_ms:
            low = middle + 1
        else:
            high = middle
    return low


@kernel()
def _move(arena: int, source: int, target: int, count: int) -> None:
    if target <= source:
        for index in range(count):
            store_word(arena, target + index, load_word(arena, source + index))
    else:
        for index in range(count - 1, -1, -1):
            store_word(arena, target + index, load_word(arena, source + index))


@kernel()
def _make_room(arena: int, meta: int, key: int, words: int, pointers: int, ages: int, keep_ms: int) -> bool:
    """Room for one more entry: expired ones make way when they are an eighth, else the segment grows."""
    tail = load_word(key, TAIL)
    size_class = load_word(key, CLASS)
    capacity = class_entries(size_class) if size_class >= 0 else 0
    if tail < capacity:
        return True
    segment, head = load_word(key, SEGMENT), load_word(key, HEAD)
    if capacity:
        head = upper_bound(arena, segment, words, head, tail, load_word(key, NEWEST) - keep_ms)
    live = tail - head
    if capacity and head * 8 >= capacity:
        _move(arena, segment + head * words, segment, live * words)
    else:
        bigger = class_of(max(4, live + 1))
        target = allocate(arena, meta, bigger, words)
        if target == _OUT_OF_MEMORY:
            return False
        _move(arena, segment + head * words, target, live * words)
        if capacity:
            release(arena, meta, segment, size_class)
        store_word(key, SEGMENT, target)
        store_word(key, CLASS, bigger)
    store_word(key, HEAD, 0)
    store_word(key, TAIL, live)
    for age in range(ages):
        store_word(key, pointers + age, max(load_word(key, pointers + age) - head, 0))
    return True


@kernel()
def _place(arena: int, key: int, words: int, time_ms: int, order: int, ordered: bool) -> int:
    """Where an entry belongs: after all that are not later, ties by (partition, offset) where that is kept."""
    segment, head, tail = load_word(key, SEGMENT), load_word(key, HEAD), load_word(key, TAIL)
    if tail == head or time_ms > load_word(arena, segment + (tail - 1) * words):
        return tail
    place = upper_bound(arena, segment, words, head, tail, time_ms)
    while ordered and place > head:
        before = segment + (place - 1) * words
        if load_word(arena, before) != time_ms or load_word(arena, before + words - 1) < order:
            break
        place -= 1
    return place


@kernel()
def insert(
    arena: int,
    meta: int,
    key: int,
    time_ms: int,
    order: int,
    exact: Any,
    entry: Any,
    pointers: int,
    ages: int,
    ordered: bool,
    keep_ms: int,
) -> int:
    """Put an entry (one int64 a field in `entry`) into its place, which is returned; -1: out of memory."""
    fields = len(exact)
    words = 1 + fields + (1 if ordered else 0)
    if not _make_room(arena, meta, key, words, pointers, ages, keep_ms):
        return _OUT_OF_MEMORY
    segment, tail = load_word(key, SEGMENT), load_word(key, TAIL)
    place = _place(arena, key, words, time_ms, order, ordered)
    at = segment + place * words
    if place < tail:
        _move(arena, at, at + words, (tail - place) * words)
        for age in range(ages):
            if place < load_word(key, pointers + age):
                store_word(key, pointers + age, load_word(key, pointers + age) + 1)
    store_word(arena, at, time_ms)
    if ordered:
        store_word(arena, at + words - 1, order)
    for field in range(fields):
        column = at + 1 + field
        if not exact[field]:
            store_word(arena, column, entry[field])
            continue
        total = load_word(key, TOTALS + field)
        store_word(arena, column, total if place == tail else load_word(arena, column + words))
        for later in range(1, tail - place + 1):
            store_word(arena, column + later * words, load_word(arena, column + later * words) + entry[field])
        store_word(key, TOTALS + field, total + entry[field])
    store_word(key, TAIL, tail + 1)
    store_word(key, TOUCHED, 1)
    store_word(key, NEWEST, max(load_word(key, NEWEST), time_ms))
    return place


@kernel()
def remove(arena: int, key: int, place: int, exact: Any, entry: Any, pointers: int, ages: int, words: int) -> None:
    """Take the entry at a place out again, as if it had never been there; `NEWEST` must not have been its own."""
    segment, tail = load_word(key, SEGMENT), load_word(key, TAIL)
    at = segment + place * words
    after = tail - place - 1
    _move(arena, at + words, at, after * words)
    for field in range(len(exact)):
        if exact[field]:
            for later in range(after):
                column = at + later * words + 1 + field
                store_word(arena, column, load_word(arena, column) - entry[field])
            store_word(key, TOTALS + field, load_word(key, TOTALS + field) - entry[field])
    for age in range(ages):
        if place < load_word(key, pointers + age):
            store_word(key, pointers + age, load_word(key, pointers + age) - 1)
    store_word(key, TAIL, tail - 1)


@kernel()
def find_edges(
    arena: int, key: int, words: int, time_ms: int, ages_ms: Any, pointers: int, advance: bool, edges: Any
) -> None:
    """edges[a] = the first position whose time is after time_ms - ages_ms[a].

    `advance`: time_ms is the key's newest, so the remembered positions move on with it (amortised O(1));
    otherwise each edge is a binary search and nothing is remembered.
    """
    segment, head, tail = load_word(key, SEGMENT), load_word(key, HEAD), load_word(key, TAIL)
    for age in range(len(ages_ms)):
        until_ms = time_ms - ages_ms[age]
        if advance:
            place = max(load_word(key, pointers + age), head)
            while place < tail and load_word(arena, segment + place * words) <= until_ms:
                place += 1
            store_word(key, pointers + age, place)
        else:
            place = upper_bound(arena, segment, words, head, tail, until_ms)
        edges[age] = place
