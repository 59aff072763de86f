"""JSON written by kernels at raw addresses: each writes at `at` and returns where the next byte goes.

The caller has made room. `write_piece` may touch up to 7 bytes behind the end that it returns, so a buffer
needs SLACK_BYTES more than its text, and a source as many behind its pieces.
"""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from features.memory import load_i64, load_u8, store_i64, store_u8

SLACK_BYTES = 8
INT_BYTES_MAX = 20
SCORE_BYTES_MAX = 24
ESCAPED_BYTES_MAX = 6
_FIXED_MAX = 1e12
_SCORE_UNITS = 1e6
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_PAIRS = np.frombuffer(b"".join(b"%02d" % pair for pair in range(100)), np.uint8)


def pieces(texts: list[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Join constant texts into one array (with slack) and the int64[n + 1] positions where each begins."""
    starts = np.cumsum([0] + [len(text) for text in texts], dtype=np.int64)
    return np.frombuffer(b"".join(texts) + bytes(SLACK_BYTES), np.uint8), starts


def quoted(text: str | None) -> bytes:
    """A constant as JSON text, null for None."""
    return json.dumps(text, ensure_ascii=False).encode()


@kernel(inline=True)
def write_piece(at: int, source: int, length: int) -> int:
    """Copy `length` bytes, in words of eight."""
    done = 0
    while done < length:
        store_i64(at + done, load_i64(source + done))
        done += 8
    return at + length


@kernel(inline=True)
def write_nth(at: int, text: int, starts: Any, index: int) -> int:
    """Copy one of the texts that `pieces` joined at `text`."""
    return write_piece(at, text + starts[index], starts[index + 1] - starts[index])


@kernel()
def write_int(at: int, value: int) -> int:
    """Any int64 in decimal."""
    rest = np.uint64(value)
    if value < 0:
        store_u8(at, 45)
        at += 1
        rest = np.uint64(0) - rest
    digits, bound = 1, np.uint64(10)
    while digits < 19 and rest >= bound:
        digits += 1
        bound *= np.uint64(10)
    end = at + digits
    here = end
    while rest >= np.uint64(100):
        above = rest // np.uint64(100)
        pair = np.int64(rest - above * np.uint64(100)) * 2
        here -= 2
        store_u8(here, _PAIRS[pair])
        store_u8(here + 1, _PAIRS[pair + 1])
        rest = above
    if rest >= np.uint64(10):
        store_u8(here - 2, _PAIRS[np.int64(rest) * 2])
        store_u8(here - 1, _PAIRS[np.int64(rest) * 2 + 1])
    else:
        store_u8(here - 1, 48 + np.int64(rest))
    return end


@kernel()
def _write_fixed(at: int, value: float) -> int:
    """A non-negative number below 1e12 with six decimals, rounded half to even."""
    units = int(np.rint(value * _SCORE_UNITS))
    whole = units // 1_000_000
    part = units - whole * 1_000_000
    at = write_int(at, whole)
    store_u8(at, 46)
    for pair in range(3):
        digits = (part // (10_000, 100, 1)[pair]) % 100 * 2
        store_u8(at + 1 + 2 * pair, _PAIRS[digits])
        store_u8(at + 2 + 2 * pair, _PAIRS[digits + 1])
    return at + 7


@kernel()
def write_score(at: int, value: float) -> int:
    """A score with six decimals; one of 1e12 or more as a power of ten, one that is no number as null."""
    if not np.isfinite(value):
        store_u8(at, 110)
        store_u8(at + 1, 117)
        store_u8(at + 2, 108)
        store_u8(at + 3, 108)
        return at + 4
    if value < 0:
        store_u8(at, 45)
        at += 1
        value = -value
    if value < _FIXED_MAX:
        return _write_fixed(at, value)
    power = 0
    while value >= 10.0:
        value /= 10.0
        power += 1
    at = _write_fixed(at, value)
    store_u8(at, 101)
    return write_int(at + 1, power)


@kernel()
def write_string(at: int, source: int, length: int) -> int:
    """UTF-8 bytes as a JSON string; only what JSON forbids is escaped."""
    store_u8(at, 34)
    at += 1
    for index in range(length):
        byte = load_u8(source + index)
        if byte >= 32 and byte != 34 and byte != 92:
            store_u8(at, byte)
            at += 1
        elif byte >= 32:
            store_u8(at, 92)
            store_u8(at + 1, byte)
            at += 2
        else:
            store_u8(at, 92)
            store_u8(at + 1, 117)
            store_u8(at + 2, 48)
            store_u8(at + 3, 48)
            store_u8(at + 4, _HEX[byte >> 4])
            store_u8(at + 5, _HEX[byte & 15])
            at += 6
    store_u8(at, 34)
    return at + 1
