"""Labelled events as rows to learn from or to measure on, their features made by the stream's own kernels."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.backfill import backfill
from features.catalog import Catalog
from models.manifest import ModelError
from models.train.evaluate import Split

MS_PER_DAY = 86_400_000
REPORT_DELAY_MS = 7 * MS_PER_DAY


@dataclass(frozen=True)
class Examples:
    """Rows to learn from: float32[rows, features] and what is known of each row."""

    names: tuple[str, ...]
    rows: NDArray[np.float32]
    day: NDArray[np.int64]
    customer: NDArray[np.int64]
    fraud: NDArray[np.bool_]


def labels_of(table: pa.Table) -> pa.Table:
    """The labels that a file's frauds give rise to, reported a week after each."""
    frauds = table.filter(table["fraud"])
    event_time = frauds["event_time"].cast(pa.timestamp("ms", tz="UTC"), safe=False).cast(pa.int64())
    return pa.table(
        {
            "transaction_id": frauds["transaction_id"],
            "event_time": event_time,
            "terminal_id": frauds["terminal_id"],
            "customer_id": frauds["customer_id"],
            "fraud": frauds["fraud"],
            "reported_at": pc.add(event_time, REPORT_DELAY_MS),
        }
    )


def examples_of(catalog: Catalog, table: pa.Table, progress: Callable[[int], None] = lambda rows: None) -> Examples:
    """Features of a file of transactions with a `fraud` column, in time order, by the stream's kernels."""
    for name in ("fraud", "customer_id", "event_time"):
        if name not in table.column_names:
            raise ModelError(f"{name}: no such column to train from; there are {', '.join(table.column_names)}")
    names = tuple(catalog.features)
    parts: list[NDArray[np.float32]] = []
    done = 0
    batches: Iterable[pa.RecordBatch] = backfill(
        catalog, {catalog.deciding_input: table.to_batches(), "labels": labels_of(table).to_batches()}
    )
    for batch in batches:
        columns = [batch.column(batch.schema.get_field_index(name)).to_numpy() for name in names]
        parts.append(np.stack(columns, axis=1).astype(np.float32))
        done += batch.num_rows
        progress(done)
    times = table["event_time"].cast(pa.timestamp("ms", tz="UTC"), safe=False).cast(pa.int64()).to_numpy()
    days = times // MS_PER_DAY
    return Examples(
        names,
        np.concatenate(parts),
        (days - days[0]).astype(np.int64),
        table["customer_id"].to_numpy().astype(np.int64),
        np.asarray(table["fraud"].to_numpy(zero_copy_only=False), np.bool_),
    )


def check_split(examples: Examples, split: Split, chosen: NDArray[np.bool_], tested: NDArray[np.bool_]) -> int:
    """The frauds to learn from. Raises ModelError when they, or those to test on, do not suffice."""
    frauds, test_frauds = int(examples.fraud[chosen].sum()), int(examples.fraud[tested].sum())
    if frauds < 10 or test_frauds < 10:
        raise ModelError(
            f"days {split.train_from} to {split.test_from + split.test_days} of the file hold {frauds} frauds to "
            f"train on and {test_frauds} to test on, expected at least 10 each; it has {examples.day[-1] + 1} days"
        )
    return frauds
