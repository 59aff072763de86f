"""An event's fields as text in record headers: the plain forms by a kernel, everything else one record at a time.

The rules are those of JSON values, see `event_safe`; what JSON writes between quotes stands without them here. An id
is always text: nothing tells 17 from "17".
"""

import re
from typing import Any

from features.kernel import kernel
from features.memory import load_u8
from features.schema import NULL, NUMBER, EventField, FieldType, Schema
from pipeline.kafka.headers import ABSENT, NO_VALUE
from pipeline.wire.event_safe import (
    BadEventError,
    Cell,
    cell_of,
    float_of,
    no_number,
    shown,
    whole_of,
    wrong_type,
)

_LEFT = 1
_DIGITS_MAX = 18
_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_NUMBER_TEXT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)
_NO_NUMBERS = ("NaN", "Infinity", "-Infinity")
_NUMBERS = (FieldType.INT, FieldType.FLOAT, FieldType.DECIMAL, FieldType.TIME)
_NUMBER, _NULL, _ABSENT = NUMBER, NULL, ABSENT
_INT, _TIME, _STRING, _ID = int(FieldType.INT), int(FieldType.TIME), int(FieldType.STRING), int(FieldType.ID)


@kernel()
def _is_ascii(address: int, length: int) -> bool:
    seen = 0
    for at in range(length):
        seen |= load_u8(address + at)
    return seen < 0x80


@kernel()
def _whole_number(address: int, length: int) -> tuple[bool, int]:
    """Whether the bytes are an integer of few digits as JSON writes it, and which."""
    start = 1 if length > 0 and load_u8(address) == 0x2D else 0
    digits = length - start
    if digits < 1 or digits > _DIGITS_MAX or (digits > 1 and load_u8(address + start) == 0x30):
        return False, 0
    number = 0
    for at in range(start, length):
        digit = load_u8(address + at) - 0x30
        if digit < 0 or digit > 9:
            return False, 0
        number = number * 10 + digit
    return True, -number if start else number


@kernel("void(int64[:, ::1], int64[:, ::1], int64, int64[:, ::1], int64[:, ::1], int32[:, ::1], int8[::1])")
def fill_plain(address: Any, size: Any, first: int, fields: Any, value: Any, length: Any, status: Any) -> None:
    """Write the cells of each record whose status is 0 and whose headers are all plain; else its status is 1.

    `fields` is int64[fields, 3]: type, required, length_max.
    """
    for index in range(len(status)):
        row, plain = first + index, status[index] == 0
        for field in range(len(fields)):
            if not plain:
                break
            at, count, kind = address[field, index], size[field, index], fields[field, 0]
            if count == _ABSENT and fields[field, 1] == 0:
                value[field, row] = 0
                length[field, row] = _NULL
            elif count < 0:
                plain = False
            elif kind in (_STRING, _ID):
                plain = count <= fields[field, 2] and _is_ascii(at, count)
                value[field, row] = at
                length[field, row] = count
            elif kind in (_INT, _TIME):
                plain, number = _whole_number(at, count)
                value[field, row] = number
                length[field, row] = _NUMBER
            else:
                plain = False
        if status[index] == 0 and not plain:
            status[index] = _LEFT


def header_cells(found: list[bytes | int], schema: Schema) -> list[Cell]:
    """One record's cells in column order, from each field's header: its bytes, or why there are none.

    Raises BadEventError naming the header, what was found and what was expected. Ranges are not checked here.
    """
    return [_header_cell(name, raw, field) for (name, field), raw in zip(schema.fields.items(), found, strict=True)]


def _header_cell(name: str, raw: bytes | int, field: EventField) -> Cell:
    where = f"header {name}"
    if isinstance(raw, int):
        if raw not in (ABSENT, NO_VALUE):
            raise BadEventError("duplicate-key", f"{where}: stands more than once, expected once")
        if not field.required:
            return Cell()
        if raw == ABSENT:
            raise BadEventError("missing-field", f"{where}: missing, expected a value of type {field.type}")
        raise wrong_type(where, None, f"a value of type {field.type}")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadEventError("invalid-utf8", f"{where}: byte {error.start} is not UTF-8") from None
    return cell_of(where, _value(text, field.code), field)


def _value(text: str, kind: FieldType) -> object:
    """The text as the JSON value that it writes, where its type has such; else the text."""
    if kind == FieldType.BOOL and text in ("true", "false"):
        return text == "true"
    if kind not in _NUMBERS:
        return text
    if _WHOLE.fullmatch(text):
        return whole_of(text)
    if kind in (FieldType.FLOAT, FieldType.DECIMAL):
        if text in _NO_NUMBERS:
            no_number(shown(text))
        if _NUMBER_TEXT.fullmatch(text):
            return float_of(text)
    return text
