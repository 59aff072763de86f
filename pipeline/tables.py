"""Files of events as Arrow batches: Parquet, CSV and JSON lines, with the columns that an input declares."""

from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from features.catalog import InputSpec
from features.schema import EventField
from pipeline.errors import UnusableFileError

BATCH_ROWS = 65_536
FORMATS = (".parquet", ".csv", ".jsonl", ".ndjson")


class TableError(UnusableFileError):
    """A file that cannot be read as events of an input."""


def read_events(
    path: Path, spec: InputSpec, renamed: Mapping[str, str] | None = None, *, extra: str | None = None
) -> Iterator[pa.RecordBatch]:
    """The events of a file in its own order, batch by batch: the declared columns, in declared order.

    `renamed` maps a declared field to the file's name for it; `extra` is a column that is taken along as it is.
    Columns have the types int64, float64, bool, string and timestamp[ms, UTC]; times may be given as
    timestamps, ms since the epoch or RFC 3339 text. Raises TableError naming the file and the column, when
    the first batch is asked for.
    """
    names = {field: (renamed or {}).get(field, field) for field in spec.fields}
    required = [name for field, name in names.items() if spec.fields[field].required] + ([extra] if extra else [])
    for batch in _batches(path, {*names.values(), *required}, required, _text_columns(names, spec)):
        yield _typed(path, batch, names, spec, extra)


def derived_labels(
    events: Iterable[pa.RecordBatch], decided: InputSpec, spec: InputSpec, field: str, column: str, delay_ms: int
) -> Iterator[pa.RecordBatch]:
    """Labels for the events whose bool `column` is true, each known `delay_ms` after its event."""
    for batch in events:
        hits = batch.filter(batch.column(column).cast(pa.bool_()))
        known = pc.add(hits.column(decided.event_time), pa.scalar(delay_ms, pa.duration("ms")))
        made = {field: hits.column(column).cast(pa.bool_()), spec.order_time: known}
        for name in spec.fields:
            if name not in made:
                if name not in hits.schema.names:
                    raise TableError(f"labels need {name!r}, which the events do not have")
                made[name] = hits.column(name)
        yield pa.RecordBatch.from_arrays([made[name] for name in spec.fields], names=list(spec.fields))


def count_rows(path: Path) -> int | None:
    """How many events a file holds, where its format says so without reading it."""
    return int(pq.read_metadata(path).num_rows) if path.suffix == ".parquet" else None


def _batches(path: Path, wanted: Set[str], required: list[str], text: list[str]) -> Iterator[pa.RecordBatch]:
    if not path.is_file():
        raise TableError(f"{path}: no such file")
    try:
        if path.suffix == ".parquet":
            file = pq.ParquetFile(path)
            _require_columns(path, required, file.schema_arrow.names)
            found = [name for name in file.schema_arrow.names if name in wanted]
            batches = file.iter_batches(BATCH_ROWS, columns=found)
        elif path.suffix == ".csv":
            # Text columns stay text: an id of digits with a leading zero must not become a number.
            types = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(text, pa.string()))
            batches = pyarrow.csv.open_csv(path, convert_options=types)
        elif path.suffix in (".jsonl", ".ndjson"):
            batches = pyarrow.json.read_json(path).to_batches(BATCH_ROWS)
        else:
            raise TableError(f"{path}: unknown format {path.suffix!r}, expected one of {', '.join(FORMATS)}")
        for batch in batches:
            _require_columns(path, required, batch.schema.names)
            yield batch
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise TableError(f"{path}: cannot be read as {path.suffix[1:]}: {error}") from None


def _text_columns(names: Mapping[str, str], spec: InputSpec) -> list[str]:
    return [names[field] for field, declared in spec.fields.items() if declared.type == "string"]


def _require_columns(path: Path, required: list[str], found: list[str]) -> None:
    missing = [name for name in required if name not in found]
    if missing:
        raise TableError(
            f"{path}: no column {', '.join(map(repr, missing))}; the file has {', '.join(found)}. "
            f"A column of another name is given as --column FIELD=NAME"
        )


def _typed(
    path: Path, batch: pa.RecordBatch, names: Mapping[str, str], spec: InputSpec, extra: str | None
) -> pa.RecordBatch:
    columns = {}
    for field, name in names.items():
        declared = spec.fields[field]
        if name not in batch.schema.names:
            columns[field] = pa.nulls(batch.num_rows, _arrow_type(declared, pa.int64()))
            continue
        column = batch.column(name)
        try:
            columns[field] = _cast(column, declared)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise TableError(f"{path}: column {name!r} is {column.type}, expected {declared.type}: {error}") from None
    if extra is not None:
        columns[extra] = batch.column(extra)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


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


def write_table(path: Path, batches: Iterable[pa.RecordBatch]) -> None:
    """Write batches as Parquet or JSON lines, by the name's ending. The file appears when it is complete."""
    part = path.with_name(path.name + ".part")
    if path.suffix not in (".parquet", ".jsonl", ".ndjson"):
        raise TableError(f"{path}: unknown format {path.suffix!r}, expected .parquet or .jsonl")
    try:
        if path.suffix == ".parquet":
            _write_parquet(part, batches)
        else:
            with part.open("wb") as file:
                for batch in batches:
                    file.write(json_lines(batch))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def json_lines(batch: pa.RecordBatch) -> bytes:
    """A batch as JSON objects, one a line; times are ms since the epoch."""
    return b"".join(value + b"\n" for value in json_values(batch))


def json_values(batch: pa.RecordBatch) -> list[bytes]:
    """A batch as JSON objects; times are ms since the epoch, nulls are left out."""
    plain = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in batch.columns]
    rows = pa.RecordBatch.from_arrays(plain, names=batch.schema.names).to_pylist()
    if any(column.null_count for column in plain):
        rows = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return [msgspec.json.encode(row) for row in rows]


def _write_parquet(path: Path, batches: Iterable[pa.RecordBatch]) -> None:
    writer = None
    try:
        for batch in batches:
            writer = writer or pq.ParquetWriter(path, batch.schema)
            writer.write_batch(batch)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise TableError(f"{path.name.removesuffix('.part')}: there was not one event to write")
