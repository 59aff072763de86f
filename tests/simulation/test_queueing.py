"""The simulator against what queueing theory knows in closed form, and against arithmetic."""

from math import exp, factorial

import numpy as np
import pytest

from pipeline.rows import Outcome
from pipeline.sim.arrivals import poisson
from pipeline.sim.loop import simulate
from pipeline.sim.policy import LivePolicy
from pipeline.sim.process import Hop, LoopCost, ProcessModel
from pipeline.sim.service import Curve, Drift, Noise, Service, lognormal_factors
from pipeline.sim.trace import Trace, Workload

US, MS, S = 1_000, 1_000_000, 1_000_000_000
SERVICE_NS = 1 * MS


class Exponential:
    """Times without memory, as the formula for several servers wants them."""

    def __init__(self, mean_ns: int, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._mean_ns = mean_ns

    def took_ns(self, rows: int, at_ns: int) -> int:
        return max(1, int(self._rng.exponential(self._mean_ns)))


def waited_s(service: Service, load: float, sessions: int, rows: int = 40_000) -> float:
    """The mean wait of a first-come queue, one row a run."""
    rate = load * sessions * S / SERVICE_NS
    work = Workload.with_budget(poisson(rate, rows / rate, 11), 3600 * S)
    policy = LivePolicy(work, (1,), [{1: [SERVICE_NS]}], sessions=sessions, deadlines=False)
    trace = simulate(work, [service], policy, ProcessModel(sessions=sessions))
    return float((trace.dispatch_ns - work.arrival_ns).mean()) / S


@pytest.mark.parametrize(("load", "sigma"), [(0.5, 0.0), (0.7, 0.0), (0.6, 0.5)])
def test_one_session_waits_as_pollaczek_and_khinchine_say(load, sigma):
    service = Noise(Curve({1: SERVICE_NS}, 1), sigma, np.random.default_rng(5))
    second_moment = (SERVICE_NS / S) ** 2 * exp(sigma * sigma)
    expected_s = load * S / SERVICE_NS * second_moment / (2 * (1 - load))
    assert waited_s(service, load, 1) == pytest.approx(expected_s, rel=0.06)


def test_several_sessions_wait_as_erlang_says():
    # Runs of this length spread by 4.5 % around the formula.
    load, sessions = 0.7, 3
    offered = load * sessions
    last = offered**sessions / factorial(sessions) / (1 - load)
    waits = last / (sum(offered**k / factorial(k) for k in range(sessions)) + last)
    expected_s = waits * SERVICE_NS / S / (sessions * (1 - load))
    assert waited_s(Exponential(SERVICE_NS, 2), load, sessions) == pytest.approx(expected_s, rel=0.1)


def exact(work: Workload, process: ProcessModel, curve: dict[int, float]) -> Trace:
    """A run whose promises are exact: every bucket always takes the same."""
    buckets = tuple(sorted(curve))
    seeds = [{bucket: [int(ns)] for bucket, ns in curve.items()}]
    services = [Curve(curve, max(buckets), padded=True)]
    return simulate(work, services, LivePolicy(work, buckets, seeds, sessions=process.sessions, padded=True), process)


@pytest.mark.parametrize("overload", [0.5, 1.0, 3.0])
def test_where_promises_are_exact_and_the_loop_is_free_nothing_scored_is_late(overload):
    curve = {1: 300.0 * US, 8: 1000.0 * US, 32: 3000.0 * US}
    rate = overload * 32 * S / curve[32]
    trace = exact(Workload.with_budget(poisson(rate, 1.0, 4), 20 * MS), ProcessModel(), curve)
    scored = trace.outcome == Outcome.SCORED
    assert scored.any()
    assert (trace.deadline_met() == scored).all()
    assert (trace.batches.took_ns <= trace.batches.promised_ns + 1).all()
    assert scored.all() == (overload < 1)


def one_row(process: ProcessModel) -> Trace:
    return exact(Workload.with_budget(np.array([5 * MS], np.int64), S), process, {1: 1.0 * MS})


def test_a_single_row_costs_the_sum_of_its_parts():
    cost = LoopCost(turn_ns=64_000, read_ns=1, read_row_ns=2, batch_ns=4, publish_ns=8, decided_row_ns=16)
    inline = one_row(ProcessModel(overlapped=False, cost=cost))
    assert inline.latency_ns().tolist() == [1 + 2 + MS + 4 + 8 + 16]
    beside = one_row(ProcessModel(cost=cost))
    assert beside.latency_ns().tolist() == [1 + 2 + MS + 8 + 16]
    assert inline.loop_busy_ns == 1 + 2 + MS + 4 + 8 + 16 + 64_000
    hops = one_row(ProcessModel(fetch=Hop(MS, 300 * US, 0.0), delivery=Hop(2 * MS, 100 * US, 0.0)))
    assert hops.latency_ns().tolist() == [MS + 300 * US + MS + 2 * MS + 100 * US]


def test_expired_rows_cost_what_an_expired_row_costs():
    work = Workload(np.zeros(100, np.int64), np.full(100, -1, np.int64), np.zeros(100))
    process = ProcessModel(overlapped=False, cost=LoopCost(read_row_ns=3, expired_row_ns=7))
    trace = exact(work, process, {1: 1.0 * MS})
    assert (trace.outcome == Outcome.EXPIRED).all()
    assert trace.handed_ns.tolist() == [1000] * 100


def test_what_finds_no_room_waits_unread_until_something_is_delivered():
    work = Workload.with_budget(np.zeros(10, np.int64), S)
    process = ProcessModel(rows_max=4, delivery=Hop(10 * MS, 0, 0.0))
    trace = exact(work, process, {1: 1.0 * MS})
    assert (trace.read_ns[:4] == 0).all()
    assert trace.read_ns[4] == 11 * MS
    assert trace.in_flight_rows_max == 4


def test_while_little_arrives_turns_are_spaced():
    work = Workload.with_budget(np.arange(50, dtype=np.int64) * MS, S)
    spaced = exact(work, ProcessModel(overlapped=False, poll_interval_ns=10 * MS), {1: 10.0, 64: 20.0})
    hurried = exact(work, ProcessModel(overlapped=False), {1: 10.0, 64: 20.0})
    assert len(spaced.batches.rows) < 10
    assert len(hurried.batches.rows) == 50


def test_nothing_is_a_run_too():
    trace = exact(Workload.with_budget(np.empty(0, np.int64), S), ProcessModel(fetch=Hop(MS, MS, 0.7)), {1: 1.0})
    assert len(trace.outcome) == 0
    assert trace.batches.broken_promises() == 0.0


@pytest.mark.parametrize("sessions", [0, 2])
def test_a_loop_that_waits_for_its_session_has_one(sessions):
    with pytest.raises(ValueError, match="sessions"):
        ProcessModel(sessions=sessions, overlapped=False)


def test_factors_have_mean_one():
    factors = lognormal_factors(0.7, np.random.default_rng(1))
    assert np.mean([next(factors) for _ in range(50_000)]) == pytest.approx(1.0, rel=0.02)


def test_the_cost_model_is_told_every_run_and_learns_a_slowdown_and_its_end():
    work = Workload.with_budget(np.arange(600, dtype=np.int64) * 10 * MS, S)
    throttled = Drift(Curve({1: 1.0 * MS}, 1), 3.0, 2 * S, 4 * S)
    policy = LivePolicy(work, (1,), [{1: [MS]}])
    batches = simulate(work, [throttled], policy, ProcessModel()).batches
    assert (batches.promised_ns[:200] <= 2 * MS).all()  # twice as much while it has seen too little for a quantile
    assert batches.took_ns[200] == 3 * MS
    assert (batches.promised_ns[250:400] >= 2.9 * MS).all()
    assert batches.promised_ns[-1] < batches.promised_ns[399] / 2
    assert 0 < batches.broken_promises() < 1
