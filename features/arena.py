"""Where entries live: one reserved run of memory, handed out in segments and taken back by size class."""

import mmap

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from features.memory import load_word, store_word
from features.memory_bound import Holding

WORD_BYTES = 8
PREFAULT_BYTES = 4 << 20
_LEFT_PART = 32
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
    """A segment's first word, -1 when what was made ready is used up: `Arena.extend`, then ask again."""
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

    All segments of one arena have the same words an entry. Memory is taken from `holding` as it is touched, and what
    is handed out was touched before: `meta[LIMIT]` is where the touched pages end. What lies ready beyond use is at
    most PREFAULT_BYTES and half as much, and less as the bound comes nearer, so that no arena keeps what others need.
    """

    def __init__(self, holding: Holding, bytes_max: int | None = None) -> None:
        most = holding.bound.bytes_max if bytes_max is None else bytes_max
        self._size_bytes = -(-max(most, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
        self._map = mmap.mmap(-1, self._size_bytes, flags=flags)
        self._holding = holding
        self.words: NDArray[np.int64] = np.frombuffer(self._map, np.int64)
        self.meta: NDArray[np.int64] = np.full(META_WORDS, -1, np.int64)
        self.meta[BUMP] = self.meta[LIMIT] = 0
        self.address = int(self.words.ctypes.data)
        self.meta_address = int(self.meta.ctypes.data)
        self.touched_bytes = 0
        if hasattr(mmap, "MADV_HUGEPAGE"):
            self._map.madvise(mmap.MADV_HUGEPAGE)
        self.prefault()

    @property
    def used_bytes(self) -> int:
        """Handed out so far, free segments included."""
        return int(self.meta[BUMP]) * WORD_BYTES

    def prefault(self) -> None:
        """Touch the pages that the next events will need, as far as the bound is not near."""
        while self.touched_bytes - self.used_bytes < min(PREFAULT_BYTES // 2, self._share_bytes()):
            if not self.extend():
                return

    def extend(self) -> bool:
        """Touch more pages, one at least; False when the bound is reached."""
        size = min(PREFAULT_BYTES, max(self._share_bytes(), mmap.PAGESIZE), self._size_bytes - self.touched_bytes)
        if not size or not self._holding.take(size):
            return False
        try:
            self._map.madvise(_MADV_POPULATE_WRITE, self.touched_bytes, size)
        except OSError:
            first = self.touched_bytes // WORD_BYTES
            self.words[first : first + size // WORD_BYTES : mmap.PAGESIZE // WORD_BYTES] = 0
        self.touched_bytes += size
        self.meta[LIMIT] = self.touched_bytes // WORD_BYTES
        return True

    def _share_bytes(self) -> int:
        """What may be taken ahead of use: a part of what is left for all, in whole pages."""
        return self._holding.bound.left_bytes // _LEFT_PART // mmap.PAGESIZE * mmap.PAGESIZE
