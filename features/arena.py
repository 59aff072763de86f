"""Where entries live: one reserved run of memory, handed out in segments and taken back by size class."""

import mmap

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from features.memory import load_word, store_word

WORD_BYTES = 8
PREFAULT_BYTES = 4 << 20
_MADV_POPULATE_WRITE = 23
_CLASSES = 40
META_WORDS = 2 + _CLASSES
BUMP, LIMIT, FREE = (0, 1, 2)


@kernel()
def class_of(entries: int) -> int:
    """The smallest size class that holds so many entries: 4, 8, 16, 32, ..."""
    size_class = 0
    while class_entries(size_class) < entries:
        size_class += 1
    return size_class


@kernel()
def class_entries(size_class: int) -> int:
    """Entries in a segment of a class: each doubles the last, so that what growing left behind is at most as much."""
    return 4 << size_class


@kernel()
def allocate(arena: int, meta: int, size_class: int, words_per_entry: int) -> int:
    """A segment's first word, -1 when the reservation is used up."""
    segment = load_word(meta, FREE + size_class)
    if segment >= 0:
        store_word(meta, FREE + size_class, load_word(arena, segment))
        return segment
    words = class_entries(size_class) * words_per_entry
    if load_word(meta, BUMP) + words > load_word(meta, LIMIT):
        return -1
    segment = load_word(meta, BUMP)
    store_word(meta, BUMP, load_word(meta, BUMP) + words)
    return segment


@kernel()
def release(arena: int, meta: int, segment: int, size_class: int) -> None:
    """Give a segment back to its class."""
    store_word(arena, segment, load_word(meta, FREE + size_class))
    store_word(meta, FREE + size_class, segment)


class Arena:
    """int64 words, reserved once and never moved; pages are touched ahead of use, never by an event.

    All segments of one arena have the same words an entry. Memory is taken from the system as it is used.
    """

    def __init__(self, bytes_max: int) -> None:
        size = max(bytes_max, 1 << 20) // mmap.PAGESIZE * mmap.PAGESIZE
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
        self._map = mmap.mmap(-1, size, flags=flags)
        self.words: NDArray[np.int64] = np.frombuffer(self._map, np.int64)
        self.meta: NDArray[np.int64] = np.full(META_WORDS, -1, np.int64)
        self.meta[BUMP], self.meta[LIMIT] = (0, size // WORD_BYTES)
        self.address = int(self.words.ctypes.data)
        self.meta_address = int(self.meta.ctypes.data)
        self._faulted_bytes = 0
        if hasattr(mmap, "MADV_HUGEPAGE"):
            self._map.madvise(mmap.MADV_HUGEPAGE)
        self.prefault()

    @property
    def used_bytes(self) -> int:
        """Handed out so far, free segments included."""
        return int(self.meta[BUMP]) * WORD_BYTES

    def prefault(self) -> None:
        """Touch the pages that the next events will need."""
        while self._faulted_bytes < min(self.used_bytes + PREFAULT_BYTES // 2, len(self._map)):
            size = min(PREFAULT_BYTES, len(self._map) - self._faulted_bytes)
            try:
                self._map.madvise(_MADV_POPULATE_WRITE, self._faulted_bytes, size)
            except OSError:
                first = self._faulted_bytes // WORD_BYTES
                self.words[first : first + size // WORD_BYTES : mmap.PAGESIZE // WORD_BYTES] = 0
            self._faulted_bytes += size
