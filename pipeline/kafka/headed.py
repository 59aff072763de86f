"""Producing in bulk with headers: a kernel that hands message after message over, each with its own.

`rd_kafka_produce_batch` carries no headers; `rd_kafka_produceva` does, one message a call, its arguments in an array
of `rd_kafka_vu_t`: 72 bytes each, the kind at 0, what it holds from 8 on.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from features.memory import call_with_five, call_with_two, load_i32, load_i64, store_i32, store_i64
from pipeline.kafka.librdkafka import ffi, lib

F_COPY = 0x2
_RKT, _PARTITION, _VALUE, _KEY, _OPAQUE, _MSGFLAGS, _HEADER = 2, 3, 4, 5, 6, 7, 9
_FIXED, _VU_BYTES = 6, 72
_INT = 0xFFFFFFFF
_PRODUCE = int(ffi.cast("intptr_t", ffi.addressof(lib, "rd_kafka_produceva")))
_CODE = int(ffi.cast("intptr_t", ffi.addressof(lib, "rd_kafka_error_code")))
_DESTROY = int(ffi.cast("intptr_t", ffi.addressof(lib, "rd_kafka_error_destroy")))


@kernel(inline=True)
def _put(at: int, kind: int, first: int, second: int, third: int) -> int:
    store_i32(at, kind)
    store_i64(at + 8, first)
    store_i64(at + 16, second)
    store_i64(at + 24, third)
    return at + _VU_BYTES


@kernel("int64(uint8[:, ::1], int64, int64, int64, int64, int64, int64, int64[::1], int64[:, ::1], int64[:, ::1])")
def _produce(
    messages: Any,
    handle: int,
    topic: int,
    produce: int,
    code_of: int,
    destroy: int,
    arguments: int,
    names: Any,
    address: Any,
    length: Any,
) -> int:
    """Each message's `err` says how it went; returns how many were accepted."""
    accepted = 0
    for index in range(len(messages)):
        message = messages.ctypes.data + index * 72
        opaque = load_i64(message + 64)
        at = _put(arguments, _RKT, topic, 0, 0)
        at = _put(at, _PARTITION, load_i32(message + 16), 0, 0)
        at = _put(at, _MSGFLAGS, F_COPY, 0, 0)
        at = _put(at, _VALUE, load_i64(message + 24), load_i64(message + 32), 0)
        at = _put(at, _KEY, load_i64(message + 40), load_i64(message + 48), 0)
        at = _put(at, _OPAQUE, opaque, 0, 0)
        count = _FIXED
        for header in range(len(names)):
            if length[header, opaque - 1] >= 0:
                at = _put(at, _HEADER, names[header], address[header, opaque - 1], length[header, opaque - 1])
                count += 1
        error = call_with_five(produce, handle, arguments, count, 0, 0)
        if error == 0:
            store_i32(message, 0)
            accepted += 1
        else:
            store_i32(message, call_with_two(code_of, error, 0) & _INT)
            call_with_two(destroy, error, 0)
    return accepted


class RowHeaders:
    """Headers of messages whose `_private` is a row's number + 1: the row's `address` and `length`.

    Both are int64[names, rows]. A length below 0: it has no such header. What they point to lives until the message
    is handed over.
    """

    def __init__(self, names: Sequence[str], address: NDArray[np.int64], length: NDArray[np.int64]) -> None:
        self._text = [np.frombuffer(name.encode() + b"\0", np.uint8) for name in names]
        self._names = np.array([text.ctypes.data for text in self._text], np.int64)
        self._address = address
        self._length = length
        self._arguments = np.zeros((_FIXED + len(names)) * _VU_BYTES, np.uint8)

    def any_of(self, messages: NDArray[Any]) -> bool:
        """Whether one of the messages has a header."""
        return bool((self._length[:, messages["_private"] - 1] >= 0).any())

    def produce(self, handle: Any, topic: Any, messages: NDArray[Any]) -> int:
        """Hand the messages over, their bytes copied; returns how many were accepted, `err` says which."""
        return int(
            _produce(
                messages.view(np.uint8).reshape(len(messages), messages.itemsize),
                int(ffi.cast("intptr_t", handle)),
                int(ffi.cast("intptr_t", topic)),
                _PRODUCE,
                _CODE,
                _DESTROY,
                self._arguments.ctypes.data,
                self._names,
                self._address,
                self._length,
            )
        )
