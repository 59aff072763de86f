"""From bytes to columns: the fast path for all records at once, the safe path for what it left."""

from collections.abc import Sequence
from ctypes import string_at
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from features.kernel import kernel
from features.memory import load_u8
from features.schema import NULL, NUMBER, FieldType, Schema
from pipeline.wire.event_fast import FIELDS_MAX, GOOD, PlainForm, decode_plain
from pipeline.wire.event_ranges import Ranges
from pipeline.wire.event_safe import PAYLOAD_BYTES_MAX, BadEventError, Cell, decode_safe

REJECTED = 2
_NUMBER = NUMBER


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that cannot become an event: its index in the read, a code to count by, a message.

    Codes: tombstone, empty, too-large, invalid-utf8, invalid-json, too-deep, duplicate-key, integer-overflow,
    non-finite, wrong-type, missing-field, out-of-range, bad-time; and those of images.
    """

    index: int
    code: str
    message: str


@dataclass(slots=True)
class Decoded:
    """Good rows and bad ones, side by side.

    `status` is int8[n], 0 for a good row; `rejects` has one entry for every other row, in their order. `keep`
    owns the bytes of strings that were unescaped: hold it as long as the rows are in use.
    """

    status: NDArray[np.int8]
    rejects: list[Reject]
    keep: list[bytes] = field(default_factory=list)


class EventDecoder:
    """Decodes one input's records into columns by its schema.

    An event_time far ahead of the clock is not this object's business: it knows no clock, and takes any time from
    1970 to the end of the year 9999. Raises ValueError for a schema without fields or with more than 62.
    """

    def __init__(self, schema: Schema, value_bytes_max: int = PAYLOAD_BYTES_MAX) -> None:
        if not 1 <= len(schema.fields) <= FIELDS_MAX:
            raise ValueError(f"{len(schema.fields)} fields declared, expected 1 to {FIELDS_MAX}")
        self.schema = schema
        self._value_bytes_max = value_bytes_max
        self._plain = PlainForm(schema)
        self._ranges = Ranges(schema)

    def decode(
        self,
        payload_address: NDArray[np.int64],
        payload_length: NDArray[np.int64],
        columns: Columns,
        first_row: int,
        n: int,
        _pointers: NDArray[np.int64] | None = None,
    ) -> Decoded:
        """Fill rows [first_row, first_row + n) of `columns` from the first n payloads (a null one has length -1).

        Strings of good rows point into the payloads, which the caller keeps alive, or into `keep`. A rejected
        row's cells are all null. Raises ValueError for a run outside `columns`; never for what a record holds. Where
        the messages themselves are is of no interest here: it takes their addresses as every decoder does.
        """
        if first_row < 0 or first_row + n > columns.capacity_rows:
            raise ValueError(f"rows {first_row} to {first_row + n} do not lie in {columns.capacity_rows}")
        if min(len(payload_address), len(payload_length)) < n:
            raise ValueError(f"{n} payloads asked for, {min(len(payload_address), len(payload_length))} given")
        decoded = Decoded(np.zeros(n, np.int8), [])
        status, plain = decoded.status, self._plain
        decode_plain(
            payload_address,
            payload_length,
            first_row,
            self._value_bytes_max,
            plain.tokens,
            plain.table,
            plain.unknown,
            columns.value,
            columns.length,
            status,
        )
        for index in np.flatnonzero(status != GOOD).tolist():
            address, length = int(payload_address[index]), int(payload_length[index])
            try:
                fill_row(columns, first_row + index, self._cells(address, length), decoded.keep)
                status[index] = GOOD
            except BadEventError as error:
                reject_row(decoded, columns, first_row, Reject(index, error.code, str(error)))
        for index, column in self._ranges.outside(columns, first_row, status).items():
            code, message = self._ranges.explain(columns, column, first_row + index)
            reject_row(decoded, columns, first_row, Reject(index, code, message))
        decoded.rejects.sort(key=lambda reject: reject.index)
        return decoded

    def _cells(self, address: int, length: int) -> list[Cell]:
        if length < 0:
            raise BadEventError("tombstone", "the record has no value, expected a JSON object")
        if length == 0:
            raise BadEventError("empty", "the value is empty, expected a JSON object")
        if length > self._value_bytes_max:
            raise BadEventError(
                "too-large", f"the value has {length} bytes, expected at most {self._value_bytes_max}"
            )
        return decode_safe(string_at(address, length), self.schema)


def fill_row(columns: Columns, row: int, cells: Sequence[Cell], keep: list[bytes]) -> None:
    """Write one event's cells; `keep` gets the owner of its strings."""
    texts = b"".join(cell.text for cell in cells if cell.text)
    address = 0
    if texts:
        keep.append(texts)
        address = int(np.frombuffer(texts, np.uint8).ctypes.data)
    for column, (cell, declared) in enumerate(zip(cells, columns.schema.fields.values(), strict=True)):
        if cell.text is not None:
            columns.value[column, row] = address
            columns.length[column, row] = len(cell.text)
            address += len(cell.text)
        elif cell.number is None:
            columns.value[column, row] = 0
            columns.length[column, row] = NULL
        else:
            target = columns.floats if declared.code == FieldType.FLOAT else columns.value
            target[column, row] = cell.number
            columns.length[column, row] = NUMBER


def reject_row(decoded: Decoded, columns: Columns, first_row: int, reject: Reject) -> None:
    """The record cannot become an event: its cells are null."""
    decoded.status[reject.index] = REJECTED
    decoded.rejects.append(reject)
    columns.value[:, first_row + reject.index] = 0
    columns.length[:, first_row + reject.index] = NULL


@kernel()
def _is_decimal_text(address: int, length: int, number: int) -> bool:
    """Whether the bytes are the shortest decimal text of `number`."""
    start = 1 if number < 0 else 0
    digits = length - start
    if digits < 1 or digits > 19 or (start and load_u8(address) != 0x2D):
        return False
    if load_u8(address + start) == 0x30 and length > 1:
        return False
    # Negative throughout: the least int64 has no positive counterpart, and 19 digits that wrap end above zero.
    read = 0
    for at in range(start, length):
        digit = load_u8(address + at) - 0x30
        if digit < 0 or digit > 9:
            return False
        read = read * 10 - digit
    return read <= 0 and read == (number if start else -number)


@kernel("void(int64[:, ::1], int32[:, ::1], int64, int32[::1], int64[::1], int32[::1], int8[::1])")
def _compare_keys(
    value: Any, length: Any, column: int, rows: Any, key_address: Any, key_length: Any, differs: Any
) -> None:
    for index in range(len(rows)):
        row = rows[index]
        key, key_bytes = key_address[row], key_length[row]
        if length[column, row] == _NUMBER:
            same = key_bytes > 0 and _is_decimal_text(key, key_bytes, value[column, row])
        else:
            at = 0
            same = key_bytes == length[column, row]
            while same and at < key_bytes:
                same = load_u8(key + at) == load_u8(value[column, row] + at)
                at += 1
        differs[index] = 0 if same else 1


def key_disagreements(
    columns: Columns,
    column: int,
    rows: NDArray[np.int32],
    key_address: NDArray[np.int64],
    key_length: NDArray[np.int32],
) -> NDArray[np.int8]:
    """int8[m]: 1 where the Kafka key of one of the m `rows` is null or not the column's value as text.

    Such a record may sit in another partition than its entity's others, which splits the entity's windows.
    Key arrays are indexed by row; a null key has length -1. An integer's text is its shortest decimal form.
    """
    differs = np.zeros(len(rows), np.int8)
    _compare_keys(columns.value, columns.length, column, rows, key_address, key_length, differs)
    return differs
