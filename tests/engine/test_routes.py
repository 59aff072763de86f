"""Routes over Kafka: another ladder for some events, with what it is asked for, and what that says of an answer."""

from collections.abc import Callable

import numpy as np
import pytest

from models.cascade import Thresholds
from pipeline.config.load import load
from pipeline.recorded import decisions_of
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from tests.traffic import assignments, decisions, run_until, send, transaction_records

POPULATION = Population(customers=60, terminals=40, terminals_near=10, seed=3)
START_MS = 1_577_836_800_000
TOPICS = {"transactions": 1, "labels": 1, "decisions": 2, "dead-letters": 1, "metrics": 1}
ROUTES = """
[[routes]]
name = "chosen"
field = "customer_id"
values = [3, 4, 5]
tiers = ["primary", "rule"]

[[routes]]
name = "small"
when = "amount < 20"
tiers = ["lite", "rule"]

[[routes]]
name = "busy"
when = "customer_count_1d > 4"
tiers = ["lite"]
"""
CASCADE = '\n[cascade]\nfirst = "lite"\nsure_below = 0.002\nsure_above = 0.5\naudit_share = 0.0\n'


def routed(tmp_path, bootstrap, more, *settings):
    path = tmp_path / "mine.toml"
    path.write_text(load("fraud", environ={}).source.read_text() + more)
    return load(str(path), environ={}, assignments=assignments(bootstrap, "publish.features=true", *settings)).config


@pytest.mark.parametrize("mode", ["live", "replay"])
@pytest.mark.parametrize("cascade", [False, True])
def test_each_event_is_answered_by_the_ladder_of_its_route(
    embedded: Callable[[dict[str, int]], str], tmp_path, mode: str, cascade: bool
) -> None:
    table = simulated_table(POPULATION, 20, START_MS)
    bootstrap = embedded(TOPICS)
    send(bootstrap, "transactions", transaction_records(table))
    config = routed(tmp_path, bootstrap, ROUTES + (CASCADE if cascade else ""), f"pipeline.mode={mode}")
    summary = run_until(config, table.num_rows + (mode == "replay"))
    found = {int(row["id"]): row for row in decisions(bootstrap, "decisions", table.num_rows)}
    lite = {
        int(row["id"]): row["score"]
        for batch in decisions_of(
            config.model_copy(update={"tiers": config.tiers[1:]}), {"transactions": table.to_batches()}
        )
        for row in batch.to_pylist()
    }
    took = {"chosen": 0, "small": 0, "busy": 0}
    for event in table.select(["transaction_id", "customer_id", "amount"]).to_pylist():
        row = found[event["transaction_id"]]
        unsure = bool(Thresholds(0.002, 0.5).unsure(np.array([lite[event["transaction_id"]]]))[0])
        if event["customer_id"] in (3, 4, 5):
            took["chosen"] += 1
            expected = ("primary", "fraud-gbt")
        elif event["amount"] < 20:
            took["small"] += 1
            expected = ("lite", "fraud-lite")
        elif row["features"]["customer_count_1d"] > 4:
            took["busy"] += 1
            expected = ("lite", "fraud-lite")
        else:
            expected = ("primary", "fraud-gbt" if unsure or not cascade else "fraud-lite")
        assert (row["outcome"], row["tier"], row["model"]) == ("scored", *expected)
    assert all(took.values())
    assert {name: summary.totals.counts[f"routed/{name}"] for name in took} == took


def test_what_a_routes_first_tier_cannot_serve_is_degraded_below_it(
    embedded: Callable[[dict[str, int]], str], tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline import service
    from pipeline.tiers import open_tiers

    def slow(*args):
        tiers = open_tiers(*args)
        for bucket in tiers[1].cost.buckets:
            tiers[1].cost.seed(bucket, [10**15] * 20)
        return tiers

    monkeypatch.setattr(service, "open_tiers", slow)
    table = simulated_table(POPULATION, 5, START_MS)
    bootstrap = embedded(TOPICS)
    send(bootstrap, "transactions", transaction_records(table))
    summary = run_until(routed(tmp_path, bootstrap, ROUTES), table.num_rows)
    rows = decisions(bootstrap, "decisions", table.num_rows)
    degraded = [row for row in rows if row["outcome"] == "degraded"]
    assert degraded
    assert {(row["tier"], row["model"]) for row in degraded} == {("rule", None)}
    assert len(degraded) == summary.totals.outcomes["degraded"]


def test_a_routes_budget_is_its_events_deadline(embedded: Callable[[dict[str, int]], str], tmp_path) -> None:
    table = simulated_table(POPULATION, 5, START_MS)
    bootstrap = embedded(TOPICS)
    send(bootstrap, "transactions", transaction_records(table))
    hurried = '\n[[routes]]\nname = "hurried"\nwhen = "amount < 20"\nbudget_ms = 1\n'
    run_until(routed(tmp_path, bootstrap, hurried), table.num_rows)
    found = {int(row["id"]): row for row in decisions(bootstrap, "decisions", table.num_rows)}
    for event in table.select(["transaction_id", "amount"]).to_pylist():
        outcome = found[event["transaction_id"]]["outcome"]
        assert outcome == ("expired" if event["amount"] < 20 else "scored")
