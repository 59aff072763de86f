"""Running a pipeline: open, join, turn until told to stop, drain, leave."""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from aiohttp.web import RouteDef

from pipeline.assembly import Assembly, Sink, instance_name
from pipeline.clock import NS_PER_MS, SystemClock
from pipeline.config.model import PipelineConfig
from pipeline.readings import health_of
from pipeline.row_layout import features_of
from pipeline.telemetry.board import Board
from pipeline.telemetry.health import Health
from pipeline.telemetry.health_routes import health_routes
from pipeline.telemetry.http_server import HttpServer
from pipeline.telemetry.prometheus import PipelineCollector, metrics_route, models_of
from pipeline.tiers import open_tiers
from pipeline.wire.metrics import MetricsRecord

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Summary:
    """How a run ended: whether all that was read is delivered and committed, and what was counted."""

    drained: bool
    totals: MetricsRecord


def run_pipeline(
    config: PipelineConfig,
    *,
    stop: threading.Event,
    on_meter: Sink | None = None,
    on_ready: Callable[[], None] | None = None,
) -> Summary:
    """Run until `stop` is set (a replay: until all is decided), then drain within `drain_ms_max`.

    `on_meter` is called with each metrics record and the totals so far, in this thread; `on_ready` once, when
    models are warm and the group is being joined. Raises HeadraceError, KafkaError or ValueError with a text
    meant for the operator.
    """
    clock, board = SystemClock(), Board()
    health = health_of(config, clock.instant())
    collector = PipelineCollector(config, instance_name(), board, health, clock.instant)
    routes = [metrics_route(collector), *health_routes(health, clock.instant)]
    sinks = [board.tell] if on_meter is None else [board.tell, on_meter]
    with _server_of(config, routes):
        return _run(config, stop, sinks, on_ready, clock, health, collector)


def _server_of(config: PipelineConfig, routes: Sequence[RouteDef]) -> AbstractContextManager[object]:
    """What answers over HTTP from the first moment on, before models are warm."""
    return HttpServer(config.http, routes) if config.http.enabled else nullcontext()


def _run(
    config: PipelineConfig,
    stop: threading.Event,
    sinks: Sequence[Sink],
    on_ready: Callable[[], None] | None,
    clock: SystemClock,
    health: Health,
    collector: PipelineCollector,
) -> Summary:
    features = features_of(config)
    tiers = open_tiers(config, features.names)
    collector.models = models_of(tiers)
    assembly = Assembly(config, tiers, features, sinks, clock, health)
    try:
        log.info("models are warm, group %s is being joined", config.kafka.common["group.id"])
        assembly.start()
        if on_ready is not None:
            on_ready()
        assembly.engine.run(lambda: stop.is_set() or assembly.finished())
        assembly.pulse.drain(clock.now_ns())
        until_ns = clock.now_ns() + config.engine.drain_ms_max * NS_PER_MS
        drained = assembly.engine.drain(until_ns)
        return Summary(drained, assembly.meter.finish(clock.instant(), ended=True))
    finally:
        assembly.close()
