"""From bytes to columns: the fast path for all records at once, the safe path for what it left."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from features.kernel import kernel
from features.memory import load_u8
from features.schema import NULL, NUMBER, FieldType, Schema
from pipeline.kafka.librdkafka import ffi
from pipeline.wire.event_fast import GOOD, UNKNOWN_KEYS_MAX, decode_plain
from pipeline.wire.event_safe import PAYLOAD_BYTES_MAX, BadEventError, decode_safe

TIME_MS_MAX = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z
REJECTED = 2
FIELDS_MAX = 62
_NUMBER, _NULL, _FLOAT = NUMBER, NULL, int(FieldType.FLOAT)
_INT64 = np.iinfo(np.int64)


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that cannot become an event: its index in the read, a code to count by, a message."""

    index: int
    code: str
    message: str


@dataclass(slots=True)
class Decoded:
    """Good rows and bad ones, side by side.

    `status` is int8[n], 0 for a good row. `keep` owns bytes that rows point to (unescaped strings): hold it
    as long as the rows are in use.
    """

    status: NDArray[np.int8]
    rejects: list[Reject]
    keep: list[NDArray[np.uint8]] = field(default_factory=list)


@kernel(
    "int64(int64, int64, int8[::1], int64[::1], int64[::1], float64[::1], float64[::1], int64[:, ::1],"
    " int32[:, ::1], int8[::1], int8[::1])"
)
def _find_out_of_range(
    first: int,
    rows: int,
    kinds: Any,
    low: Any,
    high: Any,
    low_float: Any,
    high_float: Any,
    value: Any,
    length: Any,
    status: Any,
    bad_field: Any,
) -> int:
    found = 0
    for row in range(rows):
        if status[row] != 0:
            continue
        for field in range(len(kinds)):
            if length[field, first + row] != _NUMBER:
                continue
            if kinds[field] == _FLOAT:
                number = value.view(np.float64)[field, first + row]
                inside = low_float[field] <= number <= high_float[field]
            else:
                inside = low[field] <= value[field, first + row] <= high[field]
            if not inside:
                bad_field[row] = field
                status[row] = 2
                found += 1
                break
    return found


class _Ranges:
    """The bounds of each field, in the units of its column."""

    def __init__(self, schema: Schema) -> None:
        fields = schema.fields.values()
        self.low = np.full(len(fields), _INT64.min, np.int64)
        self.high = np.full(len(fields), _INT64.max, np.int64)
        self.low_float = np.full(len(fields), -np.inf)
        self.high_float = np.full(len(fields), np.inf)
        for index, field_ in enumerate(fields):
            scale = 10 ** (field_.decimals or 0)
            if field_.code == FieldType.TIME:
                self.low[index], self.high[index] = 0, TIME_MS_MAX
            if field_.min is not None:
                self.low_float[index] = field_.min
                self.low[index] = max(self.low[index], int(np.ceil(field_.min * scale)))
            if field_.max is not None:
                self.high_float[index] = field_.max
                self.high[index] = min(self.high[index], int(np.floor(field_.max * scale)))


class EventDecoder:
    """Decodes one input's records into columns by its schema.

    Raises ValueError for a schema of more than 62 fields.
    """

    def __init__(self, schema: Schema, payload_bytes_max: int = PAYLOAD_BYTES_MAX) -> None:
        fields = list(schema.fields.values())
        if len(fields) > FIELDS_MAX:
            raise ValueError(f"{len(fields)} fields declared, at most {FIELDS_MAX} are possible")
        self.schema = schema
        self._payload_bytes_max = payload_bytes_max
        names = [name.encode() for name in schema.fields]
        self._names = np.frombuffer(b"".join(names) or b" ", np.uint8).copy()
        self._bounds = np.cumsum([0, *map(len, names)]).astype(np.int64)
        self._kinds = np.array([f.code for f in fields], np.int8)
        self._decimals = np.array([f.decimals or 0 for f in fields], np.int8)
        self._length_max = np.array([f.length_max for f in fields], np.int64)
        self._required = sum(1 << index for index, f in enumerate(fields) if f.required)
        self._ranges = _Ranges(schema)
        self._unknown = np.zeros((UNKNOWN_KEYS_MAX, 2), np.int64)

    def decode(
        self,
        payload_address: NDArray[np.int64],
        payload_length: NDArray[np.int64],
        columns: Columns,
        first: int,
    ) -> Decoded:
        """Fill rows [first, first + n) of `columns` from n payloads (a null one has length -1).

        Columns of a good row may point into the payloads, which the caller keeps alive.
        """
        n = len(payload_address)
        status = np.zeros(n, np.int8)
        decode_plain(
            payload_address,
            payload_length,
            first,
            self._payload_bytes_max,
            self._names,
            self._bounds,
            self._kinds,
            self._decimals,
            self._length_max,
            self._required,
            columns.value,
            columns.length,
            self._unknown,
            status,
        )
        decoded = Decoded(status, [])
        for index in np.flatnonzero(status != GOOD).tolist():
            self._decode_unusual(
                index, int(payload_address[index]), int(payload_length[index]), columns, first, decoded
            )
        self._check_ranges(columns, first, n, decoded)
        return decoded

    def _decode_unusual(
        self, index: int, address: int, length: int, columns: Columns, first: int, decoded: Decoded
    ) -> None:
        try:
            self._check_length(length)
            raw = bytes(ffi.buffer(ffi.cast("char *", address), length))
            cells = decode_safe(raw, self.schema)
        except BadEventError as error:
            decoded.status[index] = REJECTED
            decoded.rejects.append(Reject(index, error.code, str(error)))
            return
        row = first + index
        for field_, cell in enumerate(cells):
            if cell.text is not None:
                owner = np.frombuffer(cell.text, np.uint8)
                decoded.keep.append(owner)
                columns.value[field_, row] = owner.ctypes.data
                columns.length[field_, row] = len(cell.text)
            elif cell.number is None:
                columns.value[field_, row] = 0
                columns.length[field_, row] = NULL
            else:
                target = columns.floats if self._kinds[field_] == FieldType.FLOAT else columns.value
                target[field_, row] = cell.number
                columns.length[field_, row] = NUMBER
        decoded.status[index] = GOOD

    def _check_length(self, length: int) -> None:
        if length < 0:
            raise BadEventError("tombstone", "the record has no value, expected a JSON object")
        if length == 0:
            raise BadEventError("empty", "the value is empty, expected a JSON object")
        if length > self._payload_bytes_max:
            raise BadEventError(
                "too-large", f"the value has {length} bytes, expected at most {self._payload_bytes_max}"
            )

    def _check_ranges(self, columns: Columns, first: int, n: int, decoded: Decoded) -> None:
        bad_field = np.zeros(n, np.int8)
        ranges = self._ranges
        if not _find_out_of_range(
            first,
            n,
            self._kinds,
            ranges.low,
            ranges.high,
            ranges.low_float,
            ranges.high_float,
            columns.value,
            columns.length,
            decoded.status,
            bad_field,
        ):
            return
        known = {reject.index for reject in decoded.rejects}
        for index in np.flatnonzero(decoded.status == REJECTED).tolist():
            if index not in known:
                decoded.rejects.append(self._out_of_range(index, int(bad_field[index]), columns, first))

    def _out_of_range(self, index: int, field_: int, columns: Columns, first: int) -> Reject:
        name = self.schema.names[field_]
        declared = self.schema.fields[name]
        raw = columns.value[field_, first + index]
        if declared.code == FieldType.TIME:
            return Reject(
                index, "bad-time", f"{name}: found {raw} ms, expected 1970 to the year 9999 (0 to {TIME_MS_MAX})"
            )
        found = columns.floats[field_, first + index] if declared.code == FieldType.FLOAT else raw
        if declared.decimals:
            found = raw / 10**declared.decimals
        low = "any" if declared.min is None else f"{declared.min:g}"
        high = "any" if declared.max is None else f"{declared.max:g}"
        return Reject(index, "out-of-range", f"{name}: found {found}, expected {low} to {high}")


@kernel()
def _is_decimal_text(address: int, length: int, value: int) -> bool:
    negative = length > 1 and load_u8(address) == 0x2D
    at = 1 if negative else 0
    if length - at > 18 or length == at or (load_u8(address + at) == 0x30 and length - at > 1):
        return False
    number = 0
    while at < length:
        digit = load_u8(address + at) - 0x30
        if digit < 0 or digit > 9:
            return False
        number = number * 10 + digit
        at += 1
    return value == (-number if negative else number)


@kernel("int64(int64[:, ::1], int32[:, ::1], int64, int32[::1], int64[::1], int32[::1])")
def _count_disagreements(
    value: Any, length: Any, field: int, rows: Any, key_address: Any, key_length: Any
) -> int:
    count = 0
    for index in range(len(rows)):
        row = rows[index]
        if length[field, row] == _NUMBER:
            same = key_length[row] > 0 and _is_decimal_text(
                key_address[row], key_length[row], value[field, row]
            )
        else:
            at = 0
            same = key_length[row] == length[field, row]
            while same and at < key_length[row]:
                same = load_u8(key_address[row] + at) == load_u8(value[field, row] + at)
                at += 1
        count += not same
    return count


def key_disagreements(
    columns: Columns,
    field_: int,
    rows: NDArray[np.int32],
    key_address: NDArray[np.int64],
    key_length: NDArray[np.int32],
) -> int:
    """How many of `rows` have a Kafka key that is null or not their field's value as text.

    Such a record may sit in another partition than its entity's others, which splits the entity's windows.
    """
    return int(_count_disagreements(columns.value, columns.length, field_, rows, key_address, key_length))
