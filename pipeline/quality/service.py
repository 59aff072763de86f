"""Running the quality app: read, join, tell each period that is over, until told to stop."""

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack

from aiohttp import web
from confluent_kafka import KafkaException, Producer

from pipeline.clock import SystemClock
from pipeline.config.model import PipelineConfig
from pipeline.kafka.librdkafka import KafkaError
from pipeline.quality.exporter import QualityCollector
from pipeline.quality.intake import Intake
from pipeline.quality.report import line_of, records_of
from pipeline.telemetry.http_server import HttpServer
from pipeline.telemetry.prometheus import metrics_route
from pipeline.wire.quality import QualityRecord

DELIVER_S_MAX = 10.0

log = logging.getLogger(__name__)


def run_quality(config: PipelineConfig, stop: threading.Event, tell: Callable[[str], None], *, once: bool) -> int:
    """Run until `stop` is set, or with `once` until all that the topics hold was read; returns how many periods.

    `tell` is given a line for each period and each record of it. Raises KafkaError where the cluster cannot serve.
    """
    clock = SystemClock()
    try:
        with ExitStack() as stack:
            intake = Intake(config, config.engine.request_ms_max / 1000)
            stack.callback(intake.close)
            collector = QualityCollector(config.pipeline.name, intake)
            if config.http.enabled:
                section = config.http.model_copy(update={"port": config.quality.port})
                stack.enter_context(HttpServer(section, [metrics_route(collector), *_health()]))
            log.info("decisions of %s and their labels are read from the oldest on", config.pipeline.name)
            outlet = _Outlet(config)
            periods = 0
            whole = not intake.lost
            while not stop.is_set():
                for period in intake.turn(clock.instant().wall_ms):
                    cards, name = config.quality.cards, config.pipeline.name
                    found = list(records_of(name, period, intake.answerers, cards, whole=whole))
                    whole = True
                    outlet.publish(found)
                    collector.last = {record.who: record for record in found}
                    _tell(found, tell)
                    periods += 1
                if once and intake.caught_up:
                    break
            return periods
    except KafkaException as error:
        raise KafkaError(error.args[0].code(), f"quality: {error.args[0].str()}") from None


def _health() -> list[web.RouteDef]:
    async def alive(_request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    return [web.get("/healthz", alive)]


def _tell(records: list[QualityRecord], tell: Callable[[str], None]) -> None:
    from datetime import UTC, datetime

    begin, end = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (records[0].from_ms, records[0].to_ms))
    tell(f"{begin:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S}")
    for record in records:
        tell(f"  {line_of(record)}")


class _Outlet:
    """Publishes records and waits for their delivery. Raises KafkaError where that fails."""

    def __init__(self, config: PipelineConfig) -> None:
        self._topic = config.topics.quality
        settings = config.kafka.plain_producer_settings()
        self._producer = Producer({**settings, "enable.idempotence": True, "linger.ms": 5})

    def publish(self, records: list[QualityRecord]) -> None:
        failed: list[str] = []

        def delivered(error: object, _message: object) -> None:
            if error is not None:
                failed.append(str(error))

        for record in records:
            self._producer.produce(self._topic, record.encode(), record.key.encode(), on_delivery=delivered)
        left = self._producer.flush(DELIVER_S_MAX)
        if failed or left:
            why = failed[0] if failed else f"no answer within {DELIVER_S_MAX:g} s"
            raise KafkaError(0, f"{self._topic}: {len(failed) + left} records were not delivered: {why}")
