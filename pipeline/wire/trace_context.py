"""W3C Trace Context in record headers: `traceparent` read as the standard says, one kernel for a whole read.

https://www.w3.org/TR/trace-context/: version-traceid-parentid-flags in lower-case hex. Version ff and ids that are
all zero are invalid; of a version above 00 the fields of 00 are read and more may follow; what is passed on is of
version 00, with the flags that are known: sampled and random.
"""

from typing import Any

from features.kernel import kernel
from features.memory import copy_bytes, load_u8, store_u8
from pipeline.kafka.headers import ABSENT

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
TRACEPARENT_BYTES = 55
TRACESTATE_BYTES_MAX = 512
"""What the standard asks to pass on at least; more is not passed on."""
TRACE_ID, PARENT_ID, FLAGS = slice(3, 35), slice(36, 52), slice(53, 55)
CARRIED, INVALID, STATE_DROPPED = range(3)
"""What is counted: contexts taken, traceparents that are none, tracestates that cannot be passed on."""

_ABSENT, _BYTES, _STATE_BYTES_MAX = ABSENT, TRACEPARENT_BYTES, TRACESTATE_BYTES_MAX
_CARRIED, _INVALID, _STATE_DROPPED = CARRIED, INVALID, STATE_DROPPED
_LAST = FLAGS.stop - 1
_DASH, _ZERO, _NINE, _A, _F = 0x2D, 0x30, 0x39, 0x61, 0x66
_TAB, _SPACE, _TILDE = 0x09, 0x20, 0x7E


@kernel()
def _is_hex(address: int, first: int, stop: int) -> bool:
    for at in range(first, stop):
        byte = load_u8(address + at)
        if not (_ZERO <= byte <= _NINE or _A <= byte <= _F):
            return False
    return True


@kernel()
def _is_zero(address: int, first: int, stop: int) -> bool:
    seen = 0
    for at in range(first, stop):
        seen |= load_u8(address + at) ^ _ZERO
    return seen == 0


@kernel()
def _is_traceparent(address: int, length: int) -> bool:
    if length < _BYTES or not _is_hex(address, 0, 2):
        return False
    for at in (2, 35, 52):
        if load_u8(address + at) != _DASH:
            return False
    if not (_is_hex(address, 3, 35) and _is_hex(address, 36, 52) and _is_hex(address, 53, 55)):
        return False
    if _is_zero(address, 3, 35) or _is_zero(address, 36, 52):
        return False
    if _is_zero(address, 0, 2):
        return length == _BYTES
    ff = load_u8(address) == _F and load_u8(address + 1) == _F
    return not ff and (length == _BYTES or load_u8(address + _BYTES) == _DASH)


@kernel()
def _is_printable(address: int, length: int) -> bool:
    for at in range(length):
        byte = load_u8(address + at)
        if byte != _TAB and not _SPACE <= byte <= _TILDE:
            return False
    return True


@kernel("void(int64[:, ::1], int64[:, ::1], int64, uint8[:, ::1], int64[:, ::1], int64[:, ::1], int64[::1])")
def take_contexts(
    found: Any, found_length: Any, first: int, traceparent: Any, address: Any, length: Any, counts: Any
) -> None:
    """Take the contexts of a read's records, rows [first, first + n), from their two headers as they were found.

    A row's `traceparent` is its text, or begins with 0 where there is none; its last digit is odd where the event is
    sampled and even in all other cases. `address` and `length`, int64[2, rows], say where both headers lie that the
    decision passes on; a length of -1: none. `counts` is int64[3].
    """
    base = traceparent.ctypes.data
    for index in range(found.shape[1]):
        row = first + index
        traceparent[row, 0] = 0
        traceparent[row, _LAST] = 0
        length[0, row] = -1
        length[1, row] = -1
        if found_length[0, index] == _ABSENT:
            continue
        if not _is_traceparent(found[0, index], found_length[0, index]):
            counts[_INVALID] += 1
            continue
        counts[_CARRIED] += 1
        text = base + row * traceparent.shape[1]
        copy_bytes(text, found[0, index], _BYTES)
        store_u8(text, _ZERO)
        store_u8(text + 1, _ZERO)
        store_u8(text + 53, _ZERO)
        digit = load_u8(text + 54)
        flags = digit - _ZERO if digit <= _NINE else digit - _A + 10
        store_u8(text + 54, _ZERO + (flags & 3))
        address[0, row] = text
        length[0, row] = _BYTES
        size = found_length[1, index]
        if 0 < size <= _STATE_BYTES_MAX and _is_printable(found[1, index], size):
            address[1, row] = found[1, index]
            length[1, row] = size
        elif size not in (_ABSENT, 0):
            counts[_STATE_DROPPED] += 1
