"""The labels of one key: which of its events were reported as hits. A sorted set of (event time, id)."""

from features.arena import allocate, class_entries, class_of, release
from features.kernel import kernel
from features.memory import load_word, store_word
from features.windows import LABEL_CLASS, LABEL_SEGMENT, LABELS, NEWEST, TOUCHED, upper_bound

_WORDS = 2


@kernel()
def _find(arena: int, key: int, time_ms: int, identity: int) -> int:
    """The place of a label, or -1 - the place where it belongs."""
    segment, count = (load_word(key, LABEL_SEGMENT), load_word(key, LABELS))
    if not count:
        return -1
    capacity = class_entries(load_word(key, LABEL_CLASS))
    place = upper_bound(arena, segment, 1, 0, count, time_ms - 1)
    while place < count and load_word(arena, segment + place) == time_ms:
        if load_word(arena, segment + capacity + place) == identity:
            return place
        place += 1
    return -1 - place


@kernel()
def _room(arena: int, meta: int, key: int, keep_ms: int) -> bool:
    count = load_word(key, LABELS)
    capacity = class_entries(load_word(key, LABEL_CLASS)) if load_word(key, LABEL_CLASS) >= 0 else 0
    if count < capacity:
        return True
    segment = load_word(key, LABEL_SEGMENT)
    dead = upper_bound(arena, segment, 1, 0, count, load_word(key, NEWEST) - keep_ms) if capacity else 0
    live = count - dead
    size_class = class_of(max(4, live + 1 + live // 4))
    target = allocate(arena, meta, size_class, _WORDS)
    if target < 0:
        return False
    size = class_entries(size_class)
    for index in range(live):
        store_word(arena, target + index, load_word(arena, segment + dead + index))
        store_word(arena, target + size + index, load_word(arena, segment + capacity + dead + index))
    if capacity:
        release(arena, meta, segment, load_word(key, LABEL_CLASS))
    store_word(key, LABEL_SEGMENT, target)
    store_word(key, LABEL_CLASS, size_class)
    store_word(key, LABELS, live)
    return True


@kernel()
def put_label(arena: int, meta: int, key: int, time_ms: int, identity: int, hit: bool, keep_ms: int) -> bool:
    """The newest word on an event: remembered when it is a hit, forgotten when it is not. False: out of memory."""
    place = _find(arena, key, time_ms, identity)
    segment = load_word(key, LABEL_SEGMENT)
    store_word(key, TOUCHED, 1)
    if place >= 0 and (not hit):
        capacity = class_entries(load_word(key, LABEL_CLASS))
        for index in range(place, load_word(key, LABELS) - 1):
            store_word(arena, segment + index, load_word(arena, segment + index + 1))
            store_word(arena, segment + capacity + index, load_word(arena, segment + capacity + index + 1))
        store_word(key, LABELS, load_word(key, LABELS) - 1)
    if place >= 0 or not hit:
        return True
    if not _room(arena, meta, key, keep_ms):
        return False
    place = -1 - _find(arena, key, time_ms, identity)
    segment, capacity = (load_word(key, LABEL_SEGMENT), class_entries(load_word(key, LABEL_CLASS)))
    for index in range(load_word(key, LABELS), place, -1):
        store_word(arena, segment + index, load_word(arena, segment + index - 1))
        store_word(arena, segment + capacity + index, load_word(arena, segment + capacity + index - 1))
    store_word(arena, segment + place, time_ms)
    store_word(arena, segment + capacity + place, identity)
    store_word(key, LABELS, load_word(key, LABELS) + 1)
    return True


@kernel()
def count_labels(arena: int, key: int, after_ms: int, until_ms: int) -> int:
    """Hits among events in (after_ms, until_ms]."""
    count = load_word(key, LABELS)
    if not count:
        return 0
    segment = load_word(key, LABEL_SEGMENT)
    return upper_bound(arena, segment, 1, 0, count, until_ms) - upper_bound(arena, segment, 1, 0, count, after_ms)
