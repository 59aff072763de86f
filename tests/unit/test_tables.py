"""Files as events: the same events whatever the format, and what is said of a file that does not fit."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from features.catalog import InputSpec
from pipeline.config.load import load
from pipeline.tables import TableError, derived_labels, json_values, read_events, write_table

CONFIG = load("fraud", environ={}).config
SPEC = CONFIG.catalog.decided
ROWS = pa.table(
    {
        "transaction_id": [1, 2, 3],
        "event_time": pa.array([0, 1500, 86_400_000], pa.timestamp("ms", "UTC")),
        "customer_id": ["a", "b", "a"],
        "terminal_id": pa.array([7, 8, 7], pa.int32()),
        "amount": [1.5, 2.25, 3.0],
        "fraud": [False, True, True],
    }
)


def written(folder: Path, form: str) -> Path:
    path = folder / f"events.{form}"
    times = ["1970-01-01T00:00:00Z", "1970-01-01T01:00:01.500+01:00", "1970-01-02T00:00:00Z"]
    if form == "parquet":
        pq.write_table(ROWS, path)
    elif form == "csv":
        pyarrow.csv.write_csv(ROWS.set_column(1, "event_time", pa.array(times)), path)
    else:
        milliseconds = ROWS.set_column(1, "event_time", ROWS["event_time"].cast(pa.int64()))
        path.write_text("\n".join(json.dumps(row) for row in milliseconds.to_pylist()))
    return path


def events(path: Path, spec: InputSpec = SPEC, **renamed: str) -> pa.Table:
    return pa.Table.from_batches(read_events(path, spec, renamed))


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_every_format_gives_the_same_events(form: str, tmp_path: Path) -> None:
    found = events(written(tmp_path, form))
    assert found.column_names == list(SPEC.fields)
    assert found["event_time"].cast(pa.int64()).to_pylist() == [0, 1500, 86_400_000]
    assert found["terminal_id"].type == pa.int64()
    assert found["customer_id"].to_pylist() == ["a", "b", "a"]
    assert found["amount"].to_pylist() == [1.5, 2.25, 3.0]


def test_a_column_may_have_another_name(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    pq.write_table(
        ROWS.rename_columns(["transaction_id", "event_time", "customer_id", "terminal_id", "x", "y"]), path
    )
    with pytest.raises(TableError, match=r"events\.parquet: no column 'amount'; the file has .*--column FIELD=NAME"):
        events(path)
    assert events(path, amount="x")["amount"].to_pylist() == [1.5, 2.25, 3.0]


def test_a_column_of_another_type_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    pq.write_table(ROWS.set_column(4, "amount", pa.array(["much", "more", "most"])), path)
    with pytest.raises(TableError, match="column 'amount' is string, expected decimal"):
        events(path)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("events.parquet", b"PAR1 no", "cannot be read as parquet"),
        ("events.jsonl", b"{", "cannot be read as jsonl"),
        ("events.xls", b"", "unknown format '.xls', expected one of .parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match=told):
        events(tmp_path / name)


def test_labels_are_derived_from_hits_and_known_later(tmp_path: Path) -> None:
    batches = read_events(written(tmp_path, "parquet"), SPEC, extra="fraud")
    labels = CONFIG.inputs["labels"]
    found = pa.Table.from_batches(derived_labels(batches, SPEC, labels, "fraud", "fraud", 1000))
    assert found.column_names == list(labels.fields)
    assert found["transaction_id"].to_pylist() == [2, 3]
    assert found["fraud"].to_pylist() == [True, True]
    assert found["reported_at"].cast(pa.int64()).to_pylist() == [2500, 86_401_000]


def test_what_is_written_is_read_again_and_appears_only_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write_table(path, read_events(written(tmp_path, "parquet"), SPEC))
    assert events(path).equals(events(written(tmp_path, "parquet")))

    def breaks_off() -> object:
        yield from read_events(written(tmp_path, "parquet"), SPEC)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        write_table(tmp_path / "half.parquet", breaks_off())  # type: ignore[arg-type]
    assert not list(tmp_path.glob("half*"))


def test_nulls_are_left_out_of_json() -> None:
    batch = pa.RecordBatch.from_pydict({"a": [1, None], "b": pa.array([5, 6], pa.timestamp("ms", "UTC"))})
    assert [json.loads(value) for value in json_values(batch)] == [{"a": 1, "b": 5}, {"b": 6}]
