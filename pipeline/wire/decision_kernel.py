"""The kernel that writes decisions: constant pieces, and between them what differs from row to row."""

from typing import Any

from features.kernel import kernel
from features.memory import copy_bytes, load_f32, load_i32, load_i64, load_u8, store_i32, store_i64, store_u8
from features.schema import NUMBER
from pipeline.rows import NO_TIMESTAMP, Outcome
from pipeline.wire.json_text import (
    INT_BYTES_MAX,
    SCORE_BYTES_MAX,
    write_int,
    write_score,
    write_string,
)
from pipeline.wire.json_text import (
    write_nth as _piece,
)
from pipeline.wire.murmur2 import partition_of_key
from pipeline.wire.reason_kernel import write_reasons
from pipeline.wire.trace_context import TRACEPARENT_BYTES

# The order of the pieces: one each of these, then two of _MET, then endings, feature names; where there are classes
# one for none told, the likeliest ones and the names; then the names of reasons and of features that may be one, the
# trace's, and who answered, nobody first: these alone grow in number.
_HEAD, _FEATURES, _SCORE, _TOTAL, _AGE, _SOURCE, _MET, _ENDINGS = 0, 1, 2, 3, 4, 5, 6, 8
_NUMBER, _NO_TIMESTAMP = NUMBER, NO_TIMESTAMP
_QUOTE = 0x22
_TRACEPARENT_BYTES = TRACEPARENT_BYTES
_UNTOLD = 128  # as a byte an int8 below 0, of which there is no class
_SCORED, _EXPIRED = int(Outcome.SCORED), int(Outcome.EXPIRED)
_COMMA, _CLOSE_BRACKET, _CLOSE_BRACE = ord(","), ord("]"), ord("}")
NUMBERS_BYTES_MAX = 9 * INT_BYTES_MAX + SCORE_BYTES_MAX + 8
"""Room for a row's numbers, an integer id and the punctuation that is in no piece."""

COLUMNS = (
    "offset",
    "timestamp_ms",
    "arrival_ns",
    "deadline_ns",
    "dispatch_ns",
    "score_ns",
    "features_ns",
    "event_time_ms",
    "id_value",
    "key_address",
    "partition",
    "id_length",
    "key_length",
    "outcome",
    "serving",
    "decision",
    "likeliest",
    "probabilities",
    "reasons",
    "explained",
    "attributions",
    "traceparent",
)
"""The arrays of `Rows` that the kernel reads by address: unboxing each would cost more than a small batch."""
(
    _AT_OFFSET,
    _AT_TIMESTAMP_MS,
    _AT_ARRIVAL_NS,
    _AT_DEADLINE_NS,
    _AT_DISPATCH_NS,
    _AT_SCORE_NS,
    _AT_FEATURES_NS,
    _AT_EVENT_TIME_MS,
    _AT_ID_VALUE,
    _AT_KEY_ADDRESS,
    _AT_PARTITION,
    _AT_ID_LENGTH,
    _AT_KEY_LENGTH,
    _AT_OUTCOME,
    _AT_SERVING,
    _AT_DECISION,
    _AT_LIKELIEST,
    _AT_PROBABILITIES,
    _AT_REASONS,
    _AT_EXPLAINED,
    _AT_ATTRIBUTIONS,
    _AT_TRACEPARENT,
) = range(len(COLUMNS))


@kernel(inline=True)
def _null(at: int) -> int:
    store_u8(at, 110)
    store_u8(at + 1, 117)
    store_u8(at + 2, 108)
    store_u8(at + 3, 108)
    return at + 4


@kernel()
def _write_id(at: int, columns: Any, slot: int) -> int:
    value, length = _long(columns, _AT_ID_VALUE, slot), _int(columns, _AT_ID_LENGTH, slot)
    if length == _NUMBER:
        store_u8(at, _QUOTE)
        at = write_int(at + 1, value)
        store_u8(at, _QUOTE)
        return at + 1
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
def _long(columns: Any, which: int, slot: int) -> int:
    return int(load_i64(columns[which] + 8 * slot))


@kernel(inline=True)
def _int(columns: Any, which: int, slot: int) -> int:
    return int(load_i32(columns[which] + 4 * slot))


@kernel("int64(int32[::1], int64[::1])")
def id_text_bytes(slots: Any, columns: Any) -> int:
    """How many bytes the ids of these rows have that are text, before any is escaped."""
    total = 0
    for index in range(len(slots)):
        total += max(0, _int(columns, _AT_ID_LENGTH, int(slots[index])))
    return total


@kernel()
def _write_classes(at: int, text: int, starts: Any, first: int, classes: int, columns: Any, slot: int) -> int:
    """The likeliest class and the probability of each; null for both where none is told."""
    likeliest = load_u8(columns[_AT_LIKELIEST] + slot)
    if likeliest >= _UNTOLD:
        return _piece(at, text, starts, first)
    at = _piece(at, text, starts, first + 1 + likeliest)
    probabilities = columns[_AT_PROBABILITIES] + 4 * classes * slot
    for index in range(classes):
        at = _piece(at, text, starts, first + 1 + classes + index)
        at = write_score(at, load_f32(probabilities + 4 * index))
    store_u8(at, _CLOSE_BRACE)
    return at + 1


@kernel()
def _write_reasons(
    at: int, text: int, starts: Any, first: int, counts: tuple[int, int], columns: Any, slot: int
) -> int:
    told = columns[_AT_REASONS], columns[_AT_EXPLAINED], columns[_AT_ATTRIBUTIONS]
    return write_reasons(at, text, starts, first, counts, told, slot)


@kernel()
def _write_traceparent(at: int, text: int, starts: Any, piece: int, traceparent: int) -> int:
    """The row's trace context, nothing where it has none."""
    if load_u8(traceparent) == 0:
        return at
    at = _piece(at, text, starts, piece)
    copy_bytes(at, traceparent, _TRACEPARENT_BYTES)
    store_u8(at + _TRACEPARENT_BYTES, _QUOTE)
    return at + _TRACEPARENT_BYTES + 1


@kernel()
def _write_source(at: int, text: int, starts: Any, columns: Any, slot: int, trace: int) -> int:
    """Where the event is from: its trace, if there is a piece for it, and its record."""
    if trace:
        at = _write_traceparent(at, text, starts, trace, columns[_AT_TRACEPARENT] + 56 * slot)
    at = write_int(_piece(at, text, starts, _SOURCE), _int(columns, _AT_PARTITION, slot))
    store_u8(at, _COMMA)
    at = write_int(at + 1, _long(columns, _AT_OFFSET, slot))
    store_u8(at, _CLOSE_BRACKET)
    store_u8(at + 1, _CLOSE_BRACE)
    return at + 2


@kernel()
def _fill_message(message: int, payload: int, length: int, columns: Any, slot: int, partitions: int) -> None:
    """The row's `rd_kafka_message_t`: its key where the input's is, its partition where every client puts it."""
    key, key_length = _long(columns, _AT_KEY_ADDRESS, slot), _int(columns, _AT_KEY_LENGTH, slot)
    if key_length >= 0:
        partition = partition_of_key(key, key_length, partitions)
    else:
        partition = _int(columns, _AT_PARTITION, slot) % partitions
        key, key_length = 0, 0
    store_i32(message, 0)
    store_i64(message + 8, 0)
    store_i32(message + 16, partition)
    store_i64(message + 24, payload)
    store_i64(message + 32, length)
    store_i64(message + 40, key)
    store_i64(message + 48, key_length)
    store_i64(message + 56, 0)
    store_i64(message + 64, slot + 1)


@kernel(
    "void(int32[::1], uint8[:, ::1], uint8[::1], Array(uint8, 1, 'C', readonly=True), int64[::1], int64[::1],"
    " int64[::1], Array(uint8, 1, 'C', readonly=True), int64[::1], float32[::1])"
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
    columns: Any,
    score: Any,
) -> None:
    """Write each slot's decision into `buffer` and its message into `messages`, in order.

    `columns` holds the addresses of COLUMNS. `sizes` is (decisions, features, classes, reasons, those with features
    that may be one, 1 where traces are told, how many such features a row has, partitions), `now` is (monotonic ns,
    wall ms, delivery ns). The caller made room for the longest rows.
    """
    decisions, features, classes, reasons, named = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
    now_ns, now_ms, delivery_ns = now[0], now[1], now[2]
    first_name = _ENDINGS + 3 * decisions
    first_class, first_reason = first_name + features, first_name + features + (1 + 2 * classes if classes else 0)
    first_serving = first_reason + (1 + named if named else 0) + sizes[5]
    at, text, message = buffer.ctypes.data, text_bytes.ctypes.data, messages.ctypes.data
    values = values_bytes.ctypes.data
    for index in range(len(slots)):
        slot, begin = int(slots[index]), at
        arrived_ns = _long(columns, _AT_ARRIVAL_NS, slot)
        prepared_ns = _long(columns, _AT_FEATURES_NS, slot)
        kind = load_u8(columns[_AT_OUTCOME] + slot)
        at = _write_id(_piece(at, text, starts, _HEAD), columns, slot)
        at = _piece(at, text, starts, _ENDINGS + (kind - _SCORED) * decisions + load_u8(columns[_AT_DECISION] + slot))
        total_ns = now_ns - arrived_ns
        if kind == _EXPIRED:
            at = _null(at)
            if classes:
                at = _piece(at, text, starts, first_class)
            at = _piece(at, text, starts, first_serving)
            spent = (total_ns - prepared_ns, prepared_ns, 0, total_ns)
        else:
            at = write_score(at, score[slot])
            if classes:
                at = _write_classes(at, text, starts, first_class, classes, columns, slot)
            at = _piece(at, text, starts, first_serving + _int(columns, _AT_SERVING, slot))
            waited_ns = _long(columns, _AT_DISPATCH_NS, slot) - arrived_ns - prepared_ns
            spent = (waited_ns, prepared_ns, _long(columns, _AT_SCORE_NS, slot), total_ns)
        at = write_int(at, _long(columns, _AT_EVENT_TIME_MS, slot))
        met = now_ns + delivery_ns <= _long(columns, _AT_DEADLINE_NS, slot)
        at = _piece(at, text, starts, _MET + (1 if met else 0))
        at = _write_latency(at, text, starts, spent)
        stamp_ms = _long(columns, _AT_TIMESTAMP_MS, slot)
        at = _null(at) if stamp_ms == _NO_TIMESTAMP else write_int(at, (now_ms - stamp_ms) * 1000)
        if named:
            at = _write_reasons(at, text, starts, first_reason, (reasons, sizes[6]), columns, slot)
        if features:
            at, values = _write_features(at, text, starts, first_name, features, values)
        at = _write_source(at, text, starts, columns, slot, first_serving - 1 if sizes[5] else 0)
        _fill_message(message, begin, at - begin, columns, slot, sizes[7])
        message += 72
