"""The pieces of plain JSON: strings, numbers, literals and times, read where they lie.

Each function returns the position after what it read, or -1 when that is not plain or may be bad: then the safe
path decides. No byte at or after `end` is read.
"""

from typing import Any

import numpy as np

from features.kernel import kernel
from features.memory import load_i64, load_u8, trailing_zeros

DIGITS_MAX = 19  # the most that an int64 can have, and few enough that uint64 cannot wrap unseen
_MS_A_DAY = 86_400_000
_POWER_OF_TEN = np.array([10**power for power in range(DIGITS_MAX)], np.int64)


@kernel()
def skip_space(at: int, end: int) -> int:
    """The first position at or after `at` that is not JSON's white space."""
    while at < end:
        byte = load_u8(at)
        if byte > 0x20 or (byte != 0x20 and byte != 0x0A and byte != 0x0D and byte != 0x09):
            break
        at += 1
    return at


@kernel()
def _continues(at: int, end: int, count: int) -> bool:
    if end - at < count:
        return False
    found = 0
    for index in range(count):
        found += load_u8(at + index) & 0xC0 == 0x80
    return found == count


@kernel()
def _character_end(at: int, end: int) -> int:
    """Past one UTF-8 sequence outside ASCII; -1 for overlong forms, surrogates and what is beyond U+10FFFF."""
    lead = load_u8(at)
    if lead < 0xC2 or lead > 0xF4:
        return -1
    rest = 1 if lead < 0xE0 else (2 if lead < 0xF0 else 3)
    if not _continues(at + 1, end, rest):
        return -1
    second = load_u8(at + 1)
    if lead == 0xE0 and second < 0xA0:
        return -1
    if lead == 0xED and second > 0x9F:
        return -1
    if lead == 0xF0 and second < 0x90:
        return -1
    if lead == 0xF4 and second > 0x8F:
        return -1
    return at + 1 + rest


@kernel()
def string_end(at: int, end: int) -> int:
    """Where the closing quote of a string without escapes is; `at` is past the opening one."""
    while at < end:
        byte = load_u8(at)
        if byte == 0x22:
            return at
        if byte == 0x5C or byte < 0x20:
            return -1
        if byte < 0x80:
            at += 1
            continue
        at = _character_end(at, end)
        if at < 0:
            return -1
    return -1


@kernel(inline=True)
def _eight_digits(digits: Any) -> Any:
    """Eight decimal digits, a byte each, the first in the lowest, as a number (three multiplications; D. Lemire)."""
    pairs = digits * np.uint64(10) + (digits >> np.uint64(8))
    outer = (pairs & np.uint64(0x000000FF000000FF)) * np.uint64(0x000F424000000064)
    inner = ((pairs >> np.uint64(16)) & np.uint64(0x000000FF000000FF)) * np.uint64(0x0000271000000001)
    return np.int64((outer + inner) >> np.uint64(32))


@kernel()
def _read_digits(at: int, end: int) -> tuple[int, int]:
    """Read digits, eight at a time; returns (position, their number, which wraps in int64 when they are many)."""
    number = 0
    while end - at >= 8:
        digits = np.uint64(load_i64(at)) ^ np.uint64(0x3030303030303030)
        # A byte's upper half stays 0 for a digit alone; a carry only reaches bytes after one that is none.
        strange = (digits | (digits + np.uint64(0x0606060606060606))) & np.uint64(0xF0F0F0F0F0F0F0F0)
        count = trailing_zeros(strange) >> 3
        if count == 0:
            return at, number
        number = number * _POWER_OF_TEN[count] + _eight_digits(digits << np.uint64(64 - 8 * count))
        at += count
        if count < 8:
            return at, number
    while at < end:
        digit = load_u8(at) - 0x30
        if digit < 0 or digit > 9:
            break
        number = number * 10 + digit
        at += 1
    return at, number


@kernel()
def read_number(at: int, end: int) -> tuple[int, int, int, int]:
    """Read digits[.digits]; returns (position, digits as one integer, digits, digits after the point)."""
    start, fraction = at, 0
    at, mantissa = _read_digits(at, end)
    digits = at - start
    if digits == 0 or digits > DIGITS_MAX or (load_u8(start) == 0x30 and digits > 1):
        return -1, 0, 0, 0
    if at < end and load_u8(at) == 0x2E:
        point = at
        at, after_point = _read_digits(at + 1, end)
        fraction = at - point - 1
        digits += fraction
        if fraction == 0 or digits > DIGITS_MAX:
            return -1, 0, 0, 0
        mantissa = mantissa * _POWER_OF_TEN[fraction] + after_point
    if at == end or mantissa < 0:
        return -1, 0, 0, 0
    return at, mantissa, digits, fraction


@kernel()
def read_literal(at: int, end: int) -> tuple[int, int]:
    """Read false, true or null; returns (position, 0, 1 or 2)."""
    if end - at >= 4:
        first, second, third, fourth = load_u8(at), load_u8(at + 1), load_u8(at + 2), load_u8(at + 3)
        if first == 0x74 and second == 0x72 and third == 0x75 and fourth == 0x65:
            return at + 4, 1
        if first == 0x6E and second == 0x75 and third == 0x6C and fourth == 0x6C:
            return at + 4, 2
        if first == 0x66 and second == 0x61 and third == 0x6C and fourth == 0x73 and end - at >= 5:
            return (at + 5, 0) if load_u8(at + 4) == 0x65 else (-1, 0)
    return -1, 0


@kernel()
def skip_value(at: int, end: int) -> int:
    """Past a value that is not an object or an array."""
    if at >= end:
        return -1
    byte = load_u8(at)
    if byte == 0x22:
        close = string_end(at + 1, end)
        return close + 1 if close >= 0 else -1
    if byte == 0x2D or 0x30 <= byte <= 0x39:
        return read_number(at + 1 if byte == 0x2D else at, end)[0]
    return read_literal(at, end)[0]


@kernel()
def _digits(at: int, count: int) -> int:
    """`count` digits as a number; hugely negative when one is not a digit."""
    number = 0
    for index in range(count):
        digit = load_u8(at + index) - 0x30
        if digit < 0 or digit > 9:
            return -1_000_000
        number = number * 10 + digit
    return number


@kernel()
def _days_since_1970(year: int, month: int, day: int) -> int:
    """Of the proleptic Gregorian calendar, for years from 1 on (H. Hinnant, days_from_civil)."""
    if month <= 2:
        year -= 1
        month += 12
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month - 3) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


@kernel()
def _month_days(year: int, month: int) -> int:
    if month == 2:
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        return 29 if leap else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


@kernel()
def _offset_minutes(at: int, end: int) -> tuple[int, int]:
    """Read Z or +hh:mm; returns (position, minutes east of UTC)."""
    if at >= end:
        return -1, 0
    sign = load_u8(at)
    if sign == 0x5A:
        return at + 1, 0
    if (sign != 0x2B and sign != 0x2D) or end - at < 6 or load_u8(at + 3) != 0x3A:
        return -1, 0
    hours, minutes = _digits(at + 1, 2), _digits(at + 4, 2)
    if not (0 <= hours <= 23 and 0 <= minutes <= 59):
        return -1, 0
    east = hours * 60 + minutes
    return at + 6, (-east if sign == 0x2D else east)


@kernel()
def read_time_ms(at: int, end: int) -> tuple[int, int]:
    """Read YYYY-MM-DDThh:mm:ss[.fraction](Z|+hh:mm) and its closing quote; returns (position, ms since 1970)."""
    if end - at < 21 or load_u8(at + 4) != 0x2D or load_u8(at + 7) != 0x2D or load_u8(at + 10) != 0x54:
        return -1, 0
    if load_u8(at + 13) != 0x3A or load_u8(at + 16) != 0x3A:
        return -1, 0
    year, month, day = _digits(at, 4), _digits(at + 5, 2), _digits(at + 8, 2)
    hour, minute, second = _digits(at + 11, 2), _digits(at + 14, 2), _digits(at + 17, 2)
    if year < 1 or month < 1 or month > 12 or day < 1 or day > _month_days(year, month):
        return -1, 0
    if not (0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 59):
        return -1, 0
    at += 19
    millis = 0
    if load_u8(at) == 0x2E:
        at += 1
        start, weight = at, 100
        while at < end and 0x30 <= load_u8(at) <= 0x39:
            millis += (load_u8(at) - 0x30) * weight
            weight //= 10
            at += 1
        if at == start:
            return -1, 0
    at, east = _offset_minutes(at, end)
    if at < 0 or at >= end or load_u8(at) != 0x22:
        return -1, 0
    days = _days_since_1970(year, month, day)
    return at + 1, days * _MS_A_DAY + ((hour * 60 + minute - east) * 60 + second) * 1000 + millis


@kernel()
def same_bytes(at: int, expected: Any, start: int, length: int) -> bool:
    """Whether `length` bytes at `at`, all of them readable, are those of `expected` from `start` on."""
    other = expected.ctypes.data + start
    index = 0
    while index + 8 <= length:
        if load_i64(at + index) != load_i64(other + index):
            return False
        index += 8
    while index < length:
        if load_u8(at + index) != load_u8(other + index):
            return False
        index += 1
    return True
