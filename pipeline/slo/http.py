"""The app's HTTP: `/metrics`, `/healthz`, `/readyz`, and `/api/slo` for the live page."""

import hmac
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client.exposition import generate_latest

from pipeline.config.problems import ConfigError, Problem
from pipeline.slo.burn import Reading, budget_left_of
from pipeline.slo.config import HttpSection, SloConfig
from pipeline.slo.duty import Duty
from pipeline.slo.exporter import QUANTILES, burns_of, registry_of
from pipeline.slo.notify import Notifier, now_ms
from pipeline.slo.watch import Watched, WatchedSlo

SILENT_EVALUATIONS_MAX = 10
"""A process on duty that did not evaluate for so many intervals (and half a minute) is not alive."""


class SloHttp:
    """Answers in the loop that the app runs in: one that hangs does not answer, which is what liveness asks."""

    def __init__(self, config: SloConfig, duty: Duty, notifier: Notifier) -> None:
        self._config = config
        self._duty = duty
        self._registry = registry_of(duty, notifier)
        self._runner: web.AppRunner | None = None

    def application(self) -> web.Application:
        """The paths."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/api/slo", self._slo),
            ]
        )
        return application

    async def start(self) -> int:
        """Listen; returns the port. Raises ConfigError when it is taken."""
        self._runner = web.AppRunner(self.application(), access_log=None)
        await self._runner.setup()
        http = self._config.http
        site = web.TCPSite(self._runner, http.host, http.port)
        try:
            await site.start()
        except OSError as error:
            text = f"cannot listen at {http.host}:{http.port}: {error.strerror or error}"
            raise ConfigError("", [Problem("http.port", text)]) from None
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _request: web.Request) -> web.Response:
        text = generate_latest(self._registry)
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _healthz(self, _request: web.Request) -> web.Response:
        silent_ms = now_ms() - self._duty.evaluated_ms
        limit_ms = 1000 * (30 + SILENT_EVALUATIONS_MAX * self._config.app.evaluate_s)
        stalled = self._duty.state == "on duty" and self._duty.evaluated_ms > 0 and silent_ms > limit_ms
        return web.Response(text="stalled\n" if stalled else "ok\n", status=503 if stalled else 200)

    async def _readyz(self, _request: web.Request) -> web.Response:
        ready = self._duty.state in ("on duty", "standing by")
        return web.Response(text=f"{self._duty.state}\n", status=200 if ready else 503)

    async def _slo(self, request: web.Request) -> web.Response:
        if not allowed(self._config.http, request):
            return web.Response(text="the token is missing or wrong\n", status=401)
        return web.json_response(state_of(self._duty))


def allowed(http: HttpSection, request: web.Request) -> bool:
    """Whether a request carries the token, if there is one."""
    if not http.token:
        return True
    given = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.query.get("token", "")
    return hmac.compare_digest(given.encode(), http.token.encode())


def state_of(duty: Duty) -> dict[str, Any]:
    """What `/api/slo` says, version 1; times are ms since the epoch."""
    watch = duty.watch
    return {
        "v": 1,
        "now_ms": now_ms(),
        "state": duty.state,
        "evaluated_ms": duty.evaluated_ms,
        "slos": [_promise(slo) for slo in watch.slos.values()],
        "alerts": [msgspec.to_builtins(alert) for alert in watch.firing.values()],
        "pipelines": [_pipeline(watched) for watched in watch.pipelines.values()],
    }


def _promise(slo: WatchedSlo) -> dict[str, Any]:
    counts = slo.burn.counts(now_ms())
    return {
        "name": slo.promise.name,
        "pipeline": slo.promise.pipeline,
        "kind": slo.promise.kind,
        "objective": slo.promise.objective,
        "threshold_ms": slo.promise.threshold_ms,
        "good": counts.good,
        "bad": counts.bad,
        "budget_left": budget_left_of(counts, slo.burn.budget),
        "burns": burns_of(slo),
        "pairs": [_pair(reading) for reading in slo.burn.readings(now_ms())],
        "firing": [severity for severity, firing in slo.burn.firing.items() if firing.on],
    }


def _pair(reading: Reading) -> dict[str, Any]:
    return {
        "severity": reading.pair.severity,
        "factor": reading.pair.factor,
        "long_ms": reading.pair.long_ms,
        "short_ms": reading.pair.short_ms,
        "long_burn": reading.long_burn,
        "short_burn": reading.short_burn,
        "exceeds": reading.exceeds,
    }


def _pipeline(watched: Watched) -> dict[str, Any]:
    ages = watched.ages.merged(now_ms())
    return {
        "name": watched.name,
        "unanswered": watched.expected.unanswered,
        "lag": watched.partitions.lag,
        "instances": [{"name": name, "last_ms": at_ms} for name, at_ms in watched.instances.last_ms().items()],
        "age_us": {str(quantile): ages.quantile(quantile) for quantile in QUANTILES},
    }
