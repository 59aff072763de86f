"""A recurrent model in the flow: every score is that of the card's whole history, live and replayed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from tests.recurrent_models import NAME, fraud_models, random_weights, told_apart
from tests.traffic import configured, decisions, run_until, send, transaction_records

TABLE = simulated_table(Population(customers=30, terminals=40, terminals_near=10, seed=3), 20, 1_577_836_800_000)
RECORDS = transaction_records(TABLE)
CARDS = {str(row["transaction_id"]): row["customer_id"] for row in TABLE.to_pylist()}
WEIGHTS = random_weights(15, 8)


@pytest.mark.parametrize(
    ("partitions", "more"),
    [
        (1, ()),
        (3, ("engine.buckets=[1,64]",)),
        (3, ("pipeline.mode=replay",)),
    ],
)
def test_every_score_is_that_of_the_whole_history(
    embedded: Callable[[dict[str, int]], str], tmp_path: Path, partitions: int, more: tuple[str, ...]
) -> None:
    bootstrap = embedded({"transactions": partitions, "labels": 1, "decisions": 1, "dead-letters": 1, "metrics": 1})
    send(bootstrap, "transactions", RECORDS, partitions)
    given = (f"models.folder={tmp_path}", f"tiers.primary.model={NAME}", "publish.features=true")
    config = configured(bootstrap, *given, *more)
    fraud_models(tmp_path, tuple(config.features), WEIGHTS)
    summary = run_until(config, len(RECORDS))
    counts = summary.totals.counts
    assert summary.totals.outcomes["scored"] == counts["model_state_taken/primary"] == len(RECORDS)
    assert counts["model_state_disordered/primary"] == counts["model_state_missed/primary"] == 0
    found = decisions(bootstrap, "decisions", len(RECORDS))
    assert len(found) == len(RECORDS)
    assert told_apart(WEIGHTS, found, CARDS) < 1e-5


def test_what_expires_is_missed_and_leaves_no_trace(
    embedded: Callable[[dict[str, int]], str], tmp_path: Path
) -> None:
    bootstrap = embedded({"transactions": 1, "labels": 1, "decisions": 1, "dead-letters": 1, "metrics": 1})
    send(bootstrap, "transactions", RECORDS[:200], 1)
    more = (f"models.folder={tmp_path}", f"tiers.primary.model={NAME}", "pipeline.budget_ms=1")
    config = configured(bootstrap, *more)
    fraud_models(tmp_path, tuple(config.features), WEIGHTS)
    totals = run_until(config, 200).totals
    taken, missed = (totals.counts[f"model_state_{what}/primary"] for what in ("taken", "missed"))
    assert (taken, missed) == (totals.outcomes["scored"], 200 - totals.outcomes["scored"])
    assert missed > 0
