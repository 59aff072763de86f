"""The bill of a live process: what all tenants pay is what the operating system says the process used."""

import functools
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.bill.counts import below, model_of, rest_of, total_of, usages
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from pipeline.wire.metrics import MetricsRecord, decode_metrics, merged
from tests.traffic import assignments, configured, decisions, read, run_until, send, transaction_records

POPULATION = Population(customers=60, terminals=40, terminals_near=10, seed=3)
START_MS = 1_577_836_800_000
TOPICS = {"transactions": 2, "labels": 1, "decisions": 2, "dead-letters": 1, "metrics": 1}
BILL = ("cost.tenant=terminal_id", "cost.tenants_max=6", "cost.cpu_hour=0.04")
CASCADE = ("cascade.first=lite", "cascade.sure_below=0.01", "cascade.sure_above=0.99")
THREADS = ("engine.session=thread", "engine.sessions=2")
MODES = [pytest.param((), id="inline"), pytest.param(THREADS, id="threads")]


def adds_up(counts: Mapping[str, int]) -> None:
    """To the rounding of a line, which is below 1 us."""
    lines = below(counts, "cpu_us", "tenant")
    assert sum(lines.values()) == pytest.approx(counts["cpu_us/total"], abs=len(lines) + 1)
    models = below(counts, "cpu_us", "model")
    assert sum(models.values()) + counts["cpu_us/rest"] == pytest.approx(counts["cpu_us/total"], abs=len(models) + 2)
    assert below(counts, "energy_mj", "source").keys() <= {"rapl", "estimate"}


@pytest.mark.parametrize("more", MODES)
def test_tenants_pay_for_all_and_know_what_for(embedded: Callable[[dict[str, int]], str], more: tuple[str]) -> None:
    bootstrap = embedded(TOPICS)
    records = transaction_records(simulated_table(POPULATION, 20, START_MS))
    send(bootstrap, "transactions", records)
    summary = run_until(configured(bootstrap, *BILL, *more), len(records))
    counts = summary.totals.counts
    adds_up(counts)
    tenants = below(counts, "decisions", "tenant")
    assert sum(tenants.values()) == len(records)
    assert len(tenants) == 7
    assert {"(other)", "(idle)", "(start)"} <= usages(counts, "tenant").keys()
    told = [row["decision"] for row in decisions(bootstrap, "decisions", len(records))]
    assert below(counts, "decisions", "label") == {
        name: told.count(name) for name in ("approve", "review", "decline")
    }
    (model,) = usages(counts, "model")
    assert model_of(model) == ("fraud-gbt", "1", "primary")
    assert below(counts, "model_rows") == {model: len(records)}
    assert rest_of(counts).cpu_s > usages(counts, "model")[model].cpu_s > 0
    assert counts["cost_micros/EUR"] == pytest.approx(total_of(counts).cpu_s * 0.04 / 3600 * 1e6, abs=2)


def test_a_replay_has_a_bill_too(embedded: Callable[[dict[str, int]], str]) -> None:
    bootstrap = embedded(TOPICS)
    records = transaction_records(simulated_table(POPULATION, 10, START_MS))
    send(bootstrap, "transactions", records)
    counts = run_until(configured(bootstrap, *BILL, "pipeline.mode=replay"), len(records) + 1).totals.counts
    adds_up(counts)
    assert sum(below(counts, "decisions", "tenant").values()) == len(records)


def test_without_a_tenant_all_are_one(embedded: Callable[[dict[str, int]], str]) -> None:
    bootstrap = embedded(TOPICS)
    records = transaction_records(simulated_table(POPULATION, 10, START_MS))
    send(bootstrap, "transactions", records)
    counts = run_until(configured(bootstrap, "cost.cpu_hour=0"), len(records)).totals.counts
    adds_up(counts)
    assert below(counts, "decisions", "tenant") == {"(all)": len(records)}
    assert not below(counts, "cost_micros")


def test_both_models_of_a_cascade_have_a_line(embedded: Callable[[dict[str, int]], str]) -> None:
    bootstrap = embedded(TOPICS)
    records = transaction_records(simulated_table(POPULATION, 10, START_MS))
    send(bootstrap, "transactions", records)
    counts = run_until(configured(bootstrap, *CASCADE), len(records)).totals.counts
    adds_up(counts)
    rows = {model_of(name).tier: count for name, count in below(counts, "model_rows").items()}
    assert rows["lite"] == len(records) >= rows["primary"] > 0


def test_a_cache_changes_no_score_and_tells_what_it_spares(embedded: Callable[[dict[str, int]], str]) -> None:
    records = transaction_records(simulated_table(POPULATION, 10, START_MS))
    told = []
    for more in ((), ("reuse.exact_rows=500",)):
        bootstrap = embedded(TOPICS)
        send(bootstrap, "transactions", records)
        counts = run_until(configured(bootstrap, "pipeline.mode=replay", *more), len(records) + 1).totals.counts
        told.append({row["id"]: row["score"] for row in decisions(bootstrap, "decisions", len(records))})
    assert told[0] == told[1]
    assert counts["reuse_rows/primary"] == len(records)
    assert counts["reuse_spared/primary"] + sum(below(counts, "model_rows").values()) >= len(records)
    assert counts["lookup_us/primary"] > 0
    adds_up(counts)


def cpu_s_of(process: int) -> float:
    """What the kernel says that a process has used: user and system time of all its threads, proc(5)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
@pytest.mark.parametrize("more", MODES)
def test_a_process_is_billed_for_what_the_kernel_counted(
    embedded: Callable[[dict[str, int]], str], more: tuple[str]
) -> None:
    """A process of its own that finds its topic full: several tenants, two models, all that it told until then."""
    bootstrap = embedded(TOPICS)
    given = assignments(bootstrap, *BILL, *more, *CASCADE, "http.enabled=false")
    options = [part for assignment in given for part in ("--set", assignment)]
    records = transaction_records(simulated_table(POPULATION, 60, START_MS))
    for _ in range(8):
        send(bootstrap, "transactions", records)
    with subprocess.Popen([sys.executable, "-m", "pipeline.cli", "run", *options]) as process:
        try:
            told: list[MetricsRecord] = []
            read(bootstrap, "metrics", 1 << 30, lambda got: all_decided(got, told, 8 * len(records)))
            kernel_s = cpu_s_of(process.pid)
        finally:
            process.terminate()
    totals = functools.reduce(merged, told)
    adds_up(totals.counts)
    lines = below(totals.counts, "cpu_us", "tenant")
    assert sum(lines.values()) / 1e6 == pytest.approx(kernel_s, rel=0.05)
    assert sum(below(totals.counts, "decisions", "tenant").values()) == 8 * len(records)
    # Six tenants, the rest of them and the start; idle only if an interval passed before the first record came.
    assert len(lines.keys() - {"(idle)"}) == 8
    assert len(below(totals.counts, "cpu_us", "model")) == 2


def all_decided(messages: list[Any], told: list[MetricsRecord], count: int) -> bool:
    """Read what is new of them into `told`; whether all so many have ended."""
    told += [decode_metrics(message.value()) for message in messages[len(told) :]]
    return sum(sum(record.outcomes.values()) for record in told) >= count
