"""What a process shows of itself: its metrics, its health, its page, and where each takes what it shows."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from pipeline.assembly import Assembly, Sink
from pipeline.clock import SystemClock
from pipeline.config.model import PipelineConfig
from pipeline.instance import instance_name
from pipeline.readings import health_of
from pipeline.telemetry.board import Board
from pipeline.telemetry.health_routes import health_routes
from pipeline.telemetry.http_server import HttpServer
from pipeline.telemetry.latest import LatestDecisions
from pipeline.telemetry.page_routes import page_routes
from pipeline.telemetry.prometheus import PipelineCollector, metrics_route, models_of
from pipeline.telemetry.slo_source import SloSource
from pipeline.tier import Tier


class Console:
    """Made before models are opened, so that it is told from the first moment that the process is not ready yet."""

    def __init__(self, config: PipelineConfig, clock: SystemClock) -> None:
        self._config = config
        self._clock = clock
        self._board = Board()
        self._latest = LatestDecisions()
        self.health = health_of(config, clock.instant())
        self._collector = PipelineCollector(config, instance_name(), self._board, self.health, clock.instant)

    @property
    def sink(self) -> Sink:
        """Where the meter tells its records."""
        return self._board.tell

    def knows(self, tiers: Sequence[Tier]) -> None:
        """The models are open: which they are is told from now on."""
        self._collector.models = models_of(tiers)

    def watch(self, assembly: Assembly) -> None:
        """Take a sample of what is published; nothing is taken where nobody can ask for it."""
        if assembly.rollouts is not None:
            rollouts = assembly.rollouts

            def changed() -> None:
                beside = [tier.candidate for tier in rollouts.tiers.values()]
                self._collector.models = models_of(assembly.tiers, beside)

            rollouts.on_change = changed
            changed()
        if self._config.http.enabled:
            assembly.outlet.on_encoded = self._latest.take

    def server(self) -> AbstractContextManager[HttpServer | None]:
        """Answers over HTTP while it is open; None where that is switched off. Raises PortTakenError."""
        http = self._config.http
        if not http.enabled:
            return nullcontext()
        slo = SloSource(http.slo_url, self._config.pipeline.name, http.slo_token) if http.slo_url else None
        told = [metrics_route(self._collector), *health_routes(self.health, self._clock.instant)]
        return HttpServer(http, [*told, *page_routes(self._board, self._config, self._latest, slo)])
