"""Scores kept for feature rows that come again, to the last bit: open addressing, the row's bytes compared on a hit.

Entries are replaced as the clock does it (Corbató 1968): a hand goes round and takes the first that was not used
since it last came by. Deleting moves later entries of the chain back, so that no tombstones gather (Knuth, The Art of
Computer Programming 6.4, algorithm R).
"""

import secrets
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from features.memory import prefetch

PROBES_MAX = 64
"""So far from its place a row is looked for, which bounds a look-up. One that finds no room so near is not kept."""
_PROBES_MAX = PROBES_MAX
_EMPTY = -1
_UNLINKED, _UNUSED, _USED = -1, 0, 1
_COUNT, _HAND, _SEED = range(3)
_ENTRY = (1 << 32) - 1


@kernel()
def _hash_row(bits: Any, slot: int, seed: int) -> Any:
    """64 bits of a row's float32 bits, two at a time, then MurmurHash3's finaliser (Appleby 2011)."""
    word = np.uint64(seed)
    width = bits.shape[1]
    for index in range(0, width - 1, 2):
        both = np.uint64(bits[slot, index]) | (np.uint64(bits[slot, index + 1]) << np.uint64(32))
        word = (word ^ both) * np.uint64(0x9E3779B97F4A7C15)
        word ^= word >> np.uint64(32)
    if width & 1:
        word = (word ^ np.uint64(bits[slot, width - 1])) * np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    word = (word ^ (word >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return np.int64(word ^ (word >> np.uint64(33)))


@kernel()
def _cell(code: int, entry: int) -> int:
    """A table's cell: 31 bits of the hash above the entry's number, so that most strangers are told apart there."""
    return int(((code >> 32) & 0x7FFFFFFF) << 32 | entry)


@kernel()
def _find(bits: Any, slot: int, code: int, table: Any, kept: Any) -> int:
    """The entry of these very bits, or -1."""
    mask = len(table) - 1
    place = code & mask
    tag = (code >> 32) & 0x7FFFFFFF
    for _ in range(_PROBES_MAX):
        cell = table[place]
        if cell == _EMPTY:
            return -1
        if cell >> 32 == tag:
            entry = cell & _ENTRY
            index = 0
            while index < bits.shape[1] and kept[entry, index] == bits[slot, index]:
                index += 1
            if index == bits.shape[1]:
                return int(entry)
        place = (place + 1) & mask
    return -1


@kernel()
def _unlink(entry: int, table: Any, codes: Any) -> None:
    """Take an entry out of the table."""
    mask = len(table) - 1
    hole = codes[entry] & mask
    while table[hole] & _ENTRY != entry:
        hole = (hole + 1) & mask
    at = hole
    while True:
        at = (at + 1) & mask
        cell = table[at]
        if cell == _EMPTY:
            break
        if (at - codes[cell & _ENTRY]) & mask >= (at - hole) & mask:
            table[hole] = cell
            hole = at
    table[hole] = _EMPTY


@kernel()
def _room(table: Any, codes: Any, used: Any, meta: Any) -> int:
    """An entry to write to: a fresh one, or the first that was not used since the hand came by."""
    entry = meta[_COUNT]
    if entry < len(codes):
        meta[_COUNT] += 1
        return int(entry)
    entry = meta[_HAND]
    while used[entry] == _USED:
        used[entry] = _UNUSED
        entry = (entry + 1) % len(codes)
    meta[_HAND] = (entry + 1) % len(codes)
    if used[entry] != _UNLINKED:
        _unlink(entry, table, codes)
    return int(entry)


@kernel(
    "int64(int32[::1], uint32[:, ::1], int64, int64[::1], uint32[:, ::1], float32[::1], int64[::1], int8[::1],"
    " int64[::1], float32[::1], int32[::1], int64[::1])"
)
def _look_up(
    slots: Any,
    bits: Any,
    oldest_ns: int,
    table: Any,
    kept: Any,
    scores: Any,
    at_ns: Any,
    used: Any,
    meta: Any,
    score: Any,
    missed: Any,
    codes: Any,
) -> int:
    misses, mask = 0, len(table) - 1
    for index in range(len(slots)):
        codes[index] = _hash_row(bits, slots[index], meta[_SEED])
        prefetch(table.ctypes.data, codes[index] & mask)
    for index in range(len(slots)):
        slot, code = slots[index], codes[index]
        entry = _find(bits, slot, code, table, kept)
        if entry >= 0 and at_ns[entry] >= oldest_ns:
            score[slot] = scores[entry]
            used[entry] = _USED
        else:
            missed[misses] = slot
            codes[misses] = code
            misses += 1
    return misses


@kernel(
    "void(int32[::1], int64[::1], uint32[:, ::1], int64, float32[::1], int64[::1], int64[::1], uint32[:, ::1],"
    " float32[::1], int64[::1], int8[::1], int64[::1])"
)
def _keep(
    slots: Any,
    given_codes: Any,
    bits: Any,
    now_ns: int,
    score: Any,
    table: Any,
    codes: Any,
    kept: Any,
    scores: Any,
    at_ns: Any,
    used: Any,
    meta: Any,
) -> None:
    mask, full = len(table) - 1, meta[_COUNT] == len(codes)
    for index in range(len(slots)):
        prefetch(table.ctypes.data, given_codes[index] & mask)
        if full:  # what the hand is likely to come by
            prefetch(table.ctypes.data, codes[(meta[_HAND] + index) % len(codes)] & mask)
    for index in range(len(slots)):
        slot, code = slots[index], given_codes[index]
        entry = _find(bits, slot, code, table, kept)
        if entry < 0:
            entry = _room(table, codes, used, meta)
            codes[entry] = code
            used[entry] = _UNLINKED
            place = code & mask
            for _ in range(_PROBES_MAX):
                if table[place] == _EMPTY:
                    table[place] = _cell(code, entry)
                    kept[entry] = bits[slot]
                    used[entry] = _UNUSED
                    break
                place = (place + 1) & mask
        scores[entry] = score[slot]
        at_ns[entry] = now_ns


class RowCache:
    """Scores of one model version by the bytes of the feature rows it gave them for; any thread may call.

    At most `rows_max` rows are held, each for `age_ns_max` from when it was scored. All memory is taken at once:
    about 37 bytes and the row itself for each. Time is an argument and never goes back by more than it may.
    """

    def __init__(self, features: int, rows_max: int, age_ns_max: int, seed: int | None = None) -> None:
        places = 16
        while places < 2 * rows_max:
            places *= 2
        self._age_ns_max = age_ns_max
        self._lock = threading.Lock()
        self._table: NDArray[np.int64] = np.full(places, _EMPTY, np.int64)
        self._codes: NDArray[np.int64] = np.zeros(rows_max, np.int64)
        self._kept: NDArray[np.uint32] = np.zeros((rows_max, features), np.uint32)
        self._scores: NDArray[np.float32] = np.zeros(rows_max, np.float32)
        self._at_ns: NDArray[np.int64] = np.zeros(rows_max, np.int64)
        self._used: NDArray[np.int8] = np.full(rows_max, _UNLINKED, np.int8)
        seed = secrets.randbits(63) if seed is None else seed
        self._meta: NDArray[np.int64] = np.array([0, 0, seed], np.int64)

    @property
    def rows(self) -> int:
        """How many rows are held, old ones too."""
        return int(self._meta[_COUNT])

    def look_up(
        self,
        slots: NDArray[np.int32],
        features32: NDArray[np.float32],
        now_ns: int,
        score: NDArray[np.float32],
        missed: NDArray[np.int32],
        missed_codes: NDArray[np.int64],
    ) -> int:
        """Write the score of each slot whose row is known; returns how many are not.

        Those are in `missed`, in their order, with what `keep` wants of them in `missed_codes`: both the caller's, as
        long as `slots` at least.
        """
        with self._lock:
            return int(
                _look_up(
                    slots,
                    features32.view(np.uint32),
                    now_ns - self._age_ns_max,
                    self._table,
                    self._kept,
                    self._scores,
                    self._at_ns,
                    self._used,
                    self._meta,
                    score,
                    missed,
                    missed_codes,
                )
            )

    def keep(
        self,
        slots: NDArray[np.int32],
        codes: NDArray[np.int64],
        features32: NDArray[np.float32],
        now_ns: int,
        score: NDArray[np.float32],
    ) -> None:
        """Remember what the model has just told of these rows; `codes` are those of `look_up`."""
        with self._lock:
            _keep(
                slots,
                codes,
                features32.view(np.uint32),
                now_ns,
                score,
                self._table,
                self._codes,
                self._kept,
                self._scores,
                self._at_ns,
                self._used,
                self._meta,
            )
