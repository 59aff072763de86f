"""Running a pipeline: open, join, turn until told to stop, drain, leave."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.assembly import Assembly, Sink
from pipeline.clock import NS_PER_MS, SystemClock
from pipeline.config.model import PipelineConfig
from pipeline.console import Console
from pipeline.row_layout import features_of
from pipeline.telemetry.on_call import OnCall
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
    on_serving: Callable[[str], None] | None = None,
) -> Summary:
    """Run until `stop` is set (a replay: until all is decided), then drain within `drain_ms_max`.

    `on_meter` is called with each metrics record and the totals so far, in this thread; `on_ready` once, when
    models are warm and the group is being joined; `on_serving` before that, with the address of the live page where
    there is one. Raises HeadraceError, KafkaError or ValueError with a text meant for the operator.
    """
    clock = SystemClock()
    console = Console(config, clock)
    on_call = OnCall(config.pipeline.budget_ms, config.engine.rows_max)
    sinks = [console.sink, on_call.tell, *([] if on_meter is None else [on_meter])]
    with console.server() as server:
        if on_serving is not None and server is not None and server.url:
            on_serving(server.url)
        return _run(config, stop, sinks, on_ready, clock, console)


def _run(
    config: PipelineConfig,
    stop: threading.Event,
    sinks: Sequence[Sink],
    on_ready: Callable[[], None] | None,
    clock: SystemClock,
    console: Console,
) -> Summary:
    features = features_of(config)
    tiers = open_tiers(config, features.names)
    console.knows(tiers)
    assembly = Assembly(config, tiers, features, sinks, clock, console.health)
    console.watch(assembly)
    try:
        log.info("models are warm, group %s is being joined", config.kafka.common["group.id"])
        assembly.start()
        if on_ready is not None:
            on_ready()
        assembly.engine.run(lambda: stop.is_set() or assembly.finished())
        assembly.pulse.drain(clock.now_ns())
        return _drained(assembly, clock)
    finally:
        assembly.close()


def _drained(assembly: Assembly, clock: SystemClock) -> Summary:
    """Finish what is in flight, and say how that ended."""
    limit_ms, began_ns = assembly.config.engine.drain_ms_max, clock.now_ns()
    log.info("told to stop: %d rows in flight are finished, %d ms at most", assembly.in_flight.used_rows, limit_ms)
    drained = assembly.engine.drain(began_ns + limit_ms * NS_PER_MS)
    took_ms = (clock.now_ns() - began_ns) // NS_PER_MS
    summary = Summary(drained, assembly.meter.finish(clock.instant(), ended=True))
    if drained:
        log.info(
            "drained in %d ms: every outcome is delivered, every offset committed", took_ms, extra=_ended(summary)
        )
    else:
        left = assembly.in_flight.used_rows
        text = "not drained in %d ms: %d rows are left to the next start, which decides them again"
        log.warning(text, took_ms, left, extra=_ended(summary))
    return summary


def _ended(summary: Summary) -> dict[str, object]:
    return {"outcomes": summary.totals.outcomes, "read": summary.totals.counts.get("read", 0)}
