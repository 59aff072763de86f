"""The shipped features equal the Handbook's definitions, recomputed without any kernel of ours."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.backfill import backfill
from models.train.examples import labels_of
from pipeline.config.load import load

ROWS = 400_000
DELAY = "7d"
SPANS = (1, 7, 30)


def windows(events: pl.DataFrame, key: str, span_days: int, delay_days: int) -> pl.DataFrame:
    """Count, mean amount and risk over (t - delay - span, t - delay] of each key, for each event, by a join.

    Rows of the same key and the same second see those before them in the file, and themselves.
    """
    keyed = events.sort([key, "ms", "row"]).with_columns(
        n=pl.int_range(1, pl.len() + 1).over(key),
        total=pl.col("cents").cum_sum().over(key),
        frauds=pl.col("fraud").cast(pl.Int64).cum_sum().over(key),
    )
    day_ms = 86_400_000
    seen = keyed.select(key, "ms", "n", "total", "frauds").sort("ms", maintain_order=True)

    def up_to(shift_days: int) -> pl.DataFrame:
        asked = keyed.select(key, "row", at=pl.col("ms") - shift_days * day_ms).sort("at", maintain_order=True)
        joined = asked.join_asof(
            seen, left_on="at", right_on="ms", by=key, strategy="backward", check_sortedness=False
        )
        return joined.sort("row").select(pl.col("n", "total", "frauds").fill_null(0))

    end = up_to(delay_days) if delay_days else keyed.sort("row").select("n", "total", "frauds")
    start = up_to(delay_days + span_days)
    return end - start


@pytest.mark.slow
def test_all_fifteen_inputs_equal_an_independent_recomputation(transactions_file: Path) -> None:
    table = pq.read_table(transactions_file).slice(0, ROWS)
    catalog = load("fraud", environ={}).config.catalog
    batches = {"transactions": table.to_batches(), "labels": labels_of(table).to_batches()}
    got = pl.from_arrow(pa.Table.from_batches(backfill(catalog, batches)))
    assert isinstance(got, pl.DataFrame)
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    assert got.height == frame.height == ROWS
    events = frame.with_columns(
        row=pl.int_range(pl.len()),
        ms=pl.col("event_time").dt.epoch("ms"),
        cents=(pl.col("amount") * 100).round().cast(pl.Int64),
    )
    expected = {
        "amount": frame["amount"],
        "weekend": (frame["event_time"].dt.weekday() >= 6).cast(pl.Float64),
        "night": (frame["event_time"].dt.hour() <= 6).cast(pl.Float64),
    }
    for days in SPANS:
        customer = windows(events, "customer_id", days, 0)
        expected[f"customer_count_{days}d"] = customer["n"].cast(pl.Float64)
        expected[f"customer_mean_{days}d"] = customer["total"] / 100 / customer["n"]
        terminal = windows(events, "terminal_id", days, 7)
        expected[f"terminal_count_{days}d"] = terminal["n"].cast(pl.Float64)
        expected[f"terminal_risk_{days}d"] = (terminal["frauds"] / terminal["n"]).fill_nan(0.0)
    assert set(expected) == set(catalog.features)
    for name, values in expected.items():
        apart = np.abs(got[name].to_numpy() - values.to_numpy())
        assert apart.max() <= 1e-9, f"{name}: {apart.max()} apart at row {apart.argmax()}"
    assert got["terminal_risk_30d"].max() > 0
