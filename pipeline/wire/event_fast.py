"""The fast path of decoding: the plain, common form of a flat JSON event, read where it lies.

A record that is not of this form (escapes, exponents, long numbers, nesting, bytes outside ASCII) or that may be
bad is left to the safe path; nothing is rejected here. No byte outside [address, address + length) is read.
"""

from typing import Any

import numpy as np

from features.kernel import kernel
from features.memory import load_u8
from features.schema import NULL, NUMBER, FieldType

GOOD, UNUSUAL = 0, 1
UNKNOWN_KEYS_MAX = 8
DIGITS_MAX = 18  # any such number fits int64
EXACT_DIGITS_MAX = 15  # any such number is exact in float64, and so is its rounding to units
_POWER_OF_TEN = np.array([10.0**power for power in range(23)])
"""Each is exact in float64, so that one division rounds once (Clinger 1990)."""
_NULL, _NUMBER = NULL, NUMBER
_INT, _FLOAT, _DECIMAL = int(FieldType.INT), int(FieldType.FLOAT), int(FieldType.DECIMAL)
_BOOL, _TIME, _STRING, _ID = (
    int(FieldType.BOOL),
    int(FieldType.TIME),
    int(FieldType.STRING),
    int(FieldType.ID),
)
_QUOTE, _BACKSLASH, _COMMA, _COLON = 0x22, 0x5C, 0x2C, 0x3A
_OPEN, _CLOSE, _MINUS, _DOT, _ZERO, _NINE = 0x7B, 0x7D, 0x2D, 0x2E, 0x30, 0x39


@kernel(inline=True)
def _skip_space(at: int, end: int) -> int:
    while at < end:
        byte = load_u8(at)
        if byte != 0x20 and byte != 0x0A and byte != 0x0D and byte != 0x09:
            break
        at += 1
    return at


@kernel()
def _string_end(at: int, end: int) -> int:
    """Where the closing quote of a plain ASCII string is, -1 when it is not one."""
    while at < end:
        byte = load_u8(at)
        if byte == _QUOTE:
            return at
        if byte == _BACKSLASH or byte < 0x20 or byte >= 0x80:
            return -1
        at += 1
    return -1


@kernel()
def _number(at: int, end: int) -> tuple[int, int, int, int]:
    """Read -?digits(.digits)?; returns (position after it or -1, digits as an integer, digits, decimals)."""
    start, mantissa, digits, decimals = at, 0, 0, -1
    while at < end:
        byte = load_u8(at)
        if _ZERO <= byte <= _NINE:
            mantissa = mantissa * 10 + (byte - _ZERO)
            digits += 1
            if decimals >= 0:
                decimals += 1
            if digits > DIGITS_MAX:
                return -1, 0, 0, 0
        elif byte == _DOT and decimals < 0 and digits > 0:
            decimals = 0
        else:
            break
        at += 1
    if digits == 0 or decimals == 0:
        return -1, 0, 0, 0
    leading_zero = load_u8(start) == _ZERO and digits > 1 and load_u8(start + 1) != _DOT
    if leading_zero or at == end:
        return -1, 0, 0, 0
    return at, mantissa, digits, max(decimals, 0)


@kernel()
def _literal(at: int, end: int) -> tuple[int, int]:
    """Read true, false or null; returns (position after it or -1, 1, 0 or 2)."""
    if end - at >= 4:
        first, second, third, fourth = load_u8(at), load_u8(at + 1), load_u8(at + 2), load_u8(at + 3)
        if first == 0x74 and second == 0x72 and third == 0x75 and fourth == 0x65:
            return at + 4, 1
        if first == 0x6E and second == 0x75 and third == 0x6C and fourth == 0x6C:
            return at + 4, 2
        if end - at >= 5 and first == 0x66 and second == 0x61 and third == 0x6C and fourth == 0x73:
            return (at + 5, 0) if load_u8(at + 4) == 0x65 else (-1, 0)
    return -1, 0


@kernel()
def _same_name(key: int, key_length: int, names: Any, start: int, stop: int) -> bool:
    if stop - start != key_length:
        return False
    for index in range(key_length):
        if load_u8(key + index) != names[start + index]:
            return False
    return True


@kernel()
def _find(key: int, key_length: int, names: Any, bounds: Any, expected: int) -> int:
    """The field of that name, trying the one that comes next in declaration order first; -1: unknown."""
    fields = len(bounds) - 1
    for step in range(fields):
        field = (expected + step) % fields
        if _same_name(key, key_length, names, bounds[field], bounds[field + 1]):
            return field
    return -1


@kernel()
def _seen_before(key: int, key_length: int, unknown: Any, count: int) -> bool:
    for index in range(count):
        if unknown[index, 1] == key_length:
            same = 0
            while same < key_length and load_u8(key + same) == load_u8(unknown[index, 0] + same):
                same += 1
            if same == key_length:
                return True
    return False


@kernel()
def _skip_value(at: int, end: int) -> int:
    """Past the plain value of an undeclared field; -1 when it is not plain."""
    if at >= end:
        return -1
    byte = load_u8(at)
    if byte == _QUOTE:
        close = _string_end(at + 1, end)
        return close + 1 if close >= 0 else -1
    if byte == _MINUS or _ZERO <= byte <= _NINE:
        return _number(at + 1 if byte == _MINUS else at, end)[0]
    return _literal(at, end)[0]


@kernel()
def _read_value(
    at: int, end: int, kind: int, decimals: int, length_max: int, field: int, row: int, value: Any, length: Any
) -> int:
    """Read one declared field into its cell; returns the position after it, -1 when the safe path must."""
    if at >= end:
        return -1
    byte = load_u8(at)
    if byte == _QUOTE:
        close = _string_end(at + 1, end)
        if close < 0 or (kind != _STRING and kind != _ID) or close - at - 1 > length_max:
            return -1
        value[field, row] = at + 1
        length[field, row] = close - at - 1
        return close + 1
    if kind == _BOOL:
        after, truth = _literal(at, end)
        if truth == 2:
            return -1
        value[field, row] = truth
        length[field, row] = _NUMBER
        return after
    if kind == _STRING:
        return -1
    negative = byte == _MINUS
    after, mantissa, digits, fraction = _number(at + 1 if negative else at, end)
    if after < 0:
        return -1
    length[field, row] = _NUMBER
    if kind == _DECIMAL:
        if digits + decimals - fraction > EXACT_DIGITS_MAX or fraction > decimals:
            return -1
        for _ in range(decimals - fraction):
            mantissa *= 10
    elif kind == _FLOAT:
        if digits > EXACT_DIGITS_MAX or fraction > 22:
            return -1
        scaled = mantissa / _POWER_OF_TEN[fraction]
        value.view(np.float64)[field, row] = -scaled if negative else scaled
        return after
    elif fraction:
        return -1
    value[field, row] = -mantissa if negative else mantissa
    return after


@kernel()
def _decode_one(
    at: int,
    end: int,
    row: int,
    names: Any,
    bounds: Any,
    kinds: Any,
    decimals: Any,
    length_max: Any,
    required: int,
    value: Any,
    length: Any,
    unknown: Any,
) -> int:
    fields = len(kinds)
    seen, expected, strangers = 0, 0, 0
    at = _skip_space(at, end)
    if at >= end or load_u8(at) != _OPEN:
        return UNUSUAL
    at = _skip_space(at + 1, end)
    while True:
        if at >= end or load_u8(at) != _QUOTE:
            return UNUSUAL
        key = at + 1
        close = _string_end(key, end)
        if close < 0:
            return UNUSUAL
        at = _skip_space(close + 1, end)
        if at >= end or load_u8(at) != _COLON:
            return UNUSUAL
        at = _skip_space(at + 1, end)
        field = _find(key, close - key, names, bounds, expected)
        if field >= 0:
            if seen >> field & 1:
                return UNUSUAL
            seen |= 1 << field
            expected = field + 1 if field + 1 < fields else 0
            at = _read_value(
                at, end, kinds[field], decimals[field], length_max[field], field, row, value, length
            )
        else:
            if strangers == UNKNOWN_KEYS_MAX or _seen_before(key, close - key, unknown, strangers):
                return UNUSUAL
            unknown[strangers, 0], unknown[strangers, 1] = key, close - key
            strangers += 1
            at = _skip_value(at, end)
        if at < 0:
            return UNUSUAL
        at = _skip_space(at, end)
        if at >= end:
            return UNUSUAL
        byte = load_u8(at)
        at = _skip_space(at + 1, end)
        if byte == _CLOSE:
            break
        if byte != _COMMA:
            return UNUSUAL
    if at != end or seen & required != required:
        return UNUSUAL
    for field in range(fields):
        if not seen >> field & 1:
            value[field, row] = 0
            length[field, row] = _NULL
    return GOOD


@kernel(
    "void(int64[::1], int64[::1], int64, int64, uint8[::1], int64[::1], int8[::1], int8[::1], int64[::1], int64,"
    " int64[:, ::1], int32[:, ::1], int64[:, ::1], int8[::1])"
)
def decode_plain(
    address: Any,
    payload_length: Any,
    first: int,
    payload_bytes_max: int,
    names: Any,
    bounds: Any,
    kinds: Any,
    decimals: Any,
    length_max: Any,
    required: int,
    value: Any,
    length: Any,
    unknown: Any,
    status: Any,
) -> None:
    """Decode records of the plain form into rows [first, first + n); status GOOD, or UNUSUAL for all others.

    `names` holds the field names one after another, `bounds` int64[fields + 1] where each begins; `required`
    is a bit mask. `unknown` is scratch, int64[UNKNOWN_KEYS_MAX, 2].
    """
    for index in range(len(address)):
        if payload_length[index] <= 0 or payload_length[index] > payload_bytes_max:
            status[index] = UNUSUAL
            continue
        status[index] = _decode_one(
            address[index],
            address[index] + payload_length[index],
            first + index,
            names,
            bounds,
            kinds,
            decimals,
            length_max,
            required,
            value,
            length,
            unknown,
        )
