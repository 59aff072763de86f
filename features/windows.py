"""The entries of one key: a set ordered by (event time, partition, offset), kept as sorted columns.

A key's segment holds, for `capacity` entries, the times and then one column a field: of an exact field (an integer
or a decimal) the sum of all entries before it, so that any window's sum is one subtraction and a late entry costs
one pass; of a float field the value's bits, which windows add up in the order of the set. Entities fed by several
partitions also keep each entry's (partition, offset). Sums wrap around in int64, which differences undo.
"""

from typing import Any

from features.arena import allocate, class_entries, class_of, release
from features.kernel import kernel
from features.memory import load_word, store_word

SEGMENT, CLASS, HEAD, TAIL, NEWEST = (0, 1, 2, 3, 4)
LABEL_SEGMENT, LABEL_CLASS, LABELS = (5, 6, 7)
TOTALS = 8
NOTHING_YET_MS = -(2**62)
_OUT_OF_MEMORY = -1


@kernel()
def upper_bound(arena: int, first: int, low: int, high: int, time_ms: int) -> int:
    """The first position in [low, high) whose time is after `time_ms`; `first` is the time column's word."""
    while low < high:
        middle = (low + high) // 2
        if load_word(arena, first + middle) <= time_ms:
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
def _make_room(arena: int, meta: int, key: int, columns: int, pointers: int, ages: int, keep_ms: int) -> bool:
    """Room for one more entry: expired ones make way when they are an eighth, else the segment grows."""
    segment, head, tail = (load_word(key, SEGMENT), load_word(key, HEAD), load_word(key, TAIL))
    capacity = class_entries(load_word(key, CLASS)) if load_word(key, CLASS) >= 0 else 0
    if tail < capacity:
        return True
    if capacity:
        head = upper_bound(arena, segment, head, tail, load_word(key, NEWEST) - keep_ms)
    live = tail - head
    if capacity and head * 8 >= capacity:
        for column in range(columns):
            _move(arena, segment + column * capacity + head, segment + column * capacity, live)
    else:
        bigger = class_of(max(4, live + 1))
        target = allocate(arena, meta, bigger, columns)
        if target == _OUT_OF_MEMORY:
            return False
        size = class_entries(bigger)
        for column in range(columns):
            _move(arena, segment + column * capacity + head, target + column * size, live)
        if capacity:
            release(arena, meta, segment, load_word(key, CLASS))
        store_word(key, SEGMENT, target)
        store_word(key, CLASS, bigger)
    store_word(key, HEAD, 0)
    store_word(key, TAIL, live)
    for age in range(ages):
        store_word(key, pointers + age, max(load_word(key, pointers + age) - head, 0))
    return True


@kernel()
def _place(arena: int, key: int, time_ms: int, order: int, order_column: int) -> int:
    """Where an entry belongs: after all that are not later, ties by (partition, offset) where that is kept."""
    segment, head, tail = (load_word(key, SEGMENT), load_word(key, HEAD), load_word(key, TAIL))
    if tail == head or time_ms > load_word(arena, segment + tail - 1):
        return tail
    place = upper_bound(arena, segment, head, tail, time_ms)
    if order_column:
        orders = segment + order_column * class_entries(load_word(key, CLASS))
        while (
            place > head
            and load_word(arena, segment + place - 1) == time_ms
            and (load_word(arena, orders + place - 1) > order)
        ):
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
    order_column: int,
    keep_ms: int,
) -> int:
    """Put an entry (one int64 a field in `entry`) into its place, which is returned; -1: out of memory."""
    fields = len(exact)
    columns = 1 + fields + (1 if order_column else 0)
    if not _make_room(arena, meta, key, columns, pointers, ages, keep_ms):
        return _OUT_OF_MEMORY
    segment, tail, capacity = (
        load_word(key, SEGMENT),
        load_word(key, TAIL),
        class_entries(load_word(key, CLASS)),
    )
    place = _place(arena, key, time_ms, order, order_column)
    if place < tail:
        for column in range(columns):
            start = segment + column * capacity + place
            _move(arena, start, start + 1, tail - place)
        for age in range(ages):
            if place < load_word(key, pointers + age):
                store_word(key, pointers + age, load_word(key, pointers + age) + 1)
    store_word(arena, segment + place, time_ms)
    if order_column:
        store_word(arena, segment + order_column * capacity + place, order)
    for field in range(fields):
        column = segment + (1 + field) * capacity
        if not exact[field]:
            store_word(arena, column + place, entry[field])
            continue
        if place == tail:
            store_word(arena, column + place, load_word(key, TOTALS + field))
        else:
            store_word(arena, column + place, load_word(arena, column + place + 1))
            for later in range(place + 1, tail + 1):
                store_word(arena, column + later, load_word(arena, column + later) + entry[field])
        store_word(key, TOTALS + field, load_word(key, TOTALS + field) + entry[field])
    store_word(key, TAIL, tail + 1)
    store_word(key, NEWEST, max(load_word(key, NEWEST), time_ms))
    return place


@kernel()
def remove(arena: int, key: int, place: int, exact: Any, entry: Any, pointers: int, ages: int, columns: int) -> None:
    """Take the entry at a place out again, as if it had never been there; `NEWEST` must not have been its own."""
    segment, tail, capacity = (
        load_word(key, SEGMENT),
        load_word(key, TAIL),
        class_entries(load_word(key, CLASS)),
    )
    for column in range(columns):
        start = segment + column * capacity + place
        _move(arena, start + 1, start, tail - place - 1)
    for field in range(len(exact)):
        if exact[field]:
            for later in range(place, tail - 1):
                store_word(
                    arena,
                    segment + (1 + field) * capacity + later,
                    load_word(arena, segment + (1 + field) * capacity + later) - entry[field],
                )
            store_word(key, TOTALS + field, load_word(key, TOTALS + field) - entry[field])
    for age in range(ages):
        if place < load_word(key, pointers + age):
            store_word(key, pointers + age, load_word(key, pointers + age) - 1)
    store_word(key, TAIL, tail - 1)


@kernel()
def find_edges(arena: int, key: int, time_ms: int, ages_ms: Any, pointers: int, advance: bool, edges: Any) -> None:
    """edges[a] = the first position whose time is after time_ms - ages_ms[a].

    `advance`: time_ms is the key's newest, so the remembered positions move on with it (amortised O(1));
    otherwise each edge is a binary search and nothing is remembered.
    """
    segment, head, tail = (load_word(key, SEGMENT), load_word(key, HEAD), load_word(key, TAIL))
    for age in range(len(ages_ms)):
        until_ms = time_ms - ages_ms[age]
        if advance:
            place = max(load_word(key, pointers + age), head)
            while place < tail and load_word(arena, segment + place) <= until_ms:
                place += 1
            store_word(key, pointers + age, place)
        else:
            place = upper_bound(arena, segment, head, tail, until_ms)
        edges[age] = place
