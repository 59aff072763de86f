"""Simulated events as messages: JSON and keys written by one kernel, ready for `produce_batch`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from features.memory import store_i32, store_i64, store_u8
from pipeline.kafka.messages import MESSAGE
from pipeline.wire.json_text import pieces, write_int, write_piece
from pipeline.wire.murmur2 import partition_of_key

ROW_BYTES_MAX = 320
_TRANSACTION = [b'{"transaction_id":', b',"event_time":', b',"customer_id":', b',"terminal_id":', b',"amount":', b"}"]
_LABEL = [
    b'{"transaction_id":',
    b',"event_time":',
    b',"terminal_id":',
    b',"customer_id":',
    b',"fraud":true,"reported_at":',
    b"}",
]


@kernel()
def _write_message(message: int, payload: int, length: int, key: int, key_length: int, partitions: int) -> None:
    from_key = partition_of_key(key, key_length, partitions)
    store_i32(message + 16, from_key)
    store_i64(message + 24, payload)
    store_i64(message + 32, length)
    store_i64(message + 40, key)
    store_i64(message + 48, key_length)


@kernel("int64(int64, int64, int64, int64[::1], int64[:, ::1], int64, int64, int64)")
def _encode(
    buffer: int, out: int, text: int, starts: Any, values: Any, key_column: int, cents_column: int, partitions: int
) -> int:
    """Write each row of int64[rows, fields] as an object and its key; returns bytes used."""
    at = buffer
    fields = values.shape[1]
    for row in range(len(values)):
        key = at
        at = write_int(at, values[row, key_column])
        key_length = at - key
        payload = at
        for field in range(fields):
            at = write_piece(at, text + starts[field], starts[field + 1] - starts[field])
            value = values[row, field]
            if field == cents_column:
                at = write_int(at, value // 100)
                store_u8(at, 0x2E)
                store_u8(at + 1, 0x30 + value % 100 // 10)
                store_u8(at + 2, 0x30 + value % 10)
                at += 3
            else:
                at = write_int(at, value)
        at = write_piece(at, text + starts[fields], starts[fields + 1] - starts[fields])
        _write_message(out + row * 72, payload, at - payload, key, key_length, partitions)
        at += 8
    return at - buffer


class EventEncoder:
    """Writes rows of integers as one kind of event; the messages are valid until the next call."""

    def __init__(self, texts: list[bytes], key_column: int, cents_column: int) -> None:
        self._text, self._starts = pieces(texts)
        self._key_column = key_column
        self._cents_column = cents_column
        self._fields = len(texts) - 1
        self._buffer = np.zeros(0, np.uint8)

    def encode(self, columns: list[NDArray[np.int64]], partitions: int) -> NDArray[Any]:
        """One message (dtype MESSAGE) a row, partitioned by its key as every client would."""
        values = np.stack(columns, axis=1)
        if len(self._buffer) < len(values) * ROW_BYTES_MAX + 64:
            self._buffer = np.zeros(2 * len(values) * ROW_BYTES_MAX + 64, np.uint8)
        messages = np.zeros(len(values), MESSAGE)
        _encode(
            self._buffer.ctypes.data,
            messages.ctypes.data,
            self._text.ctypes.data,
            self._starts,
            values,
            self._key_column,
            self._cents_column,
            partitions,
        )
        return messages


def transaction_encoder() -> EventEncoder:
    """For [transaction_id, event_time, customer_id, terminal_id, amount in cents]; key = customer_id."""
    return EventEncoder(_TRANSACTION, key_column=2, cents_column=4)


def label_encoder() -> EventEncoder:
    """For [transaction_id, event_time, terminal_id, customer_id, reported_at] of a fraud; key = transaction_id."""
    return EventEncoder(_LABEL, key_column=0, cents_column=-1)
