"""Files of events as Arrow batches: Parquet, CSV and JSON lines, with the columns that an input declares."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from features.catalog import InputSpec
from features.schema import EventField
from pipeline.errors import HeadraceError

BATCH_ROWS = 65_536
FORMATS = (".parquet", ".csv", ".jsonl", ".ndjson")


class TableError(HeadraceError):
    """A file that cannot be read as events of an input."""


def read_events(path: Path, spec: InputSpec, renamed: Mapping[str, str] | None = None) -> Iterator[pa.RecordBatch]:
    """The events of a file in its own order, batch by batch: the declared columns, in declared order.

    `renamed` maps a declared field to the file's name for it. Columns have the types int64, float64, bool,
    string and timestamp[ms, UTC]; times may be given as timestamps, ms since the epoch or RFC 3339 text.
    Raises TableError naming the file and the column, when the first batch is asked for.
    """
    names = {field: (renamed or {}).get(field, field) for field in spec.fields}
    for batch in _batches(path, names, spec):
        _require_columns(path, names, spec, batch.schema.names)
        yield _typed(path, batch, names, spec)


def count_rows(path: Path) -> int | None:
    """How many events a file holds, where its format says so without reading it."""
    return int(pq.read_metadata(path).num_rows) if path.suffix == ".parquet" else None


def _batches(path: Path, names: Mapping[str, str], spec: InputSpec) -> Iterator[pa.RecordBatch]:
    if not path.is_file():
        raise TableError(f"{path}: no such file")
    try:
        if path.suffix == ".parquet":
            file = pq.ParquetFile(path)
            _require_columns(path, names, spec, file.schema_arrow.names)
            wanted = [name for name in names.values() if name in file.schema_arrow.names]
            yield from file.iter_batches(BATCH_ROWS, columns=wanted)
        elif path.suffix == ".csv":
            yield from pyarrow.csv.open_csv(path, convert_options=_csv_types(names, spec))
        elif path.suffix in (".jsonl", ".ndjson"):
            yield from pyarrow.json.read_json(path).to_batches(BATCH_ROWS)
        else:
            raise TableError(f"{path}: unknown format {path.suffix!r}, expected one of {', '.join(FORMATS)}")
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise TableError(f"{path}: cannot be read as {path.suffix[1:]}: {error}") from None


def _csv_types(names: Mapping[str, str], spec: InputSpec) -> pyarrow.csv.ConvertOptions:
    """Text columns stay text: an id of digits with a leading zero must not become a number."""
    text = {names[field]: pa.string() for field, declared in spec.fields.items() if declared.type == "string"}
    return pyarrow.csv.ConvertOptions(column_types=text)


def _require_columns(path: Path, names: Mapping[str, str], spec: InputSpec, found: list[str]) -> None:
    missing = [name for field, name in names.items() if spec.fields[field].required and name not in found]
    if missing:
        raise TableError(
            f"{path}: no column {', '.join(map(repr, missing))}; the file has {', '.join(found)}. "
            f"A column of another name is given as --column FIELD=NAME"
        )


def _typed(path: Path, batch: pa.RecordBatch, names: Mapping[str, str], spec: InputSpec) -> pa.RecordBatch:
    columns = []
    for field, name in names.items():
        declared = spec.fields[field]
        if name not in batch.schema.names:
            columns.append(pa.nulls(batch.num_rows, _arrow_type(declared, pa.int64())))
            continue
        column = batch.column(name)
        try:
            columns.append(_cast(column, declared))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise TableError(f"{path}: column {name!r} is {column.type}, expected {declared.type}: {error}") from None
    return pa.RecordBatch.from_arrays(columns, names=list(names))


def _arrow_type(declared: EventField, found: pa.DataType) -> pa.DataType:
    match declared.type:
        case "int":
            return pa.int64()
        case "float" | "decimal":
            return pa.float64()
        case "bool":
            return pa.bool_()
        case "string":
            return pa.string()
        case "time":
            return pa.timestamp("ms", "UTC")
        case "id":
            return pa.int64() if pa.types.is_integer(found) else pa.string()


def _cast(column: pa.Array, declared: EventField) -> pa.Array:
    wanted = _arrow_type(declared, column.type)
    if declared.type == "time" and pa.types.is_string(column.type):
        return column.cast(pa.timestamp("us", "UTC")).cast(wanted, safe=False)
    if declared.type == "time" and pa.types.is_timestamp(column.type):
        zoned = column if column.type.tz else pc.assume_timezone(column, "UTC")
        return zoned.cast(wanted, safe=False)
    if declared.type == "time":
        return column.cast(pa.int64()).cast(pa.timestamp("ms")).cast(wanted)
    return column.cast(wanted)
