"""From an entity's key, an integer or a string, to its index: open addressing, bytes compared on every hit."""

import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from features.memory import copy_bytes, equal_bytes, load_u8
from features.schema import NUMBER

_NUMBER = NUMBER
_TEXT_BYTES_PER_KEY = 24
TABLE_BYTES_A_KEY = 8 + 4 + 2 * 4
"""What a full table takes for each of its keys, the bytes of string keys aside."""
FULL = -2
ABSENT = -1


@kernel()
def _mix(word: Any) -> Any:
    """A bijective scramble of 64 bits (the finaliser of MurmurHash3, Appleby 2011)."""
    word = np.uint64(word)
    word = (word ^ (word >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    word = (word ^ (word >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return np.int64(word ^ (word >> np.uint64(33)))


@kernel()
def _hash(value: int, length: int, seed: int) -> Any:
    if length == _NUMBER:
        return _mix(value ^ seed)
    word = np.uint64(seed) ^ np.uint64(0xCBF29CE484222325)
    for index in range(length):
        word = (word ^ np.uint64(load_u8(value + index))) * np.uint64(0x100000001B3)
    return _mix(np.int64(word))


@kernel()
def identity_of(value: int, length: int) -> Any:
    """An id as one integer: itself, or the 64-bit FNV-1a hash of its bytes."""
    if length == _NUMBER:
        return value
    word = np.uint64(0xCBF29CE484222325)
    for index in range(length):
        word = (word ^ np.uint64(load_u8(value + index))) * np.uint64(0x100000001B3)
    return np.int64(word)


@kernel()
def first_place(value: int, length: int, table: Any, meta: Any) -> int:
    """Where in `table` the search for a key begins."""
    return int(_hash(value, length, meta[2]) & (len(table) - 1))


@kernel()
def find_key(value: int, length: int, add: bool, table: Any, keys: Any, lengths: Any, text: Any, meta: Any) -> Any:
    """As `find_key_from`, beginning where a search begins."""
    place = first_place(value, length, table, meta)
    return find_key_from(place, value, length, add, table, keys, lengths, text, meta)


@kernel()
def find_key_from(
    place: int, value: int, length: int, add: bool, table: Any, keys: Any, lengths: Any, text: Any, meta: Any
) -> Any:
    """The index of a key, ABSENT when it is not there and `add` is false, FULL when there is no room for it.

    table: int32[power of two], -1 where empty. keys: int64[capacity], an integer key or where its bytes begin
    in `text` (uint8); lengths: int32[capacity]. meta: [keys, bytes of text, seed].
    """
    mask = len(table) - 1
    while table[place] >= 0:
        index = table[place]
        if lengths[index] == length and (
            keys[index] == value if length == _NUMBER else equal_bytes(text.ctypes.data + keys[index], value, length)
        ):
            return index
        place = (place + 1) & mask
    if not add:
        return ABSENT
    index = meta[0]
    if index == len(keys) or (length > 0 and meta[1] + length > len(text)):
        return FULL
    keys[index] = value
    lengths[index] = length
    if length != _NUMBER:
        keys[index] = meta[1]
        copy_bytes(text.ctypes.data + meta[1], value, length)
        meta[1] += length
    table[place] = index
    meta[0] = index + 1
    return index


@kernel("void(int32[::1], int64[::1], int32[::1], uint8[::1], int64[::1])")
def _rehash(table: Any, keys: Any, lengths: Any, text: Any, meta: Any) -> None:
    mask = len(table) - 1
    for index in range(meta[0]):
        value = keys[index] if lengths[index] == _NUMBER else text.ctypes.data + keys[index]
        place = _hash(value, lengths[index], meta[2]) & mask
        while table[place] >= 0:
            place = (place + 1) & mask
        table[place] = index


class Keys:
    """The keys of one table. The hash is seeded anew in every process, so that nobody can aim collisions."""

    def __init__(self, expected: int) -> None:
        capacity = 16
        while capacity < expected:
            capacity *= 2
        self.keys: NDArray[np.int64] = np.zeros(capacity, np.int64)
        self.lengths: NDArray[np.int32] = np.zeros(capacity, np.int32)
        self.table: NDArray[np.int32] = np.full(capacity * 2, -1, np.int32)
        self.text: NDArray[np.uint8] = np.zeros(1024, np.uint8)
        self.meta: NDArray[np.int64] = np.array([0, 0, secrets.randbits(63)], np.int64)

    @property
    def count(self) -> int:
        """Keys known."""
        return int(self.meta[0])

    @property
    def capacity(self) -> int:
        """Keys that fit before the table grows."""
        return len(self.keys)

    @property
    def table_bytes(self) -> int:
        """What `grow` takes once more: the table without the bytes of string keys."""
        return self.keys.nbytes + self.lengths.nbytes + self.table.nbytes

    @property
    def text_bytes(self) -> int:
        """What `grow_text` takes once more: the room for the bytes of string keys."""
        return self.text.nbytes

    def grow_text(self) -> None:
        """Double the room for the bytes of string keys."""
        self.text = np.concatenate((self.text, np.zeros_like(self.text)))

    def grow(self) -> None:
        """Double the table."""
        self.keys = np.concatenate((self.keys, np.zeros_like(self.keys)))
        self.lengths = np.concatenate((self.lengths, np.zeros_like(self.lengths)))
        self.table = np.full(len(self.keys) * 2, -1, np.int32)
        _rehash(self.table, self.keys, self.lengths, self.text, self.meta)

    def used_bytes(self) -> int:
        """Memory of the table itself."""
        return self.table_bytes + self.text_bytes
