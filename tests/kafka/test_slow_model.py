"""A model that is the bottleneck: a backlog costs no rebalance, overload leaves nothing unanswered."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pipeline.service
from bench._slow_model import NAME, write_slow_model
from pipeline.assembly import Assembly
from pipeline.config.model import PipelineConfig
from pipeline.config.sections import ModelsSection, TierSection
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from tests.kafka.test_pipeline_on_kafka import prepared
from tests.traffic import decisions, run_until, send, transaction_records

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
POPULATION = Population(customers=400, terminals=80, terminals_near=10, seed=5)
START_MS = 1_577_836_800_000


def slow(config: PipelineConfig, folder: Path, *, rule: str = "") -> PipelineConfig:
    """The same pipeline with a model that costs much more than all else, and a rule below it if there is one."""
    write_slow_model(folder / "models", tuple(config.features))
    tiers = (TierSection(name="primary", model=NAME), *((TierSection(name="rule", rule=rule),) if rule else ()))
    return config.model_copy(update={"models": ModelsSection(folder=str(folder / "models")), "tiers": tiers})


def test_a_backlog_behind_a_slow_model_is_held_and_costs_no_rebalance(
    kafka_bootstrap: str, topic_suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = simulated_table(POPULATION, 8, START_MS).slice(0, 2500)
    small = ("engine.rows_max=256", "engine.poll_rows_max=64", "engine.buckets=[1, 64]", "engine.session=thread")
    patience = ("kafka.consumer.max.poll.interval.ms=6000", "kafka.consumer.session.timeout.ms=6000")
    config = slow(prepared(kafka_bootstrap, topic_suffix, *small, *patience), tmp_path)
    send(kafka_bootstrap, f"transactions-{topic_suffix}", transaction_records(table))
    made: list[Assembly] = []

    class Kept(Assembly):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(pipeline.service, "Assembly", Kept)
    summary = run_until(config, table.num_rows)
    assert summary.drained
    assert summary.totals.outcomes["scored"] == table.num_rows
    assert summary.totals.counts["held"] > 0
    assert made[0].group.epoch == 1  # type: ignore[attr-defined]


def test_under_overload_every_event_is_answered_and_the_most_valuable_by_the_model(
    kafka_bootstrap: str, topic_suffix: str, tmp_path: Path
) -> None:
    table = simulated_table(POPULATION, 40, START_MS).slice(0, 12_000)
    config = prepared(kafka_bootstrap, topic_suffix, "pipeline.budget_ms=15000", "engine.session=thread")
    config = slow(config, tmp_path, rule="min(1, amount / 500)")
    send(kafka_bootstrap, f"transactions-{topic_suffix}", transaction_records(table))
    summary = run_until(config, table.num_rows)
    assert summary.drained
    assert sum(summary.totals.outcomes.values()) == table.num_rows
    found = {row["id"]: row for row in decisions(kafka_bootstrap, config.topics.decisions, table.num_rows)}
    assert len(found) == table.num_rows
    amounts = np.array(table["amount"].to_pylist(), np.float64)
    by_tier = {
        tier: [amounts[int(number)] for number, row in found.items() if row["tier"] == tier]
        for tier in ("primary", "rule")
    }
    assert by_tier["primary"]
    if by_tier["rule"]:
        assert np.median(by_tier["primary"]) > np.median(by_tier["rule"])
