"""The fast path of decoding: the plain, common form of a flat JSON event, read where it lies.

A record that is not of this form (escapes, exponents, long numbers, nesting) or that may be bad is left to the safe
path; nothing is rejected here. No byte outside [address, address + length) is read.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from features.memory import load_u8
from features.schema import NULL, NUMBER, FieldType, Schema
from pipeline.wire.event_scan import (
    read_literal,
    read_number,
    read_time_ms,
    same_bytes,
    skip_space,
    skip_value,
    string_end,
)

GOOD, UNUSUAL = 0, 1
FIELDS_MAX = 62  # one bit each in an int64, with the sign to spare
UNKNOWN_KEYS_MAX = 64
EXACT_DIGITS_MAX = 15  # any such number is exact in float64
EXACT_POWER_MAX = 22
_POWER_OF_TEN = np.array([10.0**power for power in range(EXACT_POWER_MAX + 1)])
"""Each is exact in float64, so that one division rounds once (Clinger 1990)."""
_NULL, _NUMBER = NULL, NUMBER
_INT, _FLOAT, _DECIMAL, _BOOL, _TIME, _STRING, _ID = (int(kind) for kind in FieldType)
_TOKEN, _TOKEN_BYTES, _KIND, _DECIMALS, _LENGTH_MAX, _REQUIRED = range(6)


class PlainForm:
    """A schema as the kernel reads it: `tokens` holds every `"name":`, `table` a row of numbers a field."""

    def __init__(self, schema: Schema) -> None:
        tokens = [self._token(name) for name in schema.fields]
        starts = np.cumsum([0, *map(len, tokens)])[:-1]
        self.tokens: NDArray[np.uint8] = np.frombuffer(b"".join(tokens) + b" ", np.uint8).copy()
        self.table: NDArray[np.int64] = np.array(
            [
                (start, len(token), field.code, field.decimals or 0, field.length_max, field.required)
                for start, token, field in zip(starts, tokens, schema.fields.values(), strict=True)
            ],
            np.int64,
        ).reshape(-1, 6)
        self.unknown: NDArray[np.int64] = np.zeros((UNKNOWN_KEYS_MAX, 2), np.int64)

    @staticmethod
    def _token(name: str) -> bytes:
        # A name that JSON must escape never stands in a plain record: an empty token matches nothing.
        plain = not any(character in '"\\' or character < " " for character in name)
        return f'"{name}":'.encode() if plain else b""


@kernel()
def _find(key: int, key_bytes: int, tokens: Any, table: Any, expected: int) -> int:
    """The field of that name, trying first the one that comes next in declaration order; -1: unknown."""
    fields = len(table)
    for step in range(fields):
        field = expected + step
        if field >= fields:
            field -= fields
        if table[field, _TOKEN_BYTES] == key_bytes + 3 and same_bytes(
            key, tokens, table[field, _TOKEN] + 1, key_bytes
        ):
            return field
    return -1


@kernel()
def _remember(key: int, key_bytes: int, unknown: Any, strangers: int) -> bool:
    """Note an undeclared key; False when it stood before or there are too many."""
    if strangers == len(unknown):
        return False
    for index in range(strangers):
        if unknown[index, 1] == key_bytes:
            same = 0
            while same < key_bytes and load_u8(key + same) == load_u8(unknown[index, 0] + same):
                same += 1
            if same == key_bytes:
                return False
    unknown[strangers, 0], unknown[strangers, 1] = key, key_bytes
    return True


@kernel()
def _read_string(at: int, end: int, table: Any, field: int, row: int, value: Any, length: Any) -> int:
    kind = table[field, _KIND]
    if kind == _TIME:
        after, time_ms = read_time_ms(at, end)
        value[field, row] = time_ms
        length[field, row] = _NUMBER
        return after
    close = string_end(at, end)
    if close < 0 or (kind != _STRING and kind != _ID) or close - at > table[field, _LENGTH_MAX]:
        return -1
    value[field, row] = at
    length[field, row] = close - at
    return close + 1


@kernel()
def _read_literal(at: int, end: int, table: Any, field: int, row: int, value: Any, length: Any) -> int:
    after, found = read_literal(at, end)
    if found == 2:
        if table[field, _REQUIRED]:
            return -1
        value[field, row] = 0
        length[field, row] = _NULL
        return after
    if table[field, _KIND] != _BOOL:
        return -1
    value[field, row] = found
    length[field, row] = _NUMBER
    return after


@kernel(inline=True)
def _read_value(at: int, end: int, table: Any, field: int, row: int, value: Any, length: Any) -> int:
    """Read one declared field into its cell; returns the position after it, -1 when the safe path must."""
    if at >= end:
        return -1
    byte = load_u8(at)
    if byte == 0x22:
        return _read_string(at + 1, end, table, field, row, value, length)
    if byte > 0x39:
        return _read_literal(at, end, table, field, row, value, length)
    kind = table[field, _KIND]
    if kind in (_STRING, _BOOL):
        return -1
    negative = byte == 0x2D
    after, mantissa, digits, fraction = read_number(at + 1 if negative else at, end)
    if after < 0:
        return -1
    length[field, row] = _NUMBER
    if kind in (_INT, _TIME, _ID):
        if fraction:
            return -1
        value[field, row] = -mantissa if negative else mantissa
        return after
    if digits > EXACT_DIGITS_MAX:
        return -1
    if kind == _DECIMAL:
        decimals = table[field, _DECIMALS]
        if fraction <= decimals and digits + decimals - fraction <= EXACT_DIGITS_MAX:
            for _ in range(decimals - fraction):
                mantissa *= 10
        else:
            scaled = (mantissa / _POWER_OF_TEN[fraction]) * _POWER_OF_TEN[decimals]
            if scaled > 9.0e18:
                return -1
            mantissa = int(np.rint(scaled))
        value[field, row] = -mantissa if negative else mantissa
        return after
    number = mantissa / _POWER_OF_TEN[fraction]
    value.view(np.float64)[field, row] = -number if negative and mantissa else number
    return after


@kernel(inline=True)
def _read_key(
    at: int, end: int, expected: int, strangers: int, tokens: Any, table: Any, unknown: Any
) -> tuple[int, int]:
    """Read a key and its colon; returns (position of the value or -1, field or -1 for an undeclared one)."""
    token_bytes = table[expected, _TOKEN_BYTES]
    if token_bytes > 0 and end - at >= token_bytes and same_bytes(at, tokens, table[expected, _TOKEN], token_bytes):
        return skip_space(at + token_bytes, end), expected
    if at >= end or load_u8(at) != 0x22:
        return -1, -1
    key = at + 1
    close = string_end(key, end)
    if close < 0:
        return -1, -1
    at = skip_space(close + 1, end)
    if at >= end or load_u8(at) != 0x3A:
        return -1, -1
    field = _find(key, close - key, tokens, table, expected)
    if field < 0 and not _remember(key, close - key, unknown, strangers):
        return -1, -1
    return skip_space(at + 1, end), field


@kernel(inline=True)
def _complete(seen: int, row: int, table: Any, value: Any, length: Any) -> bool:
    """Make every optional field that was not seen null; False when a required one is missing."""
    for field in range(len(table)):
        if not seen >> field & 1:
            if table[field, _REQUIRED]:
                return False
            value[field, row] = 0
            length[field, row] = _NULL
    return True


@kernel(inline=True)
def _decode_one(at: int, end: int, row: int, tokens: Any, table: Any, unknown: Any, value: Any, length: Any) -> int:
    fields = len(table)
    seen, expected, strangers = 0, 0, 0
    at = skip_space(at, end)
    if at >= end or load_u8(at) != 0x7B:
        return UNUSUAL
    at = skip_space(at + 1, end)
    while True:
        at, field = _read_key(at, end, expected, strangers, tokens, table, unknown)
        if at < 0:
            return UNUSUAL
        if field < 0:
            strangers += 1
            at = skip_value(at, end)
        else:
            if seen >> field & 1:
                return UNUSUAL
            seen |= 1 << field
            expected = field + 1 if field + 1 < fields else 0
            at = _read_value(at, end, table, field, row, value, length)
        if at < 0:
            return UNUSUAL
        at = skip_space(at, end)
        if at >= end:
            return UNUSUAL
        byte = load_u8(at)
        at = skip_space(at + 1, end)
        if byte == 0x7D:
            break
        if byte != 0x2C:
            return UNUSUAL
    if at != end or not _complete(seen, row, table, value, length):
        return UNUSUAL
    return GOOD


@kernel(
    "void(int64[:], int64[:], int64, int64, uint8[::1], int64[:, ::1], int64[:, ::1], int64[:, ::1],"
    " int32[:, ::1], int8[::1])"
)
def decode_plain(
    payload_address: Any,
    payload_length: Any,
    first: int,
    value_bytes_max: int,
    tokens: Any,
    table: Any,
    unknown: Any,
    value: Any,
    length: Any,
    status: Any,
) -> None:
    """Decode n = len(status) records into rows [first, first + n); status GOOD, or UNUSUAL for the safe path.

    `tokens`, `table` and `unknown` (scratch) are a PlainForm's. An unusual record leaves its row undefined.
    """
    for index in range(len(status)):
        if payload_length[index] <= 0 or payload_length[index] > value_bytes_max:
            status[index] = UNUSUAL
            continue
        address = payload_address[index]
        status[index] = _decode_one(
            address, address + payload_length[index], first + index, tokens, table, unknown, value, length
        )
