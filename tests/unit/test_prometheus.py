"""What Prometheus is given: all of it documented, nothing that falls, nothing that grows without bound."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.clock import Instant
from pipeline.config.load import load
from pipeline.readings import health_of
from pipeline.telemetry.board import Board
from pipeline.telemetry.counters import COUNTERS
from pipeline.telemetry.gauges import GAUGES
from pipeline.telemetry.health import Phase, Vitals
from pipeline.telemetry.meter import HISTOGRAMS
from pipeline.telemetry.prometheus import OURS, ModelFacts, PipelineCollector
from pipeline.wire.metrics import MetricsRecord, merged

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
CONFIG = load("fraud", environ={}).config
NOW = Instant(5_000_000_000, 1_700_000_005_000)
RECORD = MetricsRecord(
    pipeline="fraud",
    instance="here",
    from_ms=1_700_000_004_000,
    to_ms=1_700_000_005_000,
    outcomes={"scored": 6, "degraded": 1, "expired": 1, "dead_letter": 2, "absorbed": 4},
    delivered=10,
    dead_letters=2,
    dead_letter_codes={"wrong-type": 2},
    deadline_misses=2,
    late=1,
    lag={"transactions/3": 7},
    batch_rows={1: 2, 8: 1},
    tiers={"primary": 6, "lite": 1},
    in_time={"primary": 5, "lite": 1},
    overdue={"primary": 1},
    histograms={name: {127: 3} for name in HISTOGRAMS},
    counts={
        **dict.fromkeys(("read", "disordered", "key_disagreements", "unreadable_deadlines", "not_finite"), 1),
        **dict.fromkeys(("model_state_taken/primary", "model_state_missed/primary"), 1),
        **dict.fromkeys(("outcomes_missed", "reused_same", "reused_like", "held", "undeliverable"), 1),
        **dict.fromkeys(("transactions", "aborted", "commit_us", "checkpoints", "checkpoints_failed"), 1),
        **dict.fromkeys(("checkpoint_bytes", "restored_keys", "rebuilt", "runs", "promises_broken"), 1),
        **dict.fromkeys(("traces", "traceparents_invalid", "tracestates_dropped", "spans", "spans_dropped"), 1),
        **dict.fromkeys(("reasons", "reasons_skipped", "reasons_us"), 1),
        **dict.fromkeys(("cascade_rows/sure", "cascade_audited/same", "cascade_moved", "routed/small"), 1),
        **dict.fromkeys(("runs/primary", "promises_broken/primary", "run_us/primary"), 2_000_000),
        **dict.fromkeys(("cpu_us/total", "cpu_us/tenant/acme", "gpu_us/tenant/acme", "energy_mj/tenant/acme"), 1000),
        **dict.fromkeys(("cpu_us/model/gbt/1/primary", "gpu_us/model/gbt/1/primary", "energy_mj/source/rapl"), 1000),
        **dict.fromkeys(("model_rows/gbt/1/primary", "decisions/tenant/acme", "decisions/label/decline"), 1000),
        **dict.fromkeys(("cost_micros/EUR", "reuse_rows/primary", "reuse_spared/primary"), 1000),
        **dict.fromkeys(("saved_us/primary", "lookup_us/primary"), 1000),
        **dict.fromkeys(("served/primary/fraud-gbt/1", "served/rule", "rollouts/rolled_back", "shadow_rows"), 1),
        **dict.fromkeys(("rollouts/loaded", "rollouts/refused", "rollouts/bad_records", "shadow_skipped"), 1),
        "audit_undelivered": 1,
        **dict.fromkeys(("run_expected_us/primary", "kafka_errors/producer", "kafka_errors/consumer"), 2_000_000),
    },
    levels={
        **dict.fromkeys(("stalled_s/transactions/3", "partitions", "rows_in_flight", "rows_in_flight_max"), 1.5),
        **dict.fromkeys(("rows_pending", "publishing_blocked", "cluster_unreachable", "delivery_ms"), 1.5),
        **dict.fromkeys(("event_time_delay_ms", "clock_skew_ms", "state_bytes", "state_bytes_max"), 1.5),
        **dict.fromkeys(("cost_expected_us/primary/8", "cost_promised_us/primary/8"), 1.5),
        **dict.fromkeys(("cost_a_day/EUR", "cost_per_million/EUR", "budget_a_day/EUR"), 1.5),
        **dict.fromkeys(("drift_rows", "drift_psi/amount", "drift_ks/amount", "drift_found/amount"), 1.5),
        **dict.fromkeys(("rollout_share/primary", "rollout_shadow/primary", "rollout_rows/primary"), 1.5),
        **dict.fromkeys(("rollout_ks/primary", "rollout_psi/primary"), 1.5),
        **dict.fromkeys(("cascade_drifted", "cascade_disagreement", "cascade_sure/below"), 0.5),
        **{f"cascade_{name}/{at}": 0.5 for name in ("passed_share", "agreement") for at in ("found", "low", "high")},
        **dict.fromkeys(("state_keys/customer", "checkpoint_age_s/3", "checkpoint_age_s/global"), 1.5),
    },
)


def collector(*records: MetricsRecord) -> PipelineCollector:
    board, health = Board(), health_of(CONFIG, NOW)
    health.tell(Vitals(Phase.DECIDING, 4), NOW.mono_ns)
    made = PipelineCollector(CONFIG, "here", board, health, lambda: NOW)
    made.models = (ModelFacts("primary", "fraud-gbt", "1", "CPUExecutionProvider", "093fb64af08c"),)
    totals = None
    for record in records:
        totals = record if totals is None else merged(totals, record)
        board.tell(record, totals)
    return made


def scraped(made: PipelineCollector) -> dict[str, dict[tuple[str, ...], float]]:
    """As Prometheus reads it: by name the values by labels, but for those that all have."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(made)
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            assert (sample.labels.pop("pipeline"), sample.labels.pop("instance_id")) == ("fraud", "here")
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def exported() -> dict[str, tuple[str, tuple[str, ...], str]]:
    """Type, labels and meaning of every metric, by the name that a query uses."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector(RECORD))
    ProcessCollector(registry=registry)
    found = {}
    for family in registry.collect():
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = {label for sample in family.samples for label in sample.labels} - {*OURS, "le"}
        found[name] = family.type, tuple(sorted(labels)), family.documentation
    return found


def documented() -> Iterator[tuple[str, str, str, tuple[str, ...], str]]:
    """Name, type, unit, labels and meaning by the table."""
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `"):
            name, kind, unit, labels, says, to_do = (cell.strip() for cell in line.strip("|").split("|"))
            assert to_do, f"{name}: what is to be done?"
            yield name.strip("`"), kind, unit, tuple(re.findall(r"`(\w+)`", labels)), says


def test_the_documented_metrics_are_the_metrics() -> None:
    table = {name: (kind, labels, says) for name, kind, _unit, labels, says in documented()}
    assert table == exported()


def test_the_documented_units_are_the_units() -> None:
    units = {f"{family.name}_total": family.unit for family in COUNTERS}
    units |= {family.name: family.unit for family in GAUGES}
    table = {name: unit for name, _kind, unit, _labels, _says in documented()}
    assert {name: table[name] for name in units} == units


def test_every_family_has_a_sample_here() -> None:
    """So that the table above is held against all there is."""
    found = scraped(collector(RECORD))
    assert not [family.name for family in COUNTERS if f"{family.name}_total" not in found]
    assert not [family.name for family in GAUGES if family.name not in found]


def test_counters_are_totals_and_gauges_are_the_newest() -> None:
    later = MetricsRecord(
        pipeline="fraud", instance="here", from_ms=1, to_ms=1_700_000_006_000, outcomes={"scored": 1}, levels={}
    )
    found = scraped(collector(RECORD, RECORD, later))
    assert found["headrace_outcomes_total"][("scored",)] == 13
    assert found["headrace_read_total"][()] == 2
    assert found["headrace_tier_delivered_total"][("true", "primary")] == 10
    assert found["headrace_model_run_seconds_total"][("primary",)] == 4
    assert found["headrace_last_record_timestamp_seconds"][()] == 1_700_000_006
    assert "headrace_lag_records" not in found, "a partition that is another process's now is not told any more"
    found = scraped(collector(RECORD))
    assert found["headrace_model_cpu_seconds_total"] == {("gbt", "primary", "1"): 0.001}
    assert found["headrace_cost_rate"] == {("EUR", "a_day"): 1.5, ("EUR", "per_million"): 1.5}
    assert found["headrace_lag_records"] == {("3", "transactions"): 7}
    assert found["headrace_batch_cost_promised_seconds"] == {("8", "primary"): 1.5e-6}


def test_a_counter_never_falls() -> None:
    """An outcome is taken back when its decision can never be delivered."""
    made = collector(RECORD)
    assert scraped(made)["headrace_outcomes_total"][("scored",)] == 6
    back = MetricsRecord(
        pipeline="fraud", instance="here", from_ms=1, to_ms=2, outcomes={"scored": -1, "dead_letter": 1}
    )
    made._board.tell(back, merged(RECORD, back))
    found = scraped(made)["headrace_outcomes_total"]
    assert (found["scored",], found["dead_letter",]) == (6, 3)


def test_before_the_first_record_it_says_what_is_known() -> None:
    found = scraped(collector())
    assert found["headrace_ready"] == {(): 1}
    assert found["headrace_model_info"] == {
        ("fraud-gbt", "CPUExecutionProvider", "stable", "093fb64af08c", "primary", "1"): 1
    }
    assert found["headrace_phase"][("deciding",)] == 1
    assert "headrace_outcomes_total" not in found


@pytest.mark.parametrize("name", ["headrace_age_seconds", "headrace_delivery_seconds"])
def test_the_budget_is_an_edge(name: str) -> None:
    found = scraped(collector(RECORD))
    assert found[f"{name}_bucket"][("0.1",)] == 3
    assert found[f"{name}_count"][()] == 3
    assert found[f"{name}_sum"][()] == pytest.approx(3 * 127e-6)
