"""A file's features are the stream's: in the order things came to be known, whatever the batches."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from features.backfill import BATCH_ROWS, backfill
from features.catalog import Catalog
from features.columns import Columns
from features.memory_bound import StateFullError
from features.schema import NUMBER
from features.state import FeatureSet

FIELDS = {
    "id": {"type": "id"},
    "at": {"type": "time"},
    "customer": {"type": "id"},
    "terminal": {"type": "id"},
    "amount": {"type": "decimal", "decimals": 2},
}
LABEL_FIELDS = {
    "id": {"type": "id"},
    "at": {"type": "time"},
    "terminal": {"type": "id"},
    "fraud": {"type": "bool"},
    "known": {"type": "time"},
}
EVENTS = {"topic": "e", "role": "decide", "id": "id", "key": "customer", "event_time": "at", "fields": FIELDS}
LABELS = {"role": "state", "id": "id", "key": "id", "event_time": "at", "known_time": "known", "fields": LABEL_FIELDS}
WINDOWS = {
    "double": {"expression": "amount * 2"},
    "count": {"entity": "customer", "aggregate": "count", "span": "10ms"},
    "sum": {"entity": "customer", "aggregate": "sum", "field": "amount", "span": "1s"},
    "risk": {"entity": "terminal", "aggregate": "risk", "span": "1s", "delay": "5ms"},
}


def catalog(labels_topic: str = "l") -> Catalog:
    return Catalog.model_validate(
        {
            "inputs": {"events": EVENTS, "labels": {**LABELS, "topic": labels_topic}},
            "entities": {
                "customer": {"key": "customer"},
                "terminal": {"key": "terminal", "labels": {"input": "labels", "field": "fraud"}},
            },
            "features": WINDOWS,
        }
    )


def events(at_ms: list[int], customer: list[int]) -> pa.Table:
    rows = len(at_ms)
    columns = {"id": list(range(rows)), "at": at_ms, "customer": customer, "terminal": [0] * rows}
    return pa.table(columns | {"amount": [0.1] * rows})


def features_of(labels_topic: str, **tables: pa.Table) -> pa.Table:
    given: dict[str, Any] = {name: table.to_batches() for name, table in tables.items()}
    return pa.Table.from_batches(backfill(catalog(labels_topic), given))


def test_rows_come_in_the_files_order_with_id_and_time() -> None:
    found = features_of("l", events=events([5, 1, 30, 31], [1, 1, 1, 2]))
    assert found.column_names == ["id", "at", *WINDOWS]
    assert found["id"].to_pylist() == [0, 1, 2, 3]
    assert found["at"].to_pylist() == [5, 1, 30, 31]
    assert found["double"].to_pylist() == [0.2] * 4
    # The second is older than the first and comes after it: late, so it finds itself alone and is not kept.
    assert found["count"].to_pylist() == [1, 1, 1, 1]
    assert found["sum"].to_pylist() == [0.1, 0.1, 0.2, 0.1]
    assert found["risk"].to_pylist() == [0] * 4


@pytest.mark.parametrize(("topic", "seen_at"), [("d", 20), ("l", 21)])
def test_a_label_counts_from_when_it_is_known_ties_going_by_topic(topic: str, seen_at: int) -> None:
    labels = pa.table({"id": [0], "at": [10], "terminal": [0], "fraud": [True], "known": [20]})
    at_ms = list(range(10, 25))
    found = features_of(topic, events=events(at_ms, [1] * len(at_ms)), labels=labels)
    risky = [at for at, risk in zip(at_ms, found["risk"].to_pylist(), strict=True) if risk]
    assert risky == list(range(seen_at, 25))


def test_the_cut_of_the_batches_changes_no_bit_and_the_stream_gives_the_same() -> None:
    rows = BATCH_ROWS + 1000
    draw = np.random.default_rng(1)
    table = events(np.cumsum(draw.integers(0, 3, rows)).tolist(), draw.integers(0, 20, rows).tolist())
    whole = features_of("l", events=table)
    cut = pa.Table.from_batches(backfill(catalog(), {"events": table.to_batches(max_chunksize=777)}))
    assert whole.num_rows == rows
    assert cut.combine_chunks() == whole.combine_chunks()
    assert np.array_equal(streamed(table), np.stack([whole[name].to_numpy() for name in WINDOWS], axis=1))


def streamed(table: pa.Table) -> np.ndarray:
    """The table's features as a stream computes them, a few hundred events at a time."""
    features, rows = FeatureSet(catalog()), table.num_rows
    columns = Columns(features.catalog.decided.schema_, rows)
    columns.length[:] = NUMBER
    for name in ("id", "at", "customer", "terminal"):
        columns.value[columns.schema.index(name)] = table[name].to_numpy()
    columns.value[columns.schema.index("amount")] = 10
    out, state = np.full((rows, len(features.names)), np.nan), features.new_state()
    for first in range(0, rows, 300):
        some = np.arange(first, min(first + 300, rows), dtype=np.int32)
        state.apply("events", columns, some, np.zeros_like(some), some.astype(np.int64), out64=out)
    return out


def test_the_bound_of_memory_is_an_error_that_names_the_entity() -> None:
    table = events(list(range(BATCH_ROWS)), list(range(BATCH_ROWS)))
    with pytest.raises(StateFullError, match="entity 'customer': its state has reached the bound"):
        list(backfill(catalog(), {"events": table.to_batches()}, memory_bytes_max=2 << 20))
