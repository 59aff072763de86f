"""Who an event is decided for: a field's value as a small number, given to all rows of a read at once."""

import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from features.kernel import kernel
from features.memory import copy_bytes, equal_bytes, load_i64, load_u8
from features.schema import NULL, NUMBER, FieldType, Schema

NONE, OTHER, FIRST = 0, 1, 2
"""Rows whose field is null (or all rows, where no field is named); those beyond the bound; the first tenant."""
NAME_BYTES_MAX = 64
"""A longer name is not kept: its rows are those of `(other)`."""
ALL_NAME, NONE_NAME, OTHER_NAME = "(all)", "(none)", "(other)"
_NONE, _OTHER, _FIRST, _NULL, _NUMBER, _BYTES_MAX = NONE, OTHER, FIRST, NULL, NUMBER, NAME_BYTES_MAX
_COUNT, _TEXT_BYTES, _SEED = range(3)


@kernel()
def _code(given: int, size: int, seed: int) -> int:
    """31 bits of a number, or of the text at an address; of eight bytes at a time."""
    code = np.uint64(seed)
    if size == _NUMBER:
        code ^= np.uint64(given)
    else:
        at = 0
        while at + 8 <= size:
            code = (code ^ np.uint64(load_i64(given + at))) * np.uint64(0x9E3779B97F4A7C15)
            code ^= code >> np.uint64(32)
            at += 8
        while at < size:
            code = (code ^ np.uint64(load_u8(given + at))) * np.uint64(0x100000001B3)
            at += 1
    code = (code ^ (code >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    return int(code >> np.uint64(33))


@kernel(
    "void(int64[:, ::1], int32[:, ::1], int64, int64, int64, int32[::1], int64[::1], int32[::1], uint8[::1],"
    " int64[::1], int16[::1])"
)
def _number(
    value: Any,
    length: Any,
    column: int,
    first: int,
    stop: int,
    table: Any,
    keys: Any,
    lengths: Any,
    text: Any,
    meta: Any,
    tenant_of: Any,
) -> None:
    mask, seed, texts = len(table) - 1, meta[_SEED], text.ctypes.data
    for row in range(first, stop):
        size, given = length[column, row], value[column, row]
        if size == _NULL or size > _BYTES_MAX:
            tenant_of[row] = _NONE if size == _NULL else _OTHER
            continue
        # The search is in this loop: handing the arrays on to a function would cost more than it does.
        place = _code(given, size, seed) & mask
        index = table[place]
        while index >= 0:
            if lengths[index] == size and (
                keys[index] == given if size == _NUMBER else equal_bytes(texts + keys[index], given, size)
            ):
                break
            place = (place + 1) & mask
            index = table[place]
        if index < 0:
            index = meta[_COUNT]
            if index == len(keys):
                tenant_of[row] = _OTHER
                continue
            table[place], lengths[index], keys[index] = index, size, given
            if size != _NUMBER:
                keys[index] = meta[_TEXT_BYTES]
                copy_bytes(texts + meta[_TEXT_BYTES], given, size)
                meta[_TEXT_BYTES] += size
            meta[_COUNT] = index + 1
        tenant_of[row] = _FIRST + index


class Tenants:
    """Numbers the tenants in the order in which they come; at most `tenants_max`, the rest are one, `(other)`.

    `field` names a column of integers, booleans, strings or ids. Bytes are compared on every hit, so two tenants are
    never one; the hash is seeded anew in every process, so that nobody can aim collisions. A tenant that has a number
    keeps it as long as the process lives.
    """

    def __init__(self, schema: Schema, field: str, tenants_max: int) -> None:
        self._column = schema.index(field)
        self._is_bool = schema.fields[field].code == FieldType.BOOL
        places = 16
        while places < 4 * tenants_max:
            places *= 2
        self._table: NDArray[np.int32] = np.full(places, -1, np.int32)
        self._keys: NDArray[np.int64] = np.zeros(tenants_max, np.int64)
        self._lengths: NDArray[np.int32] = np.zeros(tenants_max, np.int32)
        self._text: NDArray[np.uint8] = np.zeros(tenants_max * NAME_BYTES_MAX, np.uint8)
        self._meta: NDArray[np.int64] = np.array([0, 0, secrets.randbits(63)], np.int64)

    def number(self, columns: Columns, first: int, stop: int, tenant_of: NDArray[np.int16]) -> None:
        """Write the tenant of each row of [first, stop)."""
        found = (self._table, self._keys, self._lengths, self._text, self._meta)
        _number(columns.value, columns.length, self._column, first, stop, *found, tenant_of)

    def names(self) -> list[str]:
        """What the numbers so far stand for. A name that begins as ours do, with a bracket, is put into quotes."""
        return [NONE_NAME, OTHER_NAME, *(self._name(index) for index in range(int(self._meta[_COUNT])))]

    def _name(self, index: int) -> str:
        value, size = int(self._keys[index]), int(self._lengths[index])
        if size == NUMBER:
            return ("false", "true")[value] if self._is_bool else str(value)
        name = self._text[value : value + size].tobytes().decode(errors="replace")
        return repr(name) if name.startswith("(") or not name else name
