"""Law 5: a feature has the same float64 bits backfilled, and replayed whatever the partitions are."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from features.backfill import backfill
from models.train.examples import labels_of
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from tests.traffic import configured, decisions, label_records, run_until, send, transaction_records

POPULATION = Population(customers=60, terminals=40, terminals_near=10, seed=3)
START_MS = 1_577_836_800_000


def backfilled(table: pa.Table, config: object) -> dict[str, dict[str, float]]:
    catalog = config.catalog  # type: ignore[attr-defined]
    batches = {"transactions": table.to_batches(), "labels": labels_of(table).to_batches()}
    rows = pa.Table.from_batches(backfill(catalog, batches)).to_pylist()
    names = tuple(catalog.features)
    return {str(row["transaction_id"]): {name: row[name] for name in names} for row in rows}


@pytest.mark.parametrize(("partitions", "more"), [(1, ()), (4, ()), (4, ("entities.customer.panes=60",))])
def test_replayed_features_are_the_backfilled_ones(
    embedded: Callable[[dict[str, int]], str], partitions: int, more: tuple[str, ...]
) -> None:
    table = simulated_table(POPULATION, 45, START_MS)
    bootstrap = embedded({"transactions": partitions, "labels": 2, "decisions": 2, "dead-letters": 1, "metrics": 1})
    send(bootstrap, "transactions", transaction_records(table), partitions)
    labels = labels_of(table)
    send(bootstrap, "labels", label_records(labels))
    config = configured(bootstrap, "pipeline.mode=replay", "publish.features=true", *more)
    summary = run_until(config, table.num_rows + labels.num_rows + 1)
    assert summary.totals.outcomes["scored"] == table.num_rows
    assert summary.totals.outcomes["absorbed"] == labels.num_rows > 0
    expected = backfilled(table, config)
    got = {row["id"]: row["features"] for row in decisions(bootstrap, "decisions", table.num_rows)}
    assert got.keys() == expected.keys()
    for name in config.features:
        left = np.array([got[key][name] for key in expected])
        right = np.array([row[name] for row in expected.values()])
        assert np.array_equal(left, right), name
    assert max(row["terminal_risk_30d"] for row in expected.values()) > 0
