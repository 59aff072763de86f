"""Files' columns as the kernels' columns: each type, nulls, slices, and what does not fit."""

import ctypes
import re
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from features.arrow import FileFieldError, fill_columns, sized
from features.columns import Columns
from features.schema import NULL, NUMBER, Schema

FIELDS: dict[str, dict[str, Any]] = {
    "id": {"type": "id"},
    "at": {"type": "time"},
    "n": {"type": "int"},
    "weight": {"type": "float"},
    "amount": {"type": "decimal", "decimals": 2},
    "flag": {"type": "bool"},
    "name": {"type": "string", "required": False},
}
AT = datetime(2026, 11, 21, 13, 45, 1, 999_999, tzinfo=UTC)
AT_MS = 1_795_268_701_999
GOOD = {
    "id": pa.array(["a", "", "é"]),
    "at": pa.array([AT, AT, AT], pa.timestamp("us", "UTC")),
    "n": pa.array([1, -2, 3], pa.int16()),
    "weight": pa.array([0.5, -1.5, 2.0], pa.float32()),
    "amount": pa.array([0.125, 0.375, -12.34]),
    "flag": pa.array([True, False, True]),
    "name": pa.array(["x", None, "long name"]),
}


def filled(**changes: Any) -> Columns:
    return filled_of(pa.RecordBatch.from_pydict({k: v for k, v in (GOOD | changes).items() if v is not None}))


def filled_of(batch: pa.RecordBatch) -> Columns:
    columns = Columns(Schema.model_validate({"fields": FIELDS}), 4)
    fill_columns(columns, batch)
    return columns


def texts(columns: Columns, name: str, rows: int = 3) -> list[bytes | None]:
    index = columns.schema.index(name)
    found = zip(columns.value[index, :rows].tolist(), columns.length[index, :rows].tolist(), strict=True)
    return [None if length == NULL else ctypes.string_at(address, length) for address, length in found]


def numbers(columns: Columns, name: str, rows: int = 3) -> list[int]:
    index = columns.schema.index(name)
    assert columns.length[index, :rows].tolist() == [NUMBER] * rows
    return columns.value[index, :rows].tolist()  # type: ignore[no-any-return]


def test_each_type_is_as_the_schema_says() -> None:
    columns = filled()
    assert texts(columns, "id") == [b"a", b"", "é".encode()]
    assert texts(columns, "name") == [b"x", None, b"long name"]
    assert numbers(columns, "at") == [AT_MS] * 3
    assert numbers(columns, "n") == [1, -2, 3]
    assert columns.floats[columns.schema.index("weight"), :3].tolist() == [0.5, -1.5, 2.0]
    assert numbers(columns, "amount") == [12, 38, -1234]
    assert numbers(columns, "flag") == [1, 0, 1]
    assert (columns.length[:, 3] == NULL).all(), "wrote beyond the batch"


def test_other_forms_of_the_same_are_taken_too() -> None:
    columns = filled(
        id=pa.array([7, 8, -(2**63)]),
        at=pa.array([AT_MS, 0, -1]),
        name=pa.array(["x", None, "é"], pa.large_string()),
        amount=pa.array([1, 2, 3]),
    )
    assert numbers(columns, "id") == [7, 8, -(2**63)]
    assert numbers(columns, "at") == [AT_MS, 0, -1]
    assert texts(columns, "name") == [b"x", None, "é".encode()]
    assert numbers(columns, "amount") == [100, 200, 300]


def test_a_slice_is_its_own_rows() -> None:
    columns = filled_of(pa.RecordBatch.from_pydict(GOOD).slice(1, 2))
    assert texts(columns, "id", 2) == [b"", "é".encode()]
    assert texts(columns, "name", 2) == [None, b"long name"]
    assert numbers(columns, "n", 2) == [-2, 3]


def test_an_optional_column_may_be_missing() -> None:
    assert texts(filled(name=None), "name") == [None] * 3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"n": None}, "n: no such column; there are id, at, weight, amount, flag, name"),
        ({"n": pa.array([1, None, 3])}, "n: 1 nulls, expected a value in every row"),
        ({"n": pa.array([1.5, 2.0, 3.0])}, "n: found double, expected a column of type int"),
        ({"n": pa.array(["1", "2", "3"])}, "n: found string, expected a column of type int"),
        ({"id": pa.array([1.0, 2.0, 3.0])}, "id: found double, expected a column of type id"),
        ({"name": pa.array([1, 2, 3])}, "name: found int64, expected a column of type string"),
        ({"at": pa.array([[1], [2], [3]])}, "at: found list<"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(FileFieldError, match="^" + re.escape(told)):
        filled(**changes)


def test_batches_are_cut_and_empty_ones_left_out() -> None:
    batches = [pa.RecordBatch.from_pydict({"n": list(range(rows))}) for rows in (5, 0, 2, 4)]
    cut = [batch.column(0).to_pylist() for batch in sized(batches, 2)]
    assert cut == [[0, 1], [2, 3], [4], [0, 1], [0, 1], [2, 3]]
