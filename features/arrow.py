"""Arrow batches as columns: the way of files into the same kernels."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.columns import Columns
from features.schema import NULL, NUMBER, EventField, FieldType


class FileFieldError(ValueError):
    """A file's column that does not fit its declared field: which, what was found, what was expected."""


def fill_columns(columns: Columns, batch: pa.RecordBatch) -> None:
    """Fill rows [0, batch rows) of `columns`; strings point into the batch, which `columns.keep` holds.

    Raises FileFieldError for a column that is missing, of another type, or null where a value is required.
    """
    columns.keep = [batch]
    for index, (name, field) in enumerate(columns.schema.fields.items()):
        position = batch.schema.get_field_index(name)
        if position < 0:
            if field.required:
                raise FileFieldError(f"{name}: no such column; there are {', '.join(batch.schema.names)}")
            columns.length[index, : batch.num_rows] = NULL
            continue
        _fill(columns, index, name, field, batch.column(position))


def _fill(columns: Columns, index: int, name: str, field: EventField, array: pa.Array) -> None:
    rows = len(array)
    if array.null_count and field.required:
        raise FileFieldError(f"{name}: {array.null_count} nulls, expected a value in every row")
    value, length = columns.value[index, :rows], columns.length[index, :rows]
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        if field.code not in (FieldType.STRING, FieldType.ID):
            raise FileFieldError(f"{name}: found {array.type}, expected a column of type {field.type}")
        array = array.cast(pa.large_string())
        columns.keep.append(array)
        _fill_text(array, value, length)
    else:
        numbers = _numbers(name, field, array)
        if field.code == FieldType.FLOAT:
            columns.floats[index, :rows] = numbers
        else:
            value[:] = numbers
        length[:] = NUMBER
    if array.null_count:
        length[np.asarray(array.is_null())] = NULL


def _fill_text(array: pa.Array, value: NDArray[np.int64], length: NDArray[np.int32]) -> None:
    _, offsets_buffer, data = array.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[array.offset : array.offset + len(array) + 1]
    value[:] = offsets[:-1] + (data.address if data is not None else 0)
    length[:] = np.diff(offsets)


def _numbers(name: str, field: EventField, array: pa.Array) -> NDArray[Any]:
    kind = field.code
    try:
        if kind == FieldType.TIME:
            if pa.types.is_timestamp(array.type):
                array = array.cast(pa.timestamp("ms", tz=array.type.tz), safe=False)
            return _filled(array.cast(pa.int64()))
        if kind == FieldType.BOOL:
            return _filled(array.cast(pa.bool_()).cast(pa.int8())).astype(np.int64)
        if kind == FieldType.FLOAT:
            return _filled(array.cast(pa.float64()))
        if kind == FieldType.DECIMAL:
            units = np.rint(_filled(array.cast(pa.float64())) * 10.0 ** (field.decimals or 0))
            return units.astype(np.int64)
        if kind in (FieldType.INT, FieldType.ID) and pa.types.is_integer(array.type):
            return _filled(array.cast(pa.int64()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise FileFieldError(f"{name}: found {array.type}, expected {field.type}: {error}") from None
    raise FileFieldError(f"{name}: found {array.type}, expected a column of type {field.type}")


def _filled(array: pa.Array) -> NDArray[Any]:
    return np.asarray(pc.fill_null(array, 0).to_numpy(zero_copy_only=False))


def sized(batches: Iterable[pa.RecordBatch], rows_max: int) -> Iterable[pa.RecordBatch]:
    """The same rows in batches of at most `rows_max`, none empty."""
    for batch in batches:
        for first in range(0, batch.num_rows, rows_max):
            yield batch.slice(first, rows_max)
