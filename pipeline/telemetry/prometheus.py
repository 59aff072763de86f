"""`/metrics`: what the meter told, in Prometheus' words. docs/metrics.md is its table; a test holds both equal."""

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.aiohttp import make_aiohttp_handler
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from pipeline.clock import Instant
from pipeline.config.model import PipelineConfig
from pipeline.telemetry.board import Board, Told
from pipeline.telemetry.counters import COUNTERS
from pipeline.telemetry.edges import latency_buckets, latency_edges_s, row_buckets
from pipeline.telemetry.gauges import GAUGES
from pipeline.telemetry.health import Health, Phase
from pipeline.tier import ModelTier, Tier

OURS = ("pipeline", "instance_id")
"""On every metric but those of the process."""
STAGES = ("queue", "features", "score", "total")
SHA256_SHOWN = 12


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Which model answers in which tier."""

    tier: str
    model: str
    version: str
    provider: str
    sha256: str
    role: str = "stable"


def models_of(tiers: Sequence[Tier], candidates: Iterable[ModelTier | None] = ()) -> tuple[ModelFacts, ...]:
    """What is warm; rules have no model."""
    found = [("stable", tier) for tier in tiers] + [("candidate", tier) for tier in candidates if tier is not None]
    return tuple(
        ModelFacts(
            tier.name,
            tier.label.model or "",
            tier.label.version or "",
            tier.label.provider or "",
            tier.sha256[:SHA256_SHOWN],
            role,
        )
        for role, tier in found
        if isinstance(tier, ModelTier)
    )


class PipelineCollector(Collector):
    """Gives all metrics of a pipeline's process when asked, from any thread; keeps nothing but what counters showed.

    A decision that can never be delivered is taken back from its outcome, and a counter must not fall: it shows the
    most that it ever was. `models` is set once they are warm.
    """

    def __init__(
        self, config: PipelineConfig, instance: str, board: Board, health: Health, instant: Callable[[], Instant]
    ) -> None:
        self._config = config
        self._own = (config.pipeline.name, instance)
        self._board = board
        self._health = health
        self._instant = instant
        self._edges_s = latency_edges_s(config.pipeline.budget_ms)
        self._shown: dict[tuple[str, tuple[str, ...]], float] = {}
        self.models: tuple[ModelFacts, ...] = ()

    def collect(self) -> Iterable[Metric]:
        """All metrics, as of now."""
        yield from self._facts()
        yield from self._state()
        told = self._board.last()
        if told is None:
            return
        yield from self._counters(told)
        yield from self._gauges(told)
        yield from self._histograms(told)

    def _counters(self, told: Told) -> Iterable[Metric]:
        for family in COUNTERS:
            metric = CounterMetricFamily(family.name, family.says, labels=(*OURS, *family.labels))
            for labels, value in family.read(told.totals):
                most = self._shown[family.name, labels] = max(value, self._shown.get((family.name, labels), 0))
                metric.add_metric((*self._own, *labels), most)
            yield metric

    def _gauges(self, told: Told) -> Iterable[Metric]:
        for family in GAUGES:
            metric = GaugeMetricFamily(family.name, family.says, labels=(*OURS, *family.labels))
            for labels, value in family.read(told.record):
                metric.add_metric((*self._own, *labels), value)
            yield metric

    def _histograms(self, told: Told) -> Iterable[Metric]:
        stages = HistogramMetricFamily(
            "headrace_stage_seconds",
            "What a row took: waiting, features, its batch's score, and in all from arrival to hand-over.",
            labels=(*OURS, "stage"),
        )
        found = told.totals.histograms
        for stage in STAGES:
            stages.add_metric((*self._own, stage), *latency_buckets(found.get(stage, {}), self._edges_s))
        yield stages
        for name, says in (
            ("delivery", "From hand-over to the delivery report."),
            ("age", "From the record's timestamp to the delivery report: what latency objectives are held to."),
        ):
            metric = HistogramMetricFamily(f"headrace_{name}_seconds", says, labels=OURS)
            metric.add_metric(self._own, *latency_buckets(found.get(name, {}), self._edges_s))
            yield metric
        batches = HistogramMetricFamily("headrace_batch_rows", "Rows of a batch.", labels=OURS)
        batches.add_metric(self._own, *row_buckets(told.totals.batch_rows, self._config.engine.buckets))
        yield batches

    def _state(self) -> Iterable[Metric]:
        """What is known without a record: whether the process lives, and how far it is."""
        now, phase = self._instant(), self._health.vitals.phase
        for name, says, value in (
            ("headrace_alive", "1 while /healthz answers 200.", self._health.alive(now).ok),
            ("headrace_ready", "1 while /readyz answers 200.", self._health.ready(now).ok),
        ):
            metric = GaugeMetricFamily(name, says, labels=OURS)
            metric.add_metric(self._own, float(value))
            yield metric
        phases = GaugeMetricFamily("headrace_phase", "1 for the phase it is in.", labels=(*OURS, "phase"))
        for each in Phase:
            phases.add_metric((*self._own, each.value), float(each is phase))
        yield phases

    def _facts(self) -> Iterable[Metric]:
        """What stays as it is."""
        build = InfoMetricFamily("headrace_build", "What runs.", labels=OURS)
        build.add_metric(
            self._own,
            {"version": _headrace(), "python": platform.python_version(), "onnxruntime": _onnxruntime()},
        )
        yield build
        budget = GaugeMetricFamily("headrace_budget_seconds", "What an event may take.", labels=OURS)
        budget.add_metric(self._own, self._config.pipeline.budget_ms / 1000)
        yield budget
        says = "A model that answers in a tier, the stable one or the candidate."
        models = InfoMetricFamily("headrace_model", says, labels=(*OURS, "tier"))
        for facts in self.models:
            models.add_metric(
                (*self._own, facts.tier),
                {
                    "model": facts.model,
                    "version": facts.version,
                    "provider": facts.provider,
                    "sha256": facts.sha256,
                    "role": facts.role,
                },
            )
        yield models


def metrics_route(collector: Collector) -> web.RouteDef:
    """`/metrics` over a registry of its own, with the process's metrics; OpenMetrics for who asks for it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    ProcessCollector(registry=registry)
    return web.get("/metrics", make_aiohttp_handler(registry))


def _headrace() -> str:
    try:
        return version("headrace")
    except PackageNotFoundError:  # run from its sources, not installed
        return "unknown"


def _onnxruntime() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)
