"""Keys with all they have, as words in a row: what a checkpoint's pieces hold, and the way back.

Of each key: its value (or 0), the length of its bytes (NUMBER for an integer, which has none), then what its entity
keeps. The bytes of string keys follow one another in a text of their own. Nothing is an address, and what windows can
no longer reach is left out, so a piece is smaller than the memory it came from.
"""

from typing import Any

from features.arena import allocate, class_entries, class_of, release
from features.entity_kernel import DONE, OUT_OF_MEMORY, STOPPED_AT
from features.kernel import kernel
from features.keys import FULL, find_key
from features.memory import copy_bytes, load_word, store_word
from features.paned_kernel import TOUCHED as BLOCK_TOUCHED
from features.paned_kernel import Ring, block_of
from features.schema import NUMBER
from features.windows import (
    CLASS,
    HEAD,
    LABEL_CLASS,
    LABEL_SEGMENT,
    LABELS,
    NEWEST,
    SEGMENT,
    TAIL,
    TOTALS,
    TOUCHED,
    upper_bound,
)

_NUMBER = NUMBER
KEY_WORDS = 2
HEADER_WORDS = KEY_WORDS + 3
"""Of an exact key: value, length, newest event's time, entries, labels; totals, entries and labels follow."""
NEXT_KEY, NEXT_WORD, NEXT_BYTE = range(3)
LABELS_FULL = 2


@kernel("boolean(int64[:, ::1], int64, int64)")
def any_touched(records: Any, first: int, stop: int) -> bool:
    """Whether any of these keys has changed since it was written last."""
    touched = 0
    for index in range(first, stop):
        touched |= records[index, TOUCHED]
    return touched != 0


@kernel("boolean(int64, int64, int64, int64)")
def any_block_touched(arena: int, block_words: int, first: int, stop: int) -> bool:
    """The same of paned keys."""
    touched = 0
    for index in range(first, stop):
        touched |= load_word(arena, index * block_words + BLOCK_TOUCHED)
    return touched != 0


@kernel()
def _write_key(
    index: int, keys: Any, lengths: Any, text: Any, words: Any, at: int, out_text: Any, text_at: int
) -> int:
    """Value and length at words[at:], the bytes of a string key at out_text[text_at:]; returns where those end."""
    words[at], words[at + 1] = keys[index], lengths[index]
    if lengths[index] == _NUMBER:
        return text_at
    words[at] = 0
    copy_bytes(out_text.ctypes.data + text_at, text.ctypes.data + keys[index], lengths[index])
    return text_at + int(lengths[index])


@kernel(
    "int64(int64, int64, int64[:, ::1], int64, int64, int64[::1], int32[::1], uint8[::1], int64[::1], int64[::1],"
    " uint8[::1], int64[::1])"
)
def write_entries(
    first: int,
    stop: int,
    records: Any,
    arena: int,
    labels: int,
    keys: Any,
    lengths: Any,
    text: Any,
    plan: Any,
    words: Any,
    out_text: Any,
    used: Any,
) -> int:
    """Write exact keys from `first` while there is room; returns how many, and in `used` the words and bytes.

    plan: [words an entry, fields, keep ms]. When not even one has room, 0 is returned and `used` is what it takes.
    """
    entry_words, fields, keep_ms = plan[0], plan[1], plan[2]
    at = text_at = 0
    for index in range(first, stop):
        key = records.ctypes.data + index * records.shape[1] * 8
        floor_ms = load_word(key, NEWEST) - keep_ms
        segment, head, tail = load_word(key, SEGMENT), load_word(key, HEAD), load_word(key, TAIL)
        if tail > head:
            head = upper_bound(arena, segment, entry_words, head, tail, floor_ms)
        label_segment, label_head, label_tail = load_word(key, LABEL_SEGMENT), 0, load_word(key, LABELS)
        if label_tail:
            label_head = upper_bound(labels, label_segment, 1, 0, label_tail, floor_ms)
        live, live_labels = tail - head, label_tail - label_head
        size, text_size = HEADER_WORDS + fields + live * entry_words + 2 * live_labels, max(lengths[index], 0)
        if at + size > len(words) or text_at + text_size > len(out_text):
            if index == first:
                used[0], used[1] = size, text_size
                return 0
            used[0], used[1] = at, text_at
            return index - first
        text_at = _write_key(index, keys, lengths, text, words, at, out_text, text_at)
        words[at + 2], words[at + 3], words[at + 4] = load_word(key, NEWEST), live, live_labels
        at += HEADER_WORDS
        for field in range(fields):
            words[at + field] = load_word(key, TOTALS + field)
        at += fields
        copy_bytes(words.ctypes.data + at * 8, arena + (segment + head * entry_words) * 8, live * entry_words * 8)
        at += live * entry_words
        if live_labels:
            source = labels + (label_segment + label_head) * 8
            capacity = class_entries(load_word(key, LABEL_CLASS))
            copy_bytes(words.ctypes.data + at * 8, source, live_labels * 8)
            copy_bytes(words.ctypes.data + (at + live_labels) * 8, source + capacity * 8, live_labels * 8)
            at += 2 * live_labels
        store_word(key, TOUCHED, 0)
    used[0], used[1] = at, text_at
    return stop - first


@kernel()
def _add_key(
    words: Any, in_text: Any, cursor: Any, table: Any, keys: Any, lengths: Any, text: Any, key_meta: Any
) -> Any:
    """The index that the key at the cursor gets, FULL when there is no room for it."""
    length = words[cursor[NEXT_WORD] + 1]
    value = words[cursor[NEXT_WORD]] if length == _NUMBER else in_text.ctypes.data + cursor[NEXT_BYTE]
    return find_key(value, length, True, table, keys, lengths, text, key_meta)


@kernel()
def _go_on(words: Any, cursor: Any, next_word: int) -> None:
    """The key at the cursor is in: the next one begins at `next_word`."""
    cursor[NEXT_KEY] += 1
    cursor[NEXT_BYTE] += max(words[cursor[NEXT_WORD] + 1], 0)
    cursor[NEXT_WORD] = next_word


@kernel()
def _read_entries(words: Any, at: int, live: int, entry_words: int, key: int, arena: int, meta: int) -> bool:
    store_word(key, CLASS, -1)
    if live:
        size_class = class_of(max(4, live))
        segment = allocate(arena, meta, size_class, entry_words)
        if segment < 0:
            return False
        copy_bytes(arena + segment * 8, words.ctypes.data + at * 8, live * entry_words * 8)
        store_word(key, SEGMENT, segment)
        store_word(key, CLASS, size_class)
        store_word(key, TAIL, live)
    return True


@kernel()
def _read_labels(words: Any, at: int, live: int, key: int, labels: int, meta: int) -> bool:
    store_word(key, LABEL_CLASS, -1)
    if live:
        size_class = class_of(max(4, live))
        segment = allocate(labels, meta, size_class, 2)
        if segment < 0:
            return False
        source, target = words.ctypes.data + at * 8, labels + segment * 8
        copy_bytes(target, source, live * 8)
        copy_bytes(target + class_entries(size_class) * 8, source + live * 8, live * 8)
        store_word(key, LABEL_SEGMENT, segment)
        store_word(key, LABEL_CLASS, size_class)
        store_word(key, LABELS, live)
    return True


@kernel(
    "void(int64[::1], uint8[::1], int64, int64[::1], int64[::1], int32[::1], int64[::1], int32[::1], uint8[::1],"
    " int64[::1], int64[:, ::1], int64[::1], int64[::1])"
)
def read_entries(
    words: Any,
    in_text: Any,
    count: int,
    plan: Any,
    arenas: Any,
    table: Any,
    keys: Any,
    lengths: Any,
    text: Any,
    key_meta: Any,
    records: Any,
    cursor: Any,
    counts: Any,
) -> None:
    """Put the keys of a piece, which are new, behind those there are; goes on at `cursor` after room was made.

    plan: [words an entry, fields]; arenas: the addresses of arena, its meta, labels and their meta. counts: as
    `apply_events`; its last is 1 when entries found no room, LABELS_FULL when labels did.
    """
    entry_words, fields = plan[0], plan[1]
    counts[STOPPED_AT] = DONE
    while cursor[NEXT_KEY] < count:
        at = cursor[NEXT_WORD]
        index = _add_key(words, in_text, cursor, table, keys, lengths, text, key_meta)
        if index == FULL:
            counts[STOPPED_AT] = 0
            return
        records[index, :] = 0
        key = records.ctypes.data + index * records.shape[1] * 8
        live, live_labels, entries = words[at + 3], words[at + 4], at + HEADER_WORDS + fields
        if not _read_entries(words, entries, live, entry_words, key, arenas[0], arenas[1]):
            counts[STOPPED_AT], counts[OUT_OF_MEMORY] = 0, 1
            return
        if not _read_labels(words, entries + live * entry_words, live_labels, key, arenas[2], arenas[3]):
            if live:
                release(arenas[0], arenas[1], load_word(key, SEGMENT), load_word(key, CLASS))
            counts[STOPPED_AT], counts[OUT_OF_MEMORY] = 0, LABELS_FULL
            return
        store_word(key, NEWEST, words[at + 2])
        for field in range(fields):
            store_word(key, TOTALS + field, words[at + HEADER_WORDS + field])
        _go_on(words, cursor, entries + live * entry_words + 2 * live_labels)


@kernel("int64(int64, int64, int64, int64, int64[::1], int32[::1], uint8[::1], int64[::1], uint8[::1], int64[::1])")
def write_blocks(
    first: int,
    stop: int,
    arena: int,
    block_words: int,
    keys: Any,
    lengths: Any,
    text: Any,
    words: Any,
    out_text: Any,
    used: Any,
) -> int:
    """As `write_entries`, of paned keys: value, length and the block."""
    at = text_at = 0
    for index in range(first, stop):
        size, text_size = KEY_WORDS + block_words, max(lengths[index], 0)
        if at + size > len(words) or text_at + text_size > len(out_text):
            if index == first:
                used[0], used[1] = size, text_size
                return 0
            used[0], used[1] = at, text_at
            return index - first
        text_at = _write_key(index, keys, lengths, text, words, at, out_text, text_at)
        block = arena + index * block_words * 8
        store_word(block, BLOCK_TOUCHED, 0)
        copy_bytes(words.ctypes.data + (at + KEY_WORDS) * 8, block, block_words * 8)
        at += size
    used[0], used[1] = at, text_at
    return stop - first


@kernel(
    "void(int64[::1], uint8[::1], int64, int64[::1], int64, int64, int32[::1], int64[::1], int32[::1], uint8[::1],"
    " int64[::1], int64[::1], int64[::1])"
)
def read_blocks(
    words: Any,
    in_text: Any,
    count: int,
    plan: Any,
    arena: int,
    meta: int,
    table: Any,
    keys: Any,
    lengths: Any,
    text: Any,
    key_meta: Any,
    cursor: Any,
    counts: Any,
) -> None:
    """As `read_entries`, of paned keys; plan: a `Ring`'s fields."""
    ring = Ring(plan[0], plan[1], plan[2], plan[3], plan[4], plan[5])
    counts[STOPPED_AT] = DONE
    while cursor[NEXT_KEY] < count:
        at = cursor[NEXT_WORD]
        index = _add_key(words, in_text, cursor, table, keys, lengths, text, key_meta)
        if index == FULL:
            counts[STOPPED_AT] = 0
            return
        block = block_of(index, ring, arena, meta)
        if not block:
            counts[STOPPED_AT], counts[OUT_OF_MEMORY] = 0, 1
            return
        copy_bytes(block, words.ctypes.data + (at + KEY_WORDS) * 8, ring.block_words * 8)
        _go_on(words, cursor, at + KEY_WORDS + ring.block_words)
