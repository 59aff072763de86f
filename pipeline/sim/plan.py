"""What a load would do to a pipeline: forecasts for numbers of processes, and the fewest that hold an SLO."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.clock import NS_PER_MS
from pipeline.config.model import PipelineConfig
from pipeline.engine import LITTLE
from pipeline.sim.arrivals import ARRIVALS
from pipeline.sim.curves import Costs
from pipeline.sim.forecast import Forecast, summed_up
from pipeline.sim.loop import simulate
from pipeline.sim.policy import LivePolicy
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
            LivePolicy(
                work,
                buckets,
                seeds,
                sessions=self._config.engine.sessions,
                objective=self._config.pipeline.objective,
                padded=any(tier is not None and tier.padded for tier in self._costs.tiers),
            ),
            process_of(self._config, self._costs),
            self.load.seed,
            lambda rows: self._tell(f"simulating one of {processes}: {rows:,} of {work.rows:,} events"),
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
