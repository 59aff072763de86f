"""`/healthz` and `/readyz`: 200 or 503, and a JSON body that says which condition does not hold, since when."""

from collections.abc import Callable

from aiohttp import web

from pipeline.clock import Instant
from pipeline.telemetry.health import Health, Verdict


def health_routes(health: Health, instant: Callable[[], Instant]) -> list[web.RouteDef]:
    """Both paths, answered from what the loop said last."""

    async def alive(_request: web.Request) -> web.Response:
        return _answer(health.alive(instant()))

    async def ready(_request: web.Request) -> web.Response:
        return _answer(health.ready(instant()))

    return [web.get("/healthz", alive), web.get("/readyz", ready)]


def _answer(verdict: Verdict) -> web.Response:
    return web.json_response(verdict.body(), status=200 if verdict.ok else 503, headers={"Cache-Control": "no-store"})
