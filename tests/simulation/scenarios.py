"""Random scenarios of the simulator, each a function of one number, and what must hold in all of them."""

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.batch import Batch, Delivery, Plan
from pipeline.batcher import PROBE_NS, Objective
from pipeline.rows import Outcome
from pipeline.sim.arrivals import ARRIVALS
from pipeline.sim.loop import simulate
from pipeline.sim.policy import LivePolicy
from pipeline.sim.process import Hop, LoopCost, ProcessModel
from pipeline.sim.service import Curve, Drift, Noise, Service, Stalls, at_random
from pipeline.sim.trace import NO_TIER, NOT_DISPATCHED, Trace, Workload

US, MS = 1_000, 1_000_000
BUCKETS = ((1,), (1, 8), (1, 4, 16, 64), (1, 8, 32, 64, 128), (16,))


@dataclass(frozen=True)
class Scenario:
    """What a run is made of; a failure that prints it says all."""

    work: Workload
    curves: tuple[dict[int, float], ...]
    buckets: tuple[int, ...]
    noise: float
    padded: bool
    stalled: bool
    drifting: bool
    process: ProcessModel
    deadlines: bool
    seed: int
    rule: bool = False
    objective: Objective = "latency"

    def services(self) -> list[Service | None]:
        rng = np.random.default_rng(self.seed)
        until_ns = int(self.work.arrival_ns.max(initial=0)) + MS
        services: list[Service | None] = []
        for curve in self.curves:
            service: Service = Noise(Curve(curve, max(self.buckets), padded=self.padded), self.noise, rng)
            if self.drifting:
                service = Drift(service, 4.0, until_ns // 4, until_ns // 2)
            if self.stalled:
                service = Stalls(service, at_random(until_ns // 5 + 1, until_ns // 20 + 1, until_ns, rng))
            services.append(service)
        return [*services, None] if self.rule else services


def scenario(seed: int) -> Scenario:
    """The scenario of this number, always the same."""
    draw = random.Random(seed)
    buckets = draw.choice(BUCKETS)
    row_us = draw.choice([1, 5, 50, 500])
    rate = draw.choice([0.3, 0.8, 1.0, 2.0, 10.0]) * 1e6 / row_us
    # Drawn at 50 a second, where a burst or a day holds some rows, then sped up.
    drawn_ns = ARRIVALS[draw.choice(sorted(ARRIVALS))](50.0, draw.randint(5, 250) / 50, seed)
    arrivals = (drawn_ns * (50.0 / rate)).astype(np.int64)
    spread = draw.choice([0, 20 * row_us * US])
    budget_ns = draw.choice([5, 30, 200, 2000]) * row_us * US
    deadline_ns = arrivals + budget_ns + np.array([draw.randint(0, spread) for _ in arrivals], np.int64)
    curves = tuple(
        {rows: row_us * US / (4**tier) * draw.uniform(0.5, 2.0) * (5 + rows) for rows in sorted({1, *buckets})}
        for tier in range(draw.randint(1, 3))
    )
    return Scenario(
        work=Workload(arrivals, deadline_ns, np.array([draw.random() for _ in arrivals])),
        curves=curves,
        buckets=buckets,
        noise=draw.choice([0.0, 0.1, 0.5]),
        padded=draw.random() < 0.3,
        stalled=draw.random() < 0.3,
        drifting=draw.random() < 0.3,
        process=process(draw, row_us),
        deadlines=draw.random() < 0.9,
        seed=seed,
        rule=draw.random() < 0.3,
        objective="cost" if draw.random() < 0.3 else "latency",
    )


def process(draw: random.Random, row_us: int) -> ProcessModel:
    """Any way to run: sessions, bounds, pacing, loop costs, hops."""
    overlapped = draw.random() < 0.7
    free = draw.random() < 0.3
    cost = LoopCost() if free else LoopCost(*(draw.randint(0, 5 * row_us * US) for _ in range(7)))
    hop = Hop(draw.choice([0, 20 * row_us * US]), 10 * row_us * US, 0.7)
    return ProcessModel(
        sessions=draw.randint(1, 4) if overlapped else 1,
        overlapped=overlapped,
        poll_rows_max=draw.choice([1, 10, 1024]),
        rows_max=draw.choice([4, 40, 4096]),
        poll_interval_ns=draw.choice([0, 0, 10 * row_us * US]),
        little_rows=draw.choice([8, 256]),
        cost=cost,
        fetch=hop if draw.random() < 0.5 else None,
        delivery=hop if draw.random() < 0.5 else None,
    )


Seeds = list[dict[int, list[int]] | None]


class Recorder:
    """The live policy, each of its plans checked against law 4 as it leaves and kept."""

    def __init__(self, drawn: Scenario, seeds: Seeds) -> None:
        self._live = LivePolicy(
            drawn.work,
            drawn.buckets,
            seeds,
            sessions=drawn.process.sessions,
            objective=drawn.objective,
            deadlines=drawn.deadlines,
        )
        self._sessions = drawn.process.sessions
        self._running: list[tuple[int, Batch]] = []
        self._began_ns: int | None = None
        self._ran_ns: dict[int, int] = {}
        self._deadline_ns = drawn.work.deadline_ns
        self._rows_max = max(drawn.buckets)
        self._deadlines = drawn.deadlines
        self._tiers = range(len(seeds))
        self.left: list[NDArray[np.int32]] = []
        self.offer = self._live.offer
        self.observe = self._live.observe
        self.next_wake_ns = self._live.next_wake_ns
        self.promised_ns = self._live.promised_ns
        self.answered = self._live.answered
        self.pass_on = self._live.pass_on
        self.first_tier = self._live.first_tier

    @property
    def pending_rows(self) -> int:
        return self._live.pending_rows

    def poll(self, now_ns: int, delivery: Delivery) -> Plan:
        self._began_ns = now_ns if self._began_ns is None else self._began_ns
        plan = self._live.poll(now_ns, delivery)
        for batch in plan.batches:
            promised_ns = self.promised_ns(batch.tier, len(batch.slots))
            if self._live.costs[batch.tier] is not None:
                self._running.append((now_ns + promised_ns, batch))
                assert 1 <= len(batch.slots) <= self._rows_max
            if self._deadlines and not self._probes(batch, now_ns):
                cost = self._live.costs[batch.tier]
                needed_ns = min(promised_ns, cost.expected_ns(len(batch.slots))) if cost else 0
                done_ns = now_ns + delivery.typical_ns + needed_ns
                assert (self._deadline_ns[batch.slots] >= done_ns).all(), "dispatched though it will be late"
            self.left.append(batch.slots)
        assert len(self._running) <= self._sessions
        if len(plan.expired):
            assert (self._deadline_ns[plan.expired] < self._lost_ns(now_ns, delivery)).all(), "could be saved"
            self.left.append(plan.expired)
        return plan

    def _probes(self, batch: Batch, now_ns: int) -> bool:
        """Rows for a tier that has not run for long may come late, if they are not late already."""
        since_ns = now_ns - self._ran_ns.get(batch.tier, self._began_ns)
        self._ran_ns[batch.tier] = now_ns
        return since_ns >= PROBE_NS and (self._deadline_ns[batch.slots] >= now_ns).all()

    def _lost_ns(self, now_ns: int, delivery: Delivery) -> int:
        """A row due later than this is not given up: a session is idle soon enough for the largest batch."""
        if None in self._live.costs:
            return now_ns + delivery.typical_ns
        free_ns = max([now_ns, *(end_ns for end_ns, _ in self._running)])
        longest_ns = max(
            self.promised_ns(tier, rows) for tier in self._tiers for rows in range(1, self._rows_max + 1)
        )
        return free_ns + max(delivery) + longest_ns

    def complete(self, batch: Batch) -> None:
        self._running = [(end_ns, other) for end_ns, other in self._running if other is not batch]
        self._live.complete(batch)


def run(drawn: Scenario) -> tuple[Trace, Recorder]:
    services = drawn.services()
    seeds: Seeds = [
        {bucket: [service.took_ns(bucket, 0) for _ in range(3)] for bucket in drawn.buckets} if service else None
        for service in services
    ]
    recorder = Recorder(drawn, seeds)
    return simulate(drawn.work, services, recorder, drawn.process, drawn.seed), recorder


def check(drawn: Scenario) -> Trace:
    """Run it and assert every law on what came out, by the arrays alone."""
    trace, recorder = run(drawn)
    work, process, batches = drawn.work, drawn.process, trace.batches
    left = np.concatenate([*recorder.left, np.empty(0, np.int32)])
    assert np.array_equal(np.sort(left), np.arange(work.rows)), "a row was lost or doubled"
    counted = np.bincount(trace.outcome, minlength=len(Outcome))
    assert counted[Outcome.SCORED] + counted[Outcome.DEGRADED] + counted[Outcome.EXPIRED] == work.rows
    assert counted[Outcome.SCORED] == (trace.tier == 0).sum()
    assert counted[Outcome.DEGRADED] == (trace.tier > 0).sum()
    scored = trace.tier != NO_TIER
    assert batches.rows.sum() == (scored & (trace.tier < len(drawn.curves))).sum()
    assert (trace.dispatch_ns[~scored] == NOT_DISPATCHED).all()
    if drawn.deadlines:
        assert (trace.dispatch_ns <= work.deadline_ns).all(), "dispatched after its deadline"
    else:
        assert scored.all()
    assert not (trace.deadline_met() & ~scored).any()
    assert not (trace.good() & ~trace.deadline_met()).any()
    check_times(trace, scored)
    assert trace.in_flight_rows_max <= process.rows_max
    for session in range(process.sessions):
        mine = batches.session == session
        ends = batches.start_ns[mine] + batches.took_ns[mine]
        assert (batches.start_ns[mine][1:] >= ends[:-1]).all(), "a session ran two batches at once"
    assert len(batches.session) == 0 or batches.session.max() < process.sessions
    return trace


def check_times(trace: Trace, scored: NDArray[np.bool_]) -> None:
    assert (trace.read_ns >= trace.work.arrival_ns).all()
    assert (trace.dispatch_ns[scored] >= trace.read_ns[scored]).all()
    assert (trace.handed_ns[scored] >= trace.dispatch_ns[scored]).all()
    assert (trace.handed_ns >= trace.read_ns).all()
    assert (trace.done_ns >= trace.handed_ns).all()
