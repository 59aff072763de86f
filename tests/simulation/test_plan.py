"""Forecasts: their parts add up, a seed reproduces them, and the search finds the fewest processes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.load import load
from pipeline.rows import Outcome
from pipeline.sim.curves import Costs, TierCurve
from pipeline.sim.forecast import TAIL, summed_up
from pipeline.sim.loop import simulate
from pipeline.sim.plan import Load, Planner, fewest, process_of
from pipeline.sim.policy import LivePolicy
from pipeline.sim.process import LoopCost, ProcessModel
from pipeline.sim.service import Curve
from pipeline.sim.trace import Workload

CONFIG = load("fraud", environ={}).config
SLOW = {rows: 100_000.0 * (3 + rows) for rows in (1, 8, 32, 64, 128)}
FAST = {rows: 20_000.0 + 300 * rows for rows in (1, 8, 32, 64, 128)}
COSTS = Costs((TierCurve(SLOW, 0.1), TierCurve(FAST, 0.1)))
"""A best tier that does 10,000 rows a second at most, and one that is never at its limit."""


def planner(rate: float = 15_000, arrivals: str = "poisson", seed: int = 1, partitions: int = 4) -> Planner:
    return Planner(CONFIG, COSTS, Load(rate, arrivals, 2.0, partitions, seed))


@given(threshold=st.integers(1, 70), most=st.integers(1, 60))
def test_the_fewest_that_hold_are_found_in_few_tries(threshold, most):
    tried: list[int] = []

    def holds(number: int) -> bool:
        assert 1 <= number <= most
        tried.append(number)
        return number >= threshold

    assert fewest(holds, most) == (threshold if threshold <= most else None)
    assert len(tried) == len(set(tried)) <= 2 * most.bit_length() + 1


@pytest.mark.parametrize("arrivals", ["poisson", "bursty", "diurnal", "flash-crowd"])
@pytest.mark.parametrize("processes", [1, 3])
def test_the_parts_of_a_forecast_add_up(arrivals, processes):
    it = planner(arrivals=arrivals).forecast(processes)
    assert sum(it.tiers.values()) + it.expired == pytest.approx(1.0)
    assert it.in_time + it.late + it.expired == pytest.approx(1.0)
    assert it.good <= it.in_time + 1e-12
    assert it.good <= it.tiers["primary"] + 1e-12
    assert it.goodput == pytest.approx(it.good * it.events / 2.0)
    assert 0 < it.busy <= 1.0
    assert it.busy <= it.cores <= processes
    history = it.history
    assert sum(history["arrived"]) * 2.0 / len(history["at_s"]) == pytest.approx(it.events, abs=1)
    ended = np.sum([history[name] for name in ("primary", "lite", "expired")], axis=0)
    assert np.allclose(ended, history["arrived"])
    assert (np.diff(it.tail_ms) >= 0).all()
    assert it.latency_ms["0.5"] <= it.latency_ms["0.99"] <= it.latency_ms["0.999"]


def test_a_seed_is_a_plan_and_another_is_another():
    assert planner().forecast(2) == planner().forecast(2)
    assert planner().forecast(2) != planner(seed=2).forecast(2)


def test_more_processes_do_more_until_there_is_nothing_left_to_do():
    plan = planner()
    goodput = [plan.forecast(processes).good for processes in (1, 2, 4)]
    assert goodput[0] < 0.7
    assert goodput[0] < goodput[1]
    assert goodput[2] > 0.999
    assert [it.processes for it in plan.tried] == [1, 2, 4]
    found = planner().fewest(lambda it: it.good > 0.999)
    assert found is not None
    assert found.processes == 2


def test_what_no_number_of_processes_holds_is_none():
    plan = planner(rate=60_000, partitions=2)
    assert plan.fewest(lambda it: it.good > 0.999) is None
    assert [it.processes for it in plan.tried] == [1, 2]


@pytest.mark.parametrize("processes", [0, 5])
def test_processes_beyond_the_partitions_are_refused(processes):
    with pytest.raises(ValueError, match="cannot share 4 partitions"):
        planner().forecast(processes)


def test_processes_with_more_partitions_get_more_of_the_load():
    events = planner(partitions=3).forecast(2).events
    assert events == pytest.approx(30_000, rel=0.02)


def test_a_process_runs_as_the_configuration_says():
    changed = load("fraud", environ={}, assignments=["engine.session=thread", "kafka.producer.linger.ms=7"]).config
    process = process_of(changed, COSTS)
    assert process.overlapped
    assert process.rows_max == changed.engine.rows_max
    assert process.poll_rows_max == changed.engine.poll_rows_max
    assert process.poll_interval_ns == changed.engine.poll_interval_us * 1000
    tight = load("fraud", environ={}, assignments=["pipeline.budget_ms=20"]).config
    assert process_of(tight, COSTS).poll_interval_ns == 2_000_000
    assert process.delivery is not None
    assert process.delivery.linger_ns == 7_000_000
    assert not process_of(CONFIG, COSTS).overlapped


def two_rows(overlapped: bool) -> tuple[ProcessModel, Workload]:
    process = ProcessModel(overlapped=overlapped, cost=LoopCost(read_row_ns=1_000_000))
    return process, Workload(
        np.array([0, 500_000_000], np.int64), np.array([10**9, 0], np.int64), np.array([1.0, 2.0])
    )


@pytest.mark.parametrize("overlapped", [True, False])
def test_a_fleet_is_summed_up_by_hand(overlapped):
    process, work = two_rows(overlapped)
    policy = LivePolicy(work, (1,), [{1: [2_000_000]}])
    trace = simulate(work, [Curve({1: 2e6}, 1)], policy, process)
    assert trace.outcome.tolist() == [Outcome.SCORED, Outcome.EXPIRED]
    it = summed_up(3, [(1, trace), (2, trace)], ["primary"], 1.0)
    assert (it.events, it.goodput, it.good, it.expired) == (6, 3.0, 0.5, 0.5)
    assert it.latency_ms["0.5"] == 3.0
    assert it.cores == pytest.approx(3 * 0.004)
    assert it.cpu_us == pytest.approx(2000.0)
    assert it.batch_rows == 1.0
    assert it.by_value[0] == {"primary": 1.0, "expired": 0.0}
    assert it.by_value[-1] == {"primary": 0.0, "expired": 1.0}
    assert len(it.tail_ms) == len(TAIL)


def test_where_nothing_was_scored_there_is_no_latency():
    work = Workload(np.zeros(3, np.int64), np.full(3, -1, np.int64), np.zeros(3))
    trace = simulate(work, [Curve({1: 1e6}, 1)], LivePolicy(work, (1,), [{1: [10**6]}]), ProcessModel())
    it = summed_up(1, [(1, trace)], ["primary"], 1.0)
    assert (it.expired, it.latency_ms, it.by_value) == (1.0, {}, ())
