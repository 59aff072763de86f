"""Law 2 under overload: events that nobody could answer in time enter the windows all the same."""

import time
from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from pipeline.recorded import decisions_of
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from tests.traffic import configured, decisions, run_until, transaction_records

POPULATION = Population(customers=60, terminals=40, terminals_near=10, seed=3)
START_MS = 1_577_836_800_000
HOUR_MS = 3_600_000
SCORE_TOLERANCE = 1e-5


def test_after_an_outage_the_old_expire_and_the_fresh_are_scored_as_if_all_had_been(
    embedded: Callable[[dict[str, int]], str],
) -> None:
    table = simulated_table(POPULATION, 20, START_MS)
    fresh = table.num_rows // 2
    bootstrap = embedded({"transactions": 1, "labels": 1, "decisions": 2, "dead-letters": 1, "metrics": 1})
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    now_ms = time.time_ns() // 1_000_000
    for number, (key, value) in enumerate(transaction_records(table)):
        stamp_ms = now_ms - (0 if number >= fresh else HOUR_MS)
        producer.produce("transactions", value, key, timestamp=stamp_ms)
    assert producer.flush(30) == 0
    config = configured(bootstrap, "pipeline.budget_ms=600000")
    summary = run_until(config, table.num_rows)
    assert summary.drained
    assert summary.totals.outcomes["expired"] == fresh
    assert summary.totals.outcomes["scored"] == table.num_rows - fresh
    found = {row["id"]: row for row in decisions(bootstrap, "decisions", table.num_rows)}
    assert len(found) == table.num_rows
    expected = {
        str(row["id"]): row["score"]
        for batch in decisions_of(config, {"transactions": table.to_batches()})
        for row in batch.to_pylist()
    }
    for number in range(table.num_rows):
        row = found[str(number)]
        if number < fresh:
            assert (row["outcome"], row["score"], row["decision"]) == ("expired", None, "review")
        else:
            assert row["score"] == pytest.approx(expected[str(number)], abs=SCORE_TOLERANCE)
