"""Who an event is decided for: a field's value as a small number, given to all rows of a read at once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from features.kernel import kernel
from features.keys import Keys, find_key
from features.schema import NULL, NUMBER, FieldType, Schema

NONE, OTHER, FIRST = 0, 1, 2
"""Rows whose field is null (or all rows, where no field is named); those beyond the bound; the first tenant."""
NAME_BYTES_MAX = 64
"""A longer name is not kept: its rows are those of `(other)`."""
ALL_NAME, NONE_NAME, OTHER_NAME = "(all)", "(none)", "(other)"
_NONE, _OTHER, _FIRST, _NULL, _BYTES_MAX = NONE, OTHER, FIRST, NULL, NAME_BYTES_MAX


@kernel(
    "void(int64[:, ::1], int32[:, ::1], int64, int64, int64, int64, int32[::1], int64[::1], int32[::1], uint8[::1],"
    " int64[::1], int16[::1])"
)
def _number(
    value: Any,
    length: Any,
    column: int,
    first: int,
    stop: int,
    tenants_max: int,
    table: Any,
    keys: Any,
    lengths: Any,
    text: Any,
    meta: Any,
    tenant_of: Any,
) -> None:
    for row in range(first, stop):
        size = length[column, row]
        if size == _NULL:
            tenant_of[row] = _NONE
        elif size > _BYTES_MAX:
            tenant_of[row] = _OTHER
        else:
            index = find_key(value[column, row], size, meta[0] < tenants_max, table, keys, lengths, text, meta)
            tenant_of[row] = _FIRST + index if index >= 0 else _OTHER


class Tenants:
    """Numbers the tenants in the order in which they come; at most `tenants_max`, the rest are one, `(other)`.

    `field` names a column of integers, booleans, strings or ids. Bytes are compared on every hit, so two tenants are never
    one. A tenant that has a number keeps it as long as the process lives.
    """

    def __init__(self, schema: Schema, field: str, tenants_max: int) -> None:
        self._column = schema.index(field)
        self._is_bool = schema.fields[field].code == FieldType.BOOL
        self._tenants_max = tenants_max
        self._keys = Keys(tenants_max)
        while len(self._keys.text) < tenants_max * NAME_BYTES_MAX:
            self._keys.grow_text()

    def number(self, columns: Columns, first: int, stop: int, tenant_of: NDArray[np.int16]) -> None:
        """Write the tenant of each row of [first, stop)."""
        keys = self._keys
        _number(
            columns.value,
            columns.length,
            self._column,
            first,
            stop,
            self._tenants_max,
            keys.table,
            keys.keys,
            keys.lengths,
            keys.text,
            keys.meta,
            tenant_of,
        )

    def names(self) -> list[str]:
        """What the numbers so far stand for. A name that begins as ours do, with a bracket, is put into quotes."""
        return [NONE_NAME, OTHER_NAME, *(self._name(index) for index in range(self._keys.count))]

    def _name(self, index: int) -> str:
        keys, size = self._keys, int(self._keys.lengths[index])
        value = int(keys.keys[index])
        if size == NUMBER:
            return ("false", "true")[value] if self._is_bool else str(value)
        name = keys.text[value : value + size].tobytes().decode(errors="replace")
        return repr(name) if name.startswith("(") or not name else name
