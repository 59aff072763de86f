"""What one read of a lane brought: messages used in the memory that librdkafka gave them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from features.memory import call_with_two, load_i32, load_i64
from pipeline.kafka.librdkafka import ERR_PARTITION_EOF, ffi, lib

MESSAGE = np.dtype(
    {
        "names": ["err", "rkt", "partition", "payload", "len", "key", "key_len", "offset", "_private"],
        "formats": ["<i4", "<i8", "<i4", "<i8", "<i8", "<i8", "<i8", "<i8", "<i8"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56, 64],
        "itemsize": 72,
    }
)
"""`rd_kafka_message_t` on a 64-bit machine, for reading and for `produce_batch`."""

_TIMESTAMP = int(ffi.cast("intptr_t", ffi.addressof(lib, "rd_kafka_message_timestamp")))
_DESTROY = int(ffi.cast("intptr_t", ffi.addressof(lib, "rd_kafka_message_destroy")))


@kernel(
    "void(int64[::1], int64, int64, int64, int64[::1], int64[::1], int64[::1], int32[::1], int64[::1], int64[::1])"
)
def _extract(
    pointers: Any,
    timestamp_function: int,
    kind: int,
    first: int,
    payload_address: Any,
    payload_length: Any,
    key_address: Any,
    key_length: Any,
    offset: Any,
    timestamp_ms: Any,
) -> None:
    for index in range(len(pointers)):
        message, row = pointers[index], first + index
        payload_address[row] = load_i64(message + 24)
        payload_length[row] = load_i64(message + 32) if payload_address[row] != 0 else -1
        key_address[row] = load_i64(message + 40)
        key_length[row] = load_i64(message + 48) if key_address[row] != 0 else -1
        offset[row] = load_i64(message + 56)
        timestamp_ms[row] = call_with_two(timestamp_function, message, kind)


@kernel("int64(int64[::1])")
def _first_error(pointers: Any) -> int:
    for index in range(len(pointers)):
        if load_i32(pointers[index]) != 0:
            return index
    return -1


@kernel("void(int64[::1], int64)")
def _destroy(pointers: Any, function: int) -> None:
    for index in range(len(pointers)):
        call_with_two(function, pointers[index], 0)


@dataclass(frozen=True, slots=True)
class LaneError:
    """An error that arrived among a lane's messages."""

    code: int
    text: str


class Messages:
    """The data records of one read, owned here until `free`; of `events`, when these own the messages.

    `pointers` is int64[count]: addresses of `rd_kafka_message_t`, in offset order. `next_offset` is where the
    lane continues. End of partition and errors are not records: `end_offset` is the end that was met (-1: none).
    """

    __slots__ = ("_events", "_freed", "_kind", "count", "end_offset", "errors", "next_offset", "pointers")

    def __init__(self, pointers: NDArray[np.int64], events: Sequence[Any] = ()) -> None:
        self._events = events
        self.errors: list[LaneError] = []
        self.end_offset = -1
        self.next_offset = -1
        if len(pointers) and _first_error(pointers) >= 0:
            pointers = self._sift(pointers)
        self.pointers = pointers
        self.count = len(pointers)
        self._freed = False
        self._kind = np.zeros(1, np.int64)
        if self.count:
            last = ffi.cast("rd_kafka_message_t *", int(pointers[-1]))
            self.next_offset = last.offset + 1

    def _sift(self, pointers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take out what is no record, before any payload is looked at: an error's payload is text."""
        good = np.ones(len(pointers), np.bool_)
        for index, address in enumerate(pointers.tolist()):
            message = ffi.cast("rd_kafka_message_t *", address)
            if message.err == 0:
                continue
            good[index] = False
            if message.err == ERR_PARTITION_EOF:
                self.end_offset = int(message.offset)
            else:
                text = ffi.string(ffi.cast("char *", message.payload), message.len) if message.payload else b""
                self.errors.append(LaneError(message.err, text.decode(errors="replace")))
        _destroy(np.ascontiguousarray(pointers[~good]), _DESTROY)
        return np.ascontiguousarray(pointers[good])

    def extract(
        self,
        first: int,
        payload_address: NDArray[np.int64],
        payload_length: NDArray[np.int64],
        key_address: NDArray[np.int64],
        key_length: NDArray[np.int32],
        offset: NDArray[np.int64],
        timestamp_ms: NDArray[np.int64],
    ) -> None:
        """Write where each record's parts are to rows [first, first + count) of the given arrays.

        A null payload or key has address 0 and length -1; a record without a timestamp has -1.
        """
        _extract(
            self.pointers,
            _TIMESTAMP,
            self._kind.ctypes.data,
            first,
            payload_address,
            payload_length,
            key_address,
            key_length,
            offset,
            timestamp_ms,
        )

    def free(self) -> None:
        """Give the messages back to librdkafka; their addresses are invalid from now on."""
        if self._freed:
            return
        self._freed = True
        if not self._events:
            _destroy(self.pointers, _DESTROY)
        for event in self._events:
            lib.rd_kafka_event_destroy(event)


@dataclass(frozen=True, slots=True)
class Record:
    """A copy of one record, for what is done record by record: dead letters and tests."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def record_at(address: int) -> Record:
    """Copy the record at the address of its message, headers too."""
    message = ffi.cast("rd_kafka_message_t *", address)
    key = bytes(ffi.buffer(message.key, message.key_len)) if message.key else None
    value = bytes(ffi.buffer(message.payload, message.len)) if message.payload else None
    return Record(message.offset, key, value, headers_at(address))


def topic_at(address: int) -> str:
    """The topic of the message at an address."""
    message = ffi.cast("rd_kafka_message_t *", address)
    return str(ffi.string(lib.rd_kafka_topic_name(message.rkt)).decode())


def headers_at(address: int) -> tuple[tuple[str, bytes | None], ...]:
    """Copy the headers of the message at an address."""
    message = ffi.cast("rd_kafka_message_t *", address)
    headers = ffi.new("rd_kafka_headers_t **")
    if lib.rd_kafka_message_headers(message, headers):
        return ()
    name, value, size = ffi.new("char **"), ffi.new("void **"), ffi.new("size_t *")
    found: list[tuple[str, bytes | None]] = []
    while not lib.rd_kafka_header_get_all(headers[0], len(found), name, value, size):
        content = bytes(ffi.buffer(value[0], size[0])) if value[0] else None
        found.append((ffi.string(name[0]).decode(errors="replace"), content))
    return tuple(found)
