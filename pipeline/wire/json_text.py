"""Writing JSON at an address, inside kernels: integers, fixed decimals, escaped strings."""

from typing import Any

import numpy as np

from features.kernel import kernel
from features.memory import copy_bytes, load_u8, store_u8

_HEX = np.frombuffer(b"0123456789abcdef", np.uint8).copy()
ESCAPED_BYTES_MAX = 6
"""What one byte of a string may become."""


@kernel()
def write_int(at: int, value: int) -> int:
    """Write an int64 in decimal; returns the address after it. Needs room for 20 bytes."""
    if value == -(2**63):
        store_u8(at, 0x2D)
        store_u8(at + 1, 0x39)
        return write_int_positive(at + 2, 223372036854775808)
    if value < 0:
        store_u8(at, 0x2D)
        return write_int_positive(at + 1, -value)
    return write_int_positive(at, value)


@kernel()
def write_int_positive(at: int, value: int) -> int:
    """Write an int64 that is not negative; returns the address after it."""
    digits, rest = 1, value
    while rest >= 10:
        rest //= 10
        digits += 1
    place = at + digits
    while place > at:
        place -= 1
        store_u8(place, 0x30 + value % 10)
        value //= 10
    return at + digits


@kernel()
def write_millionths(at: int, value: float) -> int:
    """Write a number in [0, 1] with six decimals; returns the address after it."""
    millionths = int(np.rint(min(max(value, 0.0), 1.0) * 1_000_000.0))
    store_u8(at, 0x30 + millionths // 1_000_000)
    store_u8(at + 1, 0x2E)
    rest = millionths % 1_000_000
    for place in range(6):
        store_u8(at + 7 - place, 0x30 + rest % 10)
        rest //= 10
    return at + 8


@kernel()
def write_string(at: int, address: int, length: int) -> int:
    """Write UTF-8 bytes as a JSON string, escaped; needs room for 2 + 6 * length bytes."""
    store_u8(at, 0x22)
    at += 1
    for index in range(length):
        byte = load_u8(address + index)
        if byte == 0x22 or byte == 0x5C:
            store_u8(at, 0x5C)
            store_u8(at + 1, byte)
            at += 2
        elif byte < 0x20:
            store_u8(at, 0x5C)
            store_u8(at + 1, 0x75)
            store_u8(at + 2, 0x30)
            store_u8(at + 3, 0x30)
            store_u8(at + 4, _HEX[byte >> 4])
            store_u8(at + 5, _HEX[byte & 15])
            at += 6
        else:
            store_u8(at, byte)
            at += 1
    store_u8(at, 0x22)
    return at + 1


@kernel()
def write_piece(at: int, pieces: Any, bounds: Any, piece: int) -> int:
    """Write a prepared fragment: bytes [bounds[piece], bounds[piece + 1]) of `pieces`, an address."""
    length = bounds[piece + 1] - bounds[piece]
    copy_bytes(at, pieces + bounds[piece], length)
    return at + length
