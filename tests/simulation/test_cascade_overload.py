"""A cascade in virtual time: under overload the dear work is shed, and only then rows; a plan knows what goes on."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.cascade import Expected, Thresholds
from models.cascade_report import report_of
from models.repository import Repository
from pipeline.config.load import load
from pipeline.config.problems import ConfigError
from pipeline.rows import Outcome
from pipeline.sim.arrivals import poisson
from pipeline.sim.curves import Costs
from pipeline.sim.loop import simulate
from pipeline.sim.plan import Load, Planner
from pipeline.sim.policy import CascadePolicy, LivePolicy
from pipeline.sim.process import Hop, LoopCost, ProcessModel
from pipeline.sim.service import Curve, Noise
from pipeline.sim.trace import Trace, Workload
from tests.simulation.test_plan import COSTS

BUCKETS = (1, 4, 16, 64)
BUDGET_NS = 100_000_000
UNSURE = 0.1
LOOP = LoopCost(60_000, 20_000, 1_500, 30_000, 20_000, 1_000, 500)


def run(rate: float, *, overlapped: bool, cascade: bool) -> Trace:
    """A first model of 20 us a row, with one of 500 us behind it, or alone."""
    work = Workload.with_budget(poisson(rate, 2.0, 7), BUDGET_NS)
    rng = np.random.default_rng(3)
    dear, cheap = (
        Noise(Curve({rows: fixed + rows * row for rows in BUCKETS}, BUCKETS[-1]), 0.05, rng)
        for fixed, row in ((100e3, 500e3), (50e3, 20e3))
    )
    services = [dear, cheap] if cascade else [cheap]
    seeds = [{rows: [service.took_ns(rows, 0) for _ in range(5)] for rows in BUCKETS} for service in services]
    hop = Hop(2_000_000, 1_250_000, 0.7)
    process = ProcessModel(
        overlapped=overlapped,
        poll_rows_max=2048,
        rows_max=32_768,
        cost=LOOP,
        fetch=hop,
        delivery=hop,
        promised_delivery_ns_max=BUDGET_NS // 2,
    )
    if not cascade:
        return simulate(work, services, LivePolicy(work, BUCKETS, seeds), process)
    unsure = np.random.default_rng(5).random(work.rows) < UNSURE
    return simulate(work, services, CascadePolicy(work, BUCKETS, seeds, 1, unsure), process)


def share(trace: Trace, outcome: Outcome) -> float:
    warm = trace.work.arrival_ns > 1e9
    return float((trace.outcome[warm] == outcome).mean())


@pytest.mark.parametrize("overlapped", [False, True])
def test_while_there_is_capacity_all_unsure_rows_have_the_second_stage(overlapped: bool) -> None:
    trace = run(9_000, overlapped=overlapped, cascade=True)
    assert share(trace, Outcome.SCORED) == 1.0


@pytest.mark.parametrize("overlapped", [False, True])
@pytest.mark.parametrize("rate", [20_000, 30_000])
def test_what_the_first_model_can_do_alone_it_does_in_a_cascade(rate: float, overlapped: bool) -> None:
    """There is not capacity for all unsure rows: those shed keep their score, and nobody expires for the others."""
    trace = run(rate, overlapped=overlapped, cascade=True)
    assert share(trace, Outcome.EXPIRED) < 0.002
    assert 0.02 < share(trace, Outcome.DEGRADED) < UNSURE
    assert (trace.tier[trace.outcome == Outcome.DEGRADED] == 1).all()


@pytest.mark.parametrize("overlapped", [False, True])
def test_beyond_the_first_models_capacity_no_more_expires_than_without_a_second_stage(overlapped: bool) -> None:
    both, alone = (run(60_000, overlapped=overlapped, cascade=cascade) for cascade in (True, False))
    assert share(alone, Outcome.EXPIRED) > 0.1
    assert share(both, Outcome.EXPIRED) < share(alone, Outcome.EXPIRED) + 0.03


def planner(folder: Path, *more: str) -> Planner:
    lite, gbt = (Repository.shipped().load(name, "1").manifest for name in ("fraud-lite", "fraud-gbt"))
    file = folder / "cascade.json"
    report = report_of(lite, gbt, Thresholds(0.01, 0.9), Expected(1000, 0.6, 0.1, 0.97, 0.05))
    file.write_bytes(msgspec.json.encode(report))
    settings = ("cascade.first=lite", "cascade.sure_below=0.01", "cascade.sure_above=0.9", *more)
    config = load("fraud", environ={}, assignments=settings).config
    return Planner(config, Costs((*COSTS.tiers[:2], None)), Load(20_000, "poisson", 2.0, 4, 1))


def test_a_plan_passes_on_what_the_report_expects(tmp_path: Path) -> None:
    it = planner(tmp_path, f"cascade.report={tmp_path}/cascade.json").forecast(1)
    assert sum(it.tiers.values()) + it.expired == pytest.approx(1.0)
    assert it.good > 0.99
    without = Planner(
        load("fraud", environ={}).config, Costs((*COSTS.tiers[:2], None)), Load(20_000, "poisson", 2.0, 4, 1)
    ).forecast(1)
    assert without.good < 0.7


def test_a_plan_of_a_cascade_needs_its_report(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cascade.report: a forecast needs the share of events that go on"):
        planner(tmp_path)
