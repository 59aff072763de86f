"""The labels of one key: which of its events were reported as hits. A sorted set of (event time, id)."""

from typing import Any

from features.arena import allocate, class_entries, class_of, release
from features.kernel import kernel
from features.windows import LABEL_CLASS, LABEL_SEGMENT, LABELS, NEWEST, upper_bound

_WORDS = 2


@kernel()
def _find(arena: Any, key: Any, time_ms: int, identity: int) -> int:
    """The place of a label, or -1 - the place where it belongs."""
    segment, count = key[LABEL_SEGMENT], key[LABELS]
    if not count:
        return -1
    capacity = class_entries(key[LABEL_CLASS])
    place = upper_bound(arena, segment, 0, count, time_ms - 1)
    while place < count and arena[segment + place] == time_ms:
        if arena[segment + capacity + place] == identity:
            return place
        place += 1
    return -1 - place


@kernel()
def _room(arena: Any, meta: Any, key: Any, keep_ms: int) -> bool:
    count = key[LABELS]
    capacity = class_entries(key[LABEL_CLASS]) if key[LABEL_CLASS] >= 0 else 0
    if count < capacity:
        return True
    segment = key[LABEL_SEGMENT]
    dead = upper_bound(arena, segment, 0, count, key[NEWEST] - keep_ms) if capacity else 0
    live = count - dead
    size_class = class_of(max(4, live + 1 + live // 4))
    target = allocate(arena, meta, size_class, _WORDS)
    if target < 0:
        return False
    size = class_entries(size_class)
    for index in range(live):
        arena[target + index] = arena[segment + dead + index]
        arena[target + size + index] = arena[segment + capacity + dead + index]
    if capacity:
        release(arena, meta, segment, key[LABEL_CLASS])
    key[LABEL_SEGMENT], key[LABEL_CLASS], key[LABELS] = target, size_class, live
    return True


@kernel()
def put_label(arena: Any, meta: Any, key: Any, time_ms: int, identity: int, hit: bool, keep_ms: int) -> bool:
    """The newest word on an event: remembered when it is a hit, forgotten when it is not. False: out of memory."""
    place = _find(arena, key, time_ms, identity)
    segment = key[LABEL_SEGMENT]
    if place >= 0 and not hit:
        capacity = class_entries(key[LABEL_CLASS])
        for index in range(place, key[LABELS] - 1):
            arena[segment + index] = arena[segment + index + 1]
            arena[segment + capacity + index] = arena[segment + capacity + index + 1]
        key[LABELS] -= 1
    if place >= 0 or not hit:
        return True
    if not _room(arena, meta, key, keep_ms):
        return False
    place = -1 - _find(arena, key, time_ms, identity)
    segment, capacity = key[LABEL_SEGMENT], class_entries(key[LABEL_CLASS])
    for index in range(key[LABELS], place, -1):
        arena[segment + index] = arena[segment + index - 1]
        arena[segment + capacity + index] = arena[segment + capacity + index - 1]
    arena[segment + place] = time_ms
    arena[segment + capacity + place] = identity
    key[LABELS] += 1
    return True


@kernel()
def count_labels(arena: Any, key: Any, after_ms: int, until_ms: int) -> int:
    """Hits among events in (after_ms, until_ms]."""
    count = key[LABELS]
    if not count:
        return 0
    segment = key[LABEL_SEGMENT]
    return upper_bound(arena, segment, 0, count, until_ms) - upper_bound(arena, segment, 0, count, after_ms)
