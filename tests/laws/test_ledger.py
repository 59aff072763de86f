"""The bill adds up: what all tenants pay is what the process used, whatever ran when."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.bill.ledger import IDLE_NAME, START_NAME, Joules, Ledger, named
from pipeline.rows import Outcome

TENANTS, ROWS, LABELS = 4, 32, 3
NAMES = [f"t{number}" for number in range(TENANTS)]
NOTHING = Joules(0.0, 0.0, "", "")


@dataclass
class Run:
    serving: int
    slots: list[int]
    cpu_ns: int
    gpu_ns: int
    before_ns: int  # of its CPU time, what was used before the interval that it ends in


@dataclass
class Interval:
    runs: list[Run]
    read: tuple[int, int]
    decided: list[int]
    other_ns: int
    cpu_uj: float
    gpu_uj: float
    used_ns: int = field(init=False)


slots = st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=8)
runs = st.builds(
    lambda serving, rows, cpu, gpu, part: Run(serving, rows, cpu, gpu, cpu * part // 4),
    st.integers(0, 3),
    slots,
    st.integers(0, 10**10),
    st.integers(0, 10**10),
    st.integers(0, 4),
)
intervals = st.builds(
    Interval,
    st.lists(runs, max_size=4),
    st.tuples(st.integers(0, ROWS), st.integers(0, ROWS)).map(lambda pair: (min(pair), max(pair))),
    st.lists(st.integers(0, ROWS - 1), max_size=8, unique=True),
    st.integers(0, 10**9),
    st.floats(0, 1e9),
    st.floats(0, 1e9),
)


def played(ledger: Ledger, past: list[Interval], start_ns: int) -> tuple[int, int]:
    """Run it; returns the process's CPU time and the longest run."""
    tenant_of = (np.arange(ROWS) % TENANTS).astype(np.int16)
    outcome, decision = np.full(ROWS, Outcome.SCORED, np.int8), np.zeros(ROWS, np.int8)
    cpu_ns, longest_ns = start_ns, 0
    ledger.begin(cpu_ns, Joules(0.0, 0.0, "rapl", ""))
    for number, interval in enumerate(past):
        coming = past[number + 1].runs if number + 1 < len(past) else []
        cpu_ns += interval.other_ns + sum(run.cpu_ns - run.before_ns for run in interval.runs)
        cpu_ns += sum(run.before_ns for run in coming)
        if number == 0:
            cpu_ns += sum(run.before_ns for run in interval.runs)
        for run in interval.runs:
            longest_ns = max(longest_ns, run.before_ns)
            ledger.ran(run.serving, np.array(run.slots, np.int32), tenant_of, run.cpu_ns, run.gpu_ns)
        ledger.read(*interval.read, tenant_of)
        ledger.given(np.array(interval.decided, np.int32), tenant_of, outcome, decision)
        ledger.close(cpu_ns, Joules(interval.cpu_uj, interval.gpu_uj, "rapl", "nvml"))
    return cpu_ns, longest_ns


@given(st.lists(intervals, max_size=12), st.integers(0, 10**10))
@settings(max_examples=150)
def test_all_tenants_together_have_what_the_process_used(past: list[Interval], start_ns: int) -> None:
    ledger = Ledger(TENANTS, LABELS)
    cpu_ns, _ = played(ledger, past, start_ns)
    assert ledger.owed_ns <= 0
    assert ledger.cpu_ns.total + ledger.owed_ns == pytest.approx(cpu_ns, rel=1e-9, abs=1e-3)
    assert (ledger.cpu_ns.tenants >= 0).all()


@given(st.lists(intervals, max_size=12), st.integers(0, 10**10))
@settings(max_examples=100)
def test_models_and_the_rest_together_have_it_too(past: list[Interval], start_ns: int) -> None:
    ledger = Ledger(TENANTS, LABELS)
    played(ledger, past, start_ns)
    for spent in (ledger.cpu_ns, ledger.gpu_ns):
        assert sum(spent.servings.values()) + spent.rest == pytest.approx(spent.total, rel=1e-9, abs=1e-3)
    ran = sum(run.cpu_ns for interval in past for run in interval.runs)
    assert sum(ledger.cpu_ns.servings.values()) == pytest.approx(ran, rel=1e-9)
    energy = ledger.energy_uj
    assert sum(energy.servings.values()) + energy.rest == pytest.approx(energy.total, rel=1e-6, abs=1e-3)


@given(st.lists(intervals, max_size=12))
@settings(max_examples=100)
def test_no_energy_is_lost_and_each_source_is_named(past: list[Interval]) -> None:
    ledger = Ledger(TENANTS, LABELS)
    played(ledger, past, 0)
    given_uj = sum(interval.cpu_uj + interval.gpu_uj for interval in past)
    assert ledger.energy_uj.total == pytest.approx(given_uj, rel=1e-9, abs=1e-3)
    assert sum(ledger.sources_uj.values()) == pytest.approx(given_uj, rel=1e-9, abs=1e-3)
    assert set(ledger.sources_uj) <= {"rapl", "nvml"}


@given(st.lists(runs, min_size=1, max_size=4))
def test_a_run_is_paid_for_by_its_rows_alone_each_alike(given_runs: list[Run]) -> None:
    ledger, tenant_of = Ledger(TENANTS, LABELS), (np.arange(ROWS) % TENANTS).astype(np.int16)
    wanted = np.zeros(TENANTS)
    for run in given_runs:
        ledger.ran(run.serving, np.array(run.slots, np.int32), tenant_of, run.cpu_ns)
        for slot in run.slots:
            wanted[slot % TENANTS] += run.cpu_ns / len(run.slots)
    ledger.close(sum(run.cpu_ns for run in given_runs), NOTHING)
    assert ledger.cpu_ns.tenants[:TENANTS] == pytest.approx(wanted, rel=1e-9, abs=1e-6)
    assert ledger.cpu_ns.rest == pytest.approx(0.0, abs=1e-3)


def test_the_rest_is_shared_by_rows_read_and_rows_decided() -> None:
    ledger, tenant_of = Ledger(TENANTS, LABELS), np.array([0, 0, 0, 1], np.int16)
    ledger.read(0, 4, tenant_of)
    ledger.given(np.array([2, 3], np.int32), tenant_of, np.zeros(4, np.int8), np.zeros(4, np.int8))
    ledger.close(6_000, NOTHING)
    assert named(ledger.cpu_ns, NAMES) == {"t0": 4_000, "t1": 2_000}


def test_what_nobody_asked_for_is_idle_and_what_came_before_is_the_start() -> None:
    ledger = Ledger(TENANTS, LABELS)
    ledger.begin(700, Joules(2.0, 0.0, "estimate", ""))
    ledger.close(1_000, Joules(5.0, 0.0, "estimate", ""))
    assert named(ledger.cpu_ns, NAMES) == {IDLE_NAME: 300, START_NAME: 700}
    assert named(ledger.energy_uj, NAMES) == {IDLE_NAME: 5.0, START_NAME: 2.0}
    assert ledger.cpu_ns.rest == 1_000


def test_a_run_over_the_end_of_an_interval_is_charged_once() -> None:
    """900 of its 1000 ns were used before the first close, which saw no run and gave them to the rows read."""
    ledger, tenant_of = Ledger(TENANTS, LABELS), np.array([0, 1], np.int16)
    ledger.read(0, 1, tenant_of)
    ledger.close(900, NOTHING)
    ledger.ran(0, np.array([1], np.int32), tenant_of, 1_000)
    ledger.close(1_000, NOTHING)
    assert ledger.owed_ns == -900
    ledger.read(0, 1, tenant_of)
    ledger.close(2_500, NOTHING)
    assert ledger.owed_ns == 0
    assert named(ledger.cpu_ns, NAMES) == {"t0": 1_500, "t1": 1_000}


def test_decisions_are_counted_by_tenant_and_those_made_by_label() -> None:
    ledger, tenant_of = Ledger(TENANTS, LABELS), np.array([0, 1, 1, 3], np.int16)
    outcome = np.array([Outcome.SCORED, Outcome.DEGRADED, Outcome.EXPIRED, Outcome.SCORED], np.int8)
    ledger.given(np.arange(4, dtype=np.int32), tenant_of, outcome, np.array([0, 2, 1, 2], np.int8))
    assert ledger.decided.tolist() == [1, 2, 0, 1]
    assert ledger.labels.tolist() == [1, 0, 2]


def test_gpu_time_is_shared_as_cpu_time_is() -> None:
    ledger, tenant_of = Ledger(TENANTS, LABELS), np.array([0, 1, 1, 1], np.int16)
    ledger.ran(2, np.arange(4, dtype=np.int32), tenant_of, 40, 800)
    assert ledger.used(100) == (100, 800.0)
    ledger.close(100, Joules(0.0, 16.0, "", "nvml"))
    assert named(ledger.gpu_ns, NAMES) == {"t0": 200, "t1": 600}
    assert ledger.gpu_ns.servings == {2: 800}
    assert named(ledger.energy_uj, NAMES) == {"t0": 4.0, "t1": 12.0}
