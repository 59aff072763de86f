"""What a load would do to a pipeline: forecasts for numbers of processes, and the fewest that hold an SLO."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.clock import NS_PER_MS
from pipeline.config.model import PipelineConfig
from pipeline.config.problems import ConfigError, Problem
from pipeline.engine import LITTLE
from pipeline.ladder_build import checked_report, thresholds_of
from pipeline.sim.arrivals import ARRIVALS
from pipeline.sim.curves import Costs
from pipeline.sim.forecast import Forecast, summed_up
from pipeline.sim.loop import simulate
from pipeline.sim.policy import CascadePolicy, CostedPolicy, LivePolicy
from pipeline.sim.process import Hop, ProcessModel
from pipeline.sim.service import Curve, Noise
from pipeline.sim.trace import Trace, Workload

WARM_RUNS = 5
_DEFAULT_LINGER_MS = "5"  # librdkafka's


@dataclass(frozen=True)
class Load:
    """Events a second over all partitions, how they arrive, for how long, and the seed of every draw."""

    rate: float
    arrivals: str
    seconds: float
    partitions: int
    seed: int


def process_of(config: PipelineConfig, costs: Costs) -> ProcessModel:
    """A process as the configuration would run it, with Kafka's hops at the producer's own linger."""
    engine, ways = config.engine, costs.ways
    linger_ms = float(config.kafka.producer_settings().get("linger.ms", _DEFAULT_LINGER_MS))
    return ProcessModel(
        sessions=engine.sessions,
        overlapped=engine.session == "thread",
        poll_rows_max=engine.poll_rows_max,
        rows_max=engine.rows_max,
        poll_interval_ns=config.poll_interval_us * 1000,
        little_rows=LITTLE,
        cost=costs.loop,
        fetch=Hop(ways.linger_ns, ways.fetch_ns, ways.sigma),
        delivery=Hop(round(linger_ms * NS_PER_MS), ways.delivery_ns, ways.sigma),
        promised_delivery_ns_max=config.pipeline.budget_ms * NS_PER_MS // 2,
    )


def passed_share_of(config: PipelineConfig) -> float | None:
    """The share of events that a cascade's report expects to go on; None without a cascade. Raises ConfigError."""
    section = config.cascade
    if not section.first:
        return None
    if not section.report:
        text = "a forecast needs the share of events that go on: expected what `headrace models cascade` wrote"
        raise ConfigError("", [Problem("cascade.report", text)])
    return checked_report(config, thresholds_of(config)).expected.passed_share


class Planner:
    """Forecasts of one load on one machine's costs. The same load and seed give the same forecasts.

    Each event goes to a partition at random, each process has its even share of the partitions and cores of
    its own. Processes with as many partitions are alike, so one of each kind is simulated.
    """

    def __init__(
        self, config: PipelineConfig, costs: Costs, load: Load, tell: Callable[[str], None] | None = None
    ) -> None:
        self._config, self._costs, self.load = config, costs, load
        self._tell = tell or (lambda text: None)
        self._arrival_ns = ARRIVALS[load.arrivals](load.rate, load.seconds, load.seed)
        rng = np.random.default_rng((load.seed, 1))
        self._partition = rng.integers(load.partitions, size=len(self._arrival_ns))
        self._value: NDArray[np.float64] = np.zeros(len(self._arrival_ns))
        if config.catalog.decided.priority is not None:
            self._value = rng.lognormal(0.0, 1.0, len(self._arrival_ns))
        self._passed_share = passed_share_of(config)
        self._forecasts: dict[int, Forecast] = {}

    def forecast(self, processes: int) -> Forecast:
        """What so many processes would do. Raises ValueError for more than there are partitions."""
        if not 1 <= processes <= self.load.partitions:
            raise ValueError(f"{processes} processes cannot share {self.load.partitions} partitions")
        if processes not in self._forecasts:
            few, more = divmod(self.load.partitions, processes)
            kinds = [(more, few + 1), (processes - more, few)]
            traces = [(count, self._run(processes, partitions)) for count, partitions in kinds if count]
            tiers = [tier.name for tier in self._config.tiers]
            self._forecasts[processes] = summed_up(processes, traces, tiers, self.load.seconds)
        return self._forecasts[processes]

    def _run(self, processes: int, partitions: int) -> Trace:
        mine = self._partition < partitions
        budget_ns = self._config.pipeline.budget_ms * NS_PER_MS
        work = Workload.with_budget(self._arrival_ns[mine], budget_ns, self._value[mine])
        rows_max, buckets = max(self._config.engine.buckets), self._config.engine.buckets
        rng = np.random.default_rng((self.load.seed, 2, processes, partitions))
        services = [
            Noise(Curve(tier.ns_by_rows, rows_max, padded=tier.padded), tier.noise, rng) if tier else None
            for tier in self._costs.tiers
        ]
        seeds = [
            {bucket: [service.took_ns(bucket, 0) for _ in range(WARM_RUNS)] for bucket in buckets}
            if service
            else None
            for service in services
        ]
        return simulate(
            work,
            services,
            self._policy(work, seeds),
            process_of(self._config, self._costs),
            self.load.seed,
            lambda rows: self._tell(f"simulating one of {processes}: {rows:,} of {work.rows:,} events"),
        )

    def _policy(self, work: Workload, seeds: Sequence[dict[int, list[int]] | None]) -> CostedPolicy:
        config, padded = self._config, any(tier is not None and tier.padded for tier in self._costs.tiers)
        engine, objective = config.engine, config.pipeline.objective
        if self._passed_share is None:
            return LivePolicy(
                work, engine.buckets, seeds, sessions=engine.sessions, objective=objective, padded=padded
            )
        cascade = config.cascade
        unsure = np.random.default_rng((self.load.seed, 3)).random(work.rows) < self._passed_share
        return CascadePolicy(
            work,
            engine.buckets,
            seeds,
            [tier.name for tier in config.tiers].index(cascade.first),
            unsure,
            sessions=engine.sessions,
            objective=objective,
            second=objective if cascade.objective == "pipeline" else cascade.objective,
            padded=padded,
        )

    def fewest(self, holds: Callable[[Forecast], bool]) -> Forecast | None:
        """The fewest processes whose forecast holds, or None when as many as partitions do not."""
        found = fewest(lambda processes: holds(self.forecast(processes)), self.load.partitions)
        return self.forecast(found) if found is not None else None

    @property
    def tried(self) -> list[Forecast]:
        """All forecasts made so far, fewest processes first."""
        return [self._forecasts[processes] for processes in sorted(self._forecasts)]


def fewest(holds: Callable[[int], bool], most: int) -> int | None:
    """The least number from 1 to `most` that holds, or None. Doubles, then bisects: more must do no worse."""
    too_few, enough = 0, 1
    while not holds(enough):
        if enough == most:
            return None
        too_few, enough = enough, min(2 * enough, most)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if holds(middle) else (middle, enough)
    return enough
