"""Laws 1 and 4 in virtual time, on the live engine's own batcher and cost models."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenarios import Recorder, Scenario, check, run, scenario

from pipeline.batch import Batch, Delivery, Plan
from pipeline.sim.arrivals import poisson
from pipeline.sim.loop import SimulationError, simulate
from pipeline.sim.trace import Trace, Workload

BLOCKS, BLOCK = 10, 100


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_thousand_random_scenarios_hold_every_law(block):
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        try:
            check(scenario(seed))
        except Exception as error:
            raise AssertionError(f"check(scenario({seed})) fails: {error!r}") from error


@settings(max_examples=150)
@given(st.integers(1000, 2**40))
def test_scenarios_nobody_has_seen_hold_them_too(seed):
    check(scenario(seed))


def test_the_scenarios_reach_every_corner():
    drawn = [scenario(seed) for seed in range(200)]
    traces = [check(it) for it in drawn]
    assert sum(it.work.rows > 10 for it in drawn) > 150
    assert any((trace.tier == 2).any() for trace in traces)
    assert any((trace.tier == -1).any() for trace in traces)
    assert any(trace.in_flight_rows_max == it.process.rows_max for it, trace in zip(drawn, traces, strict=True))
    assert any(trace.batches.session.max(initial=0) == 3 for trace in traces)
    assert any((trace.latency_ns() > 0).any() and not trace.deadline_met().all() for trace in traces)
    assert any(trace.batches.rows.max(initial=0) == 128 for trace in traces)


def arrays(trace: Trace) -> list[Any]:
    own = ("read_ns", "dispatch_ns", "handed_ns", "done_ns", "outcome", "tier")
    batches = ("start_ns", "took_ns", "promised_ns", "tier", "rows", "session")
    return [getattr(trace, name) for name in own] + [getattr(trace.batches, name) for name in batches]


@pytest.mark.parametrize("seed", [3, 14, 159])
def test_a_seed_is_a_run_and_another_is_another(seed):
    drawn = replace(scenario(seed), noise=0.3)
    first, again = arrays(run(drawn)[0]), arrays(run(drawn)[0])
    assert all(np.array_equal(left, right) for left, right in zip(first, again, strict=True))
    other = arrays(run(replace(drawn, seed=seed + 1))[0])
    assert not np.array_equal(first[3], other[3])


class Losing(Recorder):
    """Forgets the last row of every batch of three or more."""

    def poll(self, now_ns: int, delivery: Delivery) -> Plan:
        plan = super().poll(now_ns, delivery)
        cut = [Batch(it.tier, it.slots[:-1] if len(it.slots) > 2 else it.slots) for it in plan.batches]
        return Plan(cut, plan.expired)


class Doubling(Recorder):
    """Lets the first row of each batch expire too."""

    def poll(self, now_ns: int, delivery: Delivery) -> Plan:
        plan = super().poll(now_ns, delivery)
        again = [batch.slots[:1] for batch in plan.batches]
        return Plan(plan.batches, np.concatenate([plan.expired, *again]))


def crowded(seed: int) -> Scenario:
    """Rows come faster than they are scored, so that batches hold several."""
    work = Workload.with_budget(poisson(5000, 0.1, seed), 1_000_000_000)
    once = replace(scenario(seed).process, sessions=1, poll_rows_max=1024, rows_max=4096)
    return replace(
        scenario(seed), work=work, process=once, deadlines=False, buckets=(1, 8), curves=({1: 1e6, 8: 2e6},)
    )


def message_of(policy: type[Recorder], drawn: Scenario) -> str:
    services = drawn.services()
    seeds = [{bucket: [service.took_ns(bucket, 0)] for bucket in drawn.buckets} for service in services]
    with pytest.raises(SimulationError) as caught:
        simulate(drawn.work, services, policy(drawn, seeds), drawn.process, drawn.seed)
    return str(caught.value)


@pytest.mark.parametrize(
    ("policy", "told"), [(Losing, "have no outcome, the first is row"), (Doubling, "left twice")]
)
@pytest.mark.parametrize("seed", [1, 7])
def test_a_policy_that_breaks_the_law_is_caught_and_its_seed_catches_it_again(policy, told, seed):
    message = message_of(policy, crowded(seed))
    assert told in message
    assert message == message_of(policy, crowded(seed))
