"""The safe path of decoding: the authority on what a valid event is, one record at a time.

The rules that JSON itself leaves open are ours, and stated here alone: duplicate keys, bytes that are not UTF-8,
integers outside int64, numbers that are not finite and nesting deeper than 64 make a dead letter, wherever in the
record they are; fields that were not declared are allowed. Minus zero is zero. A time is ms since the epoch or an RFC
3339 string with its offset, cut to whole ms; a leap second counts as the second after it.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any, NoReturn

import msgspec
import numpy as np

from features.kernel import kernel
from features.schema import EventField, FieldType, Schema

NESTING_MAX = 64
PAYLOAD_BYTES_MAX = 1 << 20
INT64_MAX = 2**63 - 1
_SHOWN_CHARACTERS_MAX = 40
_HOUR, _SIXTY = "([01][0-9]|2[0-3])", "([0-5][0-9])"
_RFC3339 = re.compile(
    f"([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}})[Tt ]{_HOUR}:{_SIXTY}:([0-5][0-9]|60)"
    rf"(?:\.([0-9]+))?(?:[Zz]|([+-]){_HOUR}:{_SIXTY})"
)
_DAYS_TO_1970 = date(1970, 1, 1).toordinal()


class BadEventError(ValueError):
    """Why a record cannot become an event: a code to count by, and a message for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Cell:
    """One field's value: a number (NUMBER), the bytes of a string, or neither (NULL)."""

    number: int | float | None = None
    text: bytes | None = None


def shown(value: object) -> str:
    """A value as an error message shows it, cut short."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS_MAX else text[:_SHOWN_CHARACTERS_MAX] + "..."


@kernel("int64(Array(uint8, 1, 'C', readonly=True))")
def _nesting(raw: Any) -> int:
    depth, deepest = 0, 0
    in_string, escaped = False, False
    for byte in raw:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte == 0x5B or byte == 0x7B:
            depth += 1
            deepest = max(deepest, depth)
        elif byte == 0x5D or byte == 0x7D:
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise BadEventError("duplicate-key", f"key {shown(twice)} stands more than once in one object")
    return found


def whole_of(text: str) -> int:
    """The integer that the text writes. Raises BadEventError outside int64."""
    value = int(text) if len(text) <= 20 else INT64_MAX + 1
    if not -INT64_MAX - 1 <= value <= INT64_MAX:
        raise BadEventError("integer-overflow", f"integer {shown(text)} is outside int64")
    return value


def float_of(text: str) -> float:
    """The number that the text writes. Raises BadEventError when no float64 is so large."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise BadEventError("non-finite", f"number {shown(text)} is too large for float64")
    return value


def no_number(text: str) -> NoReturn:
    """NaN and the infinities are no values of an event."""
    raise BadEventError("non-finite", f"{text} is not a JSON number")


def parse(raw: bytes) -> dict[str, Any]:
    """The record's object, by JSON's rules and ours. Raises BadEventError."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadEventError("invalid-utf8", f"byte {error.start} is not UTF-8") from None
    if raw.count(b"[") + raw.count(b"{") > NESTING_MAX and (_nesting(np.frombuffer(raw, np.uint8)) > NESTING_MAX):
        raise BadEventError("too-deep", f"nested deeper than {NESTING_MAX}")
    try:
        found = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=whole_of,
            parse_float=float_of,
            parse_constant=no_number,
        )
        msgspec.json.decode(raw)
    except BadEventError:
        raise
    except (ValueError, RecursionError) as error:
        raise BadEventError("invalid-json", f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise BadEventError("wrong-type", f"an event is a JSON object, found {shown(found)}")
    return found


def wrong_type(name: str, value: object, expected: str) -> BadEventError:
    """The error of a value that is not of its field's type."""
    return BadEventError("wrong-type", f"{name}: found {shown(value)}, expected {expected}")


def _time_ms(name: str, value: object) -> int:
    if type(value) is int:
        return value
    expected = "ms since the epoch or an RFC 3339 time with its offset"
    if not isinstance(value, str):
        raise wrong_type(name, value, expected)
    parts = _RFC3339.fullmatch(value)
    if parts is None:
        raise BadEventError("bad-time", f"{name}: found {shown(value)}, expected {expected}")
    year, month, day, hour, minute, second = (int(part) for part in parts.group(1, 2, 3, 4, 5, 6))
    try:
        days = date(year, month, day).toordinal() - _DAYS_TO_1970
    except ValueError:
        raise BadEventError("bad-time", f"{name}: found {shown(value)}, expected {expected}") from None
    east = int(parts[9] or 0) * 60 + int(parts[10] or 0)
    minutes = (days * 24 + hour) * 60 + minute + (east if parts[8] == "-" else -east)
    return (minutes * 60 + second) * 1000 + int((parts[7] or "")[:3].ljust(3, "0"))


def _text(name: str, value: str, field: EventField) -> Cell:
    text = value.encode()
    if len(text) > field.length_max:
        raise BadEventError("out-of-range", f"{name}: found {len(text)} bytes, expected at most {field.length_max}")
    return Cell(text=text)


def _units(name: str, value: float, field: EventField) -> int:
    scaled = float(value) * 10.0 ** (field.decimals or 0)
    units = round(scaled) if abs(scaled) < 2.0**63 else INT64_MAX + 1
    if units > INT64_MAX:
        raise BadEventError("out-of-range", f"{name}: {shown(value)} does not fit {field.decimals} decimals")
    return units


def cell_of(name: str, value: object, field: EventField) -> Cell:
    """A JSON value as its field's cell; `name` is what an error calls it. Raises BadEventError."""
    kind = field.code
    if kind == FieldType.TIME:
        return Cell(_time_ms(name, value))
    if isinstance(value, str) and kind in (FieldType.STRING, FieldType.ID):
        return _text(name, value, field)
    if kind == FieldType.BOOL and isinstance(value, bool):
        return Cell(int(value))
    if type(value) is int and kind in (FieldType.INT, FieldType.ID):
        return Cell(value)
    if type(value) in (int, float):
        assert isinstance(value, int | float)
        if kind == FieldType.DECIMAL:
            return Cell(_units(name, value, field))
        if kind == FieldType.FLOAT:
            return Cell(float(value) + 0.0)
    raise wrong_type(name, value, _EXPECTED[kind])


_EXPECTED = {
    FieldType.INT: "an integer",
    FieldType.FLOAT: "a number",
    FieldType.DECIMAL: "a number",
    FieldType.BOOL: "true or false",
    FieldType.STRING: "a string",
    FieldType.ID: "an integer or a string",
}


def decode_safe(raw: bytes, schema: Schema) -> list[Cell]:
    """One record's cells in column order. Raises BadEventError naming the field, what was found and expected.

    Ranges (`min`, `max`, times) are not checked here: they are checked on columns, for both paths at once.
    """
    found = parse(raw)
    cells = []
    for name, field in schema.fields.items():
        value = found.get(name)
        if value is not None:
            cells.append(cell_of(name, value, field))
        elif not field.required:
            cells.append(Cell())
        elif name in found:
            raise wrong_type(name, None, f"a value of type {field.type}")
        else:
            raise BadEventError("missing-field", f"{name}: missing, expected a value of type {field.type}")
    return cells
