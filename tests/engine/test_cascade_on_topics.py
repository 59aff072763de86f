"""A cascade over Kafka: who answers, what it says of it, and that both models' scores are what they are alone."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from models.cascade import Thresholds
from pipeline import service
from pipeline.recorded import decisions_of
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from pipeline.tier import Tier
from pipeline.tiers import open_tiers
from tests.traffic import configured, decisions, run_until, send, transaction_records

POPULATION = Population(customers=60, terminals=40, terminals_near=10, seed=3)
START_MS = 1_577_836_800_000
TOPICS = {"transactions": 1, "labels": 1, "decisions": 2, "dead-letters": 1, "metrics": 1}
BELOW, ABOVE = 0.001, 0.5
CASCADE = ("cascade.first=lite", f"cascade.sure_below={BELOW}", f"cascade.sure_above={ABOVE}")
SCORE_TOLERANCE = 1e-5


def alone(config, table, model):
    """Each event's score by one model, backfilled."""
    own = configured("nowhere:1", f"tiers.primary.model={model}")
    return {
        str(row["id"]): row["score"]
        for batch in decisions_of(own, {"transactions": table.to_batches()})
        for row in batch.to_pylist()
    }


@pytest.mark.parametrize(
    "more", [("engine.session=inline",), ("engine.session=thread", "engine.sessions=2"), ("pipeline.mode=replay",)]
)
def test_sure_rows_have_the_first_models_answer_and_all_others_the_bests(
    embedded: Callable[[dict[str, int]], str], more: tuple[str, ...]
) -> None:
    table = simulated_table(POPULATION, 40, START_MS)
    bootstrap = embedded(TOPICS)
    send(bootstrap, "transactions", transaction_records(table))
    config = configured(bootstrap, *CASCADE, "cascade.audit_share=0.0", *more)
    summary = run_until(config, table.num_rows + (1 if more[0].endswith("replay") else 0))
    found = {row["id"]: row for row in decisions(bootstrap, "decisions", table.num_rows)}
    lite, best = alone(config, table, "fraud-lite"), alone(config, table, "fraud-gbt")
    unsure = dict(zip(lite, Thresholds(BELOW, ABOVE).unsure(np.array(list(lite.values()))), strict=True))
    assert 50 < sum(unsure.values()) < table.num_rows - 50
    assert found.keys() == lite.keys()
    for name, row in found.items():
        assert (row["outcome"], row["tier"]) == ("scored", "primary")
        assert row["model"] == ("fraud-gbt" if unsure[name] else "fraud-lite")
        expected = best if unsure[name] else lite
        assert row["score"] == pytest.approx(expected[name], abs=SCORE_TOLERANCE)
    counts, passed = summary.totals.counts, sum(unsure.values())
    for batch in decisions_of(config, {"transactions": table.to_batches()}):
        for row in batch.to_pylist():
            live = found[str(row["id"])]
            assert live["score"] == pytest.approx(row["score"], abs=SCORE_TOLERANCE)
            assert live["decision"] == row["decision"]
    assert summary.totals.outcomes["scored"] == table.num_rows
    assert (counts["cascade_rows/sure"], counts["cascade_rows/passed"]) == (table.num_rows - passed, passed)
    assert counts["cascade_rows/kept"] == 0
    assert summary.totals.tiers == {"primary": table.num_rows, "lite": 0, "rule": 0}


def test_unsure_rows_keep_the_first_score_when_the_best_tier_is_too_slow(
    embedded: Callable[[dict[str, int]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = simulated_table(POPULATION, 10, START_MS)
    bootstrap = embedded(TOPICS)
    send(bootstrap, "transactions", transaction_records(table))
    config = configured(bootstrap, *CASCADE, "cascade.audit_share=1.0")

    def slow(*args: object) -> list[Tier]:
        """The best tier promises more than any row has time for; it is only tried now and then."""
        tiers = open_tiers(*args)
        for bucket in tiers[0].cost.buckets:
            tiers[0].cost.seed(bucket, [10**15] * 20)
        return tiers

    monkeypatch.setattr(service, "open_tiers", slow)
    summary = run_until(config, table.num_rows)
    found = decisions(bootstrap, "decisions", table.num_rows)
    ended = Counter((row["outcome"], row["tier"], row["model"]) for row in found)
    assert len(found) == table.num_rows
    assert ended["degraded", "lite", "fraud-lite"] > 10
    assert ended["scored", "primary", "fraud-lite"] > 10
    assert set(ended) <= {
        ("degraded", "lite", "fraud-lite"),
        ("scored", "primary", "fraud-lite"),
        ("scored", "primary", "fraud-gbt"),
    }
    assert summary.totals.counts["cascade_rows/kept"] == ended["degraded", "lite", "fraud-lite"]
    assert summary.totals.outcomes["degraded"] == ended["degraded", "lite", "fraud-lite"]


def test_sure_rows_that_are_audited_have_the_bests_answer_and_are_compared(
    embedded: Callable[[dict[str, int]], str],
) -> None:
    table = simulated_table(POPULATION, 20, START_MS)
    bootstrap = embedded(TOPICS)
    send(bootstrap, "transactions", transaction_records(table))
    wide = ("cascade.audit_share=0.25", "cascade.sure_below=0.02")
    config = configured(bootstrap, *CASCADE, *wide, "decide.thresholds=[0.002,0.8]")
    summary = run_until(config, table.num_rows)
    found = decisions(bootstrap, "decisions", table.num_rows)
    lite, best = alone(config, table, "fraud-lite"), alone(config, table, "fraud-gbt")
    unsure = Thresholds(0.02, ABOVE).unsure(np.array([lite[row["id"]] for row in found]))
    audited = [row for row, on in zip(found, unsure, strict=True) if not on and row["model"] == "fraud-gbt"]
    sure = table.num_rows - int(unsure.sum())
    assert 0.2 * sure < len(audited) < 0.3 * sure
    levels = np.array([0.002, 0.8], np.float32)

    def decided(score):
        return int(np.searchsorted(levels, np.float32(score), side="right"))

    otherwise = sum(decided(lite[row["id"]]) != decided(best[row["id"]]) for row in audited)
    counts = summary.totals.counts
    assert counts["cascade_audited/otherwise"] == otherwise > 0
    assert counts["cascade_audited/same"] == len(audited) - otherwise
