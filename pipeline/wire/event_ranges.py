"""The ranges of fields, checked on columns: one rule for whatever path filled them."""

from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from features.kernel import kernel
from features.schema import NUMBER, FieldType, Schema

TIME_MS_MAX = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z
_NUMBER, _FLOAT = NUMBER, int(FieldType.FLOAT)
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


@kernel(
    "int64(int64, int8[::1], int64[:, ::1], float64[:, ::1], int64[:, ::1], float64[:, ::1], int32[:, ::1],"
    " int8[::1], int64[::1])"
)
def _find_outside(
    first: int,
    is_float: Any,
    bounds: Any,
    float_bounds: Any,
    value: Any,
    floats: Any,
    length: Any,
    status: Any,
    outside: Any,
) -> int:
    found = 0
    for index in range(len(status)):
        if status[index] != 0:
            continue
        row = first + index
        for field in range(len(is_float)):
            if length[field, row] != _NUMBER:
                continue
            if is_float[field]:
                inside = float_bounds[field, 0] <= floats[field, row] <= float_bounds[field, 1]
            else:
                inside = bounds[field, 0] <= value[field, row] <= bounds[field, 1]
            if not inside:
                outside[index] = field
                found += 1
                break
    return found


def _clamp(number: int) -> int:
    return min(max(number, _INT64_MIN), _INT64_MAX)


class Ranges:
    """What each field of a schema may be: its `min` and `max`, and for a time 1970 to the year 9999."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        fields = schema.fields.values()
        self._is_float = np.array([f.code == FieldType.FLOAT for f in fields], np.int8)
        self._bounds = np.tile(np.array([_INT64_MIN, _INT64_MAX]), (len(fields), 1))
        self._float_bounds = np.tile(np.array([-np.inf, np.inf]), (len(fields), 1))
        for index, field in enumerate(fields):
            if field.code == FieldType.TIME:
                self._bounds[index] = 0, TIME_MS_MAX
            scale = 10 ** (field.decimals or 0)
            # A bound is the decimal number that was written: 0.07 is 7 units of 2 decimals, not 7.000000000000001.
            if field.min is not None and np.isfinite(field.min):
                self._float_bounds[index, 0] = field.min
                self._bounds[index, 0] = max(self._bounds[index, 0], _clamp(ceil(Fraction(repr(field.min)) * scale)))
            if field.max is not None and np.isfinite(field.max):
                self._float_bounds[index, 1] = field.max
                self._bounds[index, 1] = min(self._bounds[index, 1], _clamp(floor(Fraction(repr(field.max)) * scale)))

    def outside(self, columns: Columns, first: int, status: NDArray[np.int8]) -> dict[int, int]:
        """Of the rows [first, first + len(status)) with status 0: those outside a range, and their first such field.

        Keys are indices into `status`, values columns.
        """
        outside = np.full(len(status), -1, np.int64)
        if not _find_outside(
            first,
            self._is_float,
            self._bounds,
            self._float_bounds,
            columns.value,
            columns.floats,
            columns.length,
            status,
            outside,
        ):
            return {}
        return {index: int(outside[index]) for index in np.flatnonzero(outside >= 0).tolist()}

    def explain(self, columns: Columns, field: int, row: int) -> tuple[str, str]:
        """(code, message) for a cell that is outside its field's range."""
        name = self._schema.names[field]
        declared = self._schema.fields[name]
        number = int(columns.value[field, row])
        if declared.code == FieldType.TIME and not 0 <= number <= TIME_MS_MAX:
            return (
                "bad-time",
                f"{name}: found {number} ms, expected 1970 to the year 9999 (0 to {TIME_MS_MAX})",
            )
        found: float = float(columns.floats[field, row]) if self._is_float[field] else number
        if declared.decimals:
            found = number / 10**declared.decimals
        low = "any" if declared.min is None else f"{declared.min:g}"
        high = "any" if declared.max is None else f"{declared.max:g}"
        return "out-of-range", f"{name}: found {found}, expected {low} to {high}"
