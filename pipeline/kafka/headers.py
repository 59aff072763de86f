"""Headers of a read's messages, found by name: where each value's bytes lie, without copying any.

librdkafka parses a message's headers when they are first asked for and keeps them with the message: their bytes
live as long as its payload does.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from features.memory import call_with_five, call_with_two, equal_bytes, load_i64
from pipeline.kafka.librdkafka import ffi, lib

ABSENT, TWICE, NO_VALUE = -1, -2, -3
"""In place of a length: no header of the name, more than one, one whose value is null."""

_HEADERS = int(ffi.cast("intptr_t", ffi.addressof(lib, "rd_kafka_message_headers")))
_GET = int(ffi.cast("intptr_t", ffi.addressof(lib, "rd_kafka_header_get_all")))
_INT = 0xFFFFFFFF
_ABSENT, _TWICE, _NO_VALUE = ABSENT, TWICE, NO_VALUE


@kernel("void(int64[::1], int64, int64, int64, int64, int64[::1], int64[:, ::1], int64[:, ::1])")
def _locate(
    pointers: Any,
    headers_function: int,
    get_function: int,
    answer: int,
    text: int,
    starts: Any,
    address: Any,
    length: Any,
) -> None:
    """`answer` is room for four words: the headers, and a header's name, value and size."""
    for row in range(len(pointers)):
        for field in range(len(starts) - 1):
            address[field, row] = 0
            length[field, row] = _ABSENT
        if call_with_two(headers_function, pointers[row], answer) & _INT:
            continue
        headers, index = load_i64(answer), 0
        while call_with_five(get_function, headers, index, answer + 8, answer + 16, answer + 24) & _INT == 0:
            index += 1
            name = load_i64(answer + 8)
            for field in range(len(starts) - 1):
                # With the zero that ends it; a shorter name differs there at the latest.
                if equal_bytes(text + starts[field], name, starts[field + 1] - starts[field]):
                    value = load_i64(answer + 16)
                    if length[field, row] != _ABSENT:
                        length[field, row] = _TWICE
                    elif value == 0:
                        length[field, row] = _NO_VALUE
                    else:
                        address[field, row] = value
                        length[field, row] = load_i64(answer + 24)


class HeaderFinder:
    """Finds the headers of certain names. One thread at a time."""

    def __init__(self, names: Sequence[str]) -> None:
        encoded = [name.encode() + b"\0" for name in names]
        self._text = np.frombuffer(b"".join(encoded), np.uint8)
        self._starts = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        self._answer = np.zeros(4, np.int64)

    def find(self, pointers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Address and length of each header, int64[names, messages] each; a length below 0 says why there is none.

        The bytes live as long as the messages.
        """
        address = np.empty((len(self._starts) - 1, len(pointers)), np.int64)
        length = np.empty_like(address)
        _locate(
            pointers,
            _HEADERS,
            _GET,
            self._answer.ctypes.data,
            self._text.ctypes.data,
            self._starts,
            address,
            length,
        )
        return address, length
