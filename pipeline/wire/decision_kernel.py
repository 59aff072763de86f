"""The kernel that writes decisions: constant pieces, and between them what differs from row to row."""

from typing import Any

from features.kernel import kernel
from features.memory import load_u8, store_i32, store_i64, store_u8
from features.schema import NUMBER
from pipeline.rows import NO_TIMESTAMP, Outcome
from pipeline.wire.json_text import (
    INT_BYTES_MAX,
    SCORE_BYTES_MAX,
    write_int,
    write_piece,
    write_score,
    write_string,
)
from pipeline.wire.murmur2 import partition_of_key

# The order of the pieces: one each of these, then two of _MET, then endings, tiers and feature names.
_HEAD, _FEATURES, _SCORE, _TOTAL, _AGE, _SOURCE, _MET, _ENDINGS = 0, 1, 2, 3, 4, 5, 6, 8
_NUMBER, _NO_TIMESTAMP = NUMBER, NO_TIMESTAMP
_SCORED, _EXPIRED = int(Outcome.SCORED), int(Outcome.EXPIRED)
_COMMA, _CLOSE_BRACKET, _CLOSE_BRACE = ord(","), ord("]"), ord("}")
NUMBERS_BYTES_MAX = 9 * INT_BYTES_MAX + SCORE_BYTES_MAX + 8
"""Room for a row's numbers, an integer id and the punctuation that is in no piece."""


@kernel(inline=True)
def _piece(at: int, text: int, starts: Any, index: int) -> int:
    return write_piece(at, text + starts[index], starts[index + 1] - starts[index])


@kernel(inline=True)
def _null(at: int) -> int:
    store_u8(at, 110)
    store_u8(at + 1, 117)
    store_u8(at + 2, 108)
    store_u8(at + 3, 108)
    return at + 4


@kernel()
def _write_id(at: int, value: int, length: int) -> int:
    if length == _NUMBER:
        return write_int(at, value)
    if length >= 0:
        return write_string(at, value, length)
    return _null(at)


@kernel()
def _write_latency(at: int, text: int, starts: Any, spent_ns: tuple[int, int, int, int]) -> int:
    queue_ns, features_ns, score_ns, total_ns = spent_ns
    at = write_int(at, max(0, queue_ns) // 1000)
    at = write_int(_piece(at, text, starts, _FEATURES), max(0, features_ns) // 1000)
    at = write_int(_piece(at, text, starts, _SCORE), max(0, score_ns) // 1000)
    at = write_int(_piece(at, text, starts, _TOTAL), max(0, total_ns) // 1000)
    return _piece(at, text, starts, _AGE)


@kernel()
def _write_features(at: int, text: int, starts: Any, first: int, count: int, values: int) -> tuple[int, int]:
    """Splice the next row of `[[1.5,null],[..]]` under its names; returns both positions moved on."""
    values += 2
    for index in range(count):
        at = _piece(at, text, starts, first + index)
        byte = load_u8(values)
        while byte != _COMMA and byte != _CLOSE_BRACKET:
            store_u8(at, byte)
            at += 1
            values += 1
            byte = load_u8(values)
        values += 1
    store_u8(at, _CLOSE_BRACE)
    return at + 1, values


@kernel(inline=True)
def _fill_message(
    message: int, payload: int, length: int, key: int, key_length: int, partition: int, opaque: int
) -> None:
    store_i32(message, 0)
    store_i64(message + 8, 0)
    store_i32(message + 16, partition)
    store_i64(message + 24, payload)
    store_i64(message + 32, length)
    store_i64(message + 40, key)
    store_i64(message + 48, key_length)
    store_i64(message + 56, 0)
    store_i64(message + 64, opaque)


@kernel(
    "void(int32[::1], uint8[:, ::1], uint8[::1], Array(uint8, 1, 'C', readonly=True), int64[::1], int64[::1],"
    " int64[::1], Array(uint8, 1, 'C', readonly=True), int32[::1], int64[::1], int64[::1], int64[::1],"
    " int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int32[::1], int64[::1],"
    " int32[::1], int8[::1], int8[::1], int8[::1], float32[::1])"
)
def write_decisions(
    slots: Any,
    messages: Any,
    buffer: Any,
    text_bytes: Any,
    starts: Any,
    sizes: Any,
    now: Any,
    values_bytes: Any,
    source_partition: Any,
    offset: Any,
    timestamp_ms: Any,
    arrival_ns: Any,
    deadline_ns: Any,
    dispatch_ns: Any,
    score_ns: Any,
    features_ns: Any,
    event_time_ms: Any,
    id_value: Any,
    id_length: Any,
    key_address: Any,
    key_length: Any,
    outcome: Any,
    tier: Any,
    decision: Any,
    score: Any,
) -> None:
    """Write each slot's decision into `buffer` and its message into `messages`, in order.

    `sizes` is (decisions, tiers, features, partitions), `now` is (monotonic ns, wall ms, delivery ns). The
    caller has made room for the longest rows there can be.
    """
    decisions, tiers, features, partitions = sizes[0], sizes[1], sizes[2], sizes[3]
    now_ns, now_ms, delivery_ns = now[0], now[1], now[2]
    first_tier = _ENDINGS + 3 * decisions
    first_name = first_tier + tiers + 1
    at, text, message = buffer.ctypes.data, text_bytes.ctypes.data, messages.ctypes.data
    values = values_bytes.ctypes.data
    for index in range(len(slots)):
        slot, begin = slots[index], at
        kind = outcome[slot]
        at = _write_id(_piece(at, text, starts, _HEAD), id_value[slot], id_length[slot])
        at = _piece(at, text, starts, _ENDINGS + (kind - _SCORED) * decisions + decision[slot])
        total_ns = now_ns - arrival_ns[slot]
        if kind == _EXPIRED:
            at = _null(at)
            at = _piece(at, text, starts, first_tier + tiers)
            spent = (total_ns - features_ns[slot], features_ns[slot], 0, total_ns)
        else:
            at = write_score(at, score[slot])
            at = _piece(at, text, starts, first_tier + tier[slot])
            waited_ns = dispatch_ns[slot] - arrival_ns[slot] - features_ns[slot]
            spent = (waited_ns, features_ns[slot], score_ns[slot], total_ns)
        at = write_int(at, event_time_ms[slot])
        at = _piece(at, text, starts, _MET + (1 if now_ns + delivery_ns <= deadline_ns[slot] else 0))
        at = _write_latency(at, text, starts, spent)
        stamp_ms = timestamp_ms[slot]
        at = _null(at) if stamp_ms == _NO_TIMESTAMP else write_int(at, (now_ms - stamp_ms) * 1000)
        if features:
            at, values = _write_features(at, text, starts, first_name, features, values)
        at = write_int(_piece(at, text, starts, _SOURCE), source_partition[slot])
        store_u8(at, _COMMA)
        at = write_int(at + 1, offset[slot])
        store_u8(at, _CLOSE_BRACKET)
        store_u8(at + 1, _CLOSE_BRACE)
        at += 2
        keyed = key_length[slot] >= 0
        if keyed:
            target = partition_of_key(key_address[slot], key_length[slot], partitions)
        else:
            target = source_partition[slot] % partitions
        key, key_bytes = (key_address[slot], key_length[slot]) if keyed else (0, 0)
        _fill_message(message, begin, at - begin, key, key_bytes, target, slot + 1)
        message += 72
