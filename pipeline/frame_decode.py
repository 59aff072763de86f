"""From a frame's record to columns: its fields from the headers, its image no more than looked at."""

from ctypes import string_at

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from features.image import ImageSpec
from features.schema import Schema
from pipeline.decode import Decoded, Reject, fill_row, reject_row
from pipeline.image.found import BadImageError
from pipeline.image.probe import probe
from pipeline.kafka.headers import HeaderFinder
from pipeline.wire.event_fast import GOOD
from pipeline.wire.event_ranges import Ranges
from pipeline.wire.event_safe import BadEventError
from pipeline.wire.header_event import fill_plain, header_cells

_REFUSED = 3


class FrameDecoder:
    """Decodes the records of an input whose values are images, by the contract of `EventDecoder`.

    Pixels are decoded when a frame is scored, so a record that is an event here may be none then. Strings of good
    rows point into the messages' headers, which live as long as the messages.
    """

    def __init__(self, schema: Schema, image: ImageSpec, value_bytes_max: int) -> None:
        self.schema = schema
        self._pixels_max = image.pixels_max
        self._value_bytes_max = value_bytes_max
        self._headers = HeaderFinder(schema.names)
        self._ranges = Ranges(schema)
        self._fields = np.array([[f.code, f.required, f.length_max] for f in schema.fields.values()], np.int64)

    def decode(
        self,
        payload_address: NDArray[np.int64],
        payload_length: NDArray[np.int64],
        columns: Columns,
        first_row: int,
        n: int,
        pointers: NDArray[np.int64] | None = None,
    ) -> Decoded:
        """Fill rows [first_row, first_row + n) of `columns` from the n messages at `pointers`."""
        assert pointers is not None
        decoded = Decoded(np.zeros(n, np.int8), [])
        status = decoded.status
        status[(payload_length[:n] <= 0) | (payload_length[:n] > self._value_bytes_max)] = _REFUSED
        address, size = self._headers.find(pointers[:n])
        fill_plain(address, size, first_row, self._fields, columns.value, columns.length, status)
        for index in np.flatnonzero(status != GOOD).tolist():
            try:
                self._check_value(int(payload_length[index]))
                cells = header_cells(_found(address[:, index], size[:, index]), self.schema)
                fill_row(columns, first_row + index, cells, decoded.keep)
                status[index] = GOOD
            except BadEventError as error:
                reject_row(decoded, columns, first_row, Reject(index, error.code, str(error)))
        for index, column in self._ranges.outside(columns, first_row, status).items():
            code, message = self._ranges.explain(columns, column, first_row + index)
            reject_row(decoded, columns, first_row, Reject(index, code, f"header {message}"))
        for index in np.flatnonzero(status == GOOD).tolist():
            try:
                probe(int(payload_address[index]), int(payload_length[index]), self._pixels_max)
            except BadImageError as error:
                reject_row(decoded, columns, first_row, Reject(index, error.code, str(error)))
        decoded.rejects.sort(key=lambda reject: reject.index)
        return decoded

    def _check_value(self, length: int) -> None:
        if length < 0:
            raise BadEventError("tombstone", "the record has no value, expected an image")
        if length == 0:
            raise BadEventError("empty", "the value is empty, expected an image")
        if length > self._value_bytes_max:
            raise BadEventError(
                "too-large", f"the value has {length} bytes, expected at most {self._value_bytes_max}"
            )


def _found(address: NDArray[np.int64], size: NDArray[np.int64]) -> list[bytes | int]:
    """Each header's bytes, or the code for why there are none."""
    return [
        string_at(at, count) if count >= 0 else count
        for at, count in zip(address.tolist(), size.tolist(), strict=True)
    ]
