"""A small HTTP server beside the pipeline: a thread of its own, so that who asks never holds the engine's loop."""

import asyncio
import hmac
import logging
import socket
import threading
from collections.abc import Sequence
from types import TracebackType

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from pipeline.config.http_section import HttpSection
from pipeline.errors import HeadraceError

log = logging.getLogger(__name__)
PORTS = range(9464, 9480)
"""Where Prometheus exporters of this kind are looked for."""
OPEN_PATHS = frozenset({"/metrics", "/healthz", "/readyz"})
"""Read by machines that know no token; they hold no events and no keys."""
STOPPING: web.AppKey[asyncio.Event] = web.AppKey("stopping", asyncio.Event)
"""In the application: set when the server is about to end, for handlers that would go on for ever."""
STOP_S_MAX = 3.0
_BACKLOG = 64


class PortTakenError(HeadraceError):
    """The port that the configuration names is another's, or may not be had."""


def listening(section: HttpSection) -> socket.socket | None:
    """A bound socket as the section asks for; None where any port would do and none is free.

    Raises PortTakenError naming `http.port`.
    """
    wanted = PORTS if section.port is None else (section.port,)
    problem: OSError | None = None
    for port in wanted:
        try:
            return socket.create_server((section.host, port), backlog=_BACKLOG)
        except OSError as error:
            problem = error
    if section.port is None:
        log.warning("no port from %d to %d is free on %s: nothing is served", PORTS[0], PORTS[-1], section.host)
        return None
    raise PortTakenError(
        f"http.port: cannot listen on {section.host}:{section.port} ({problem}), expected a free port; "
        "0 takes any, http.enabled = false does without"
    )


def _is_local(host: str | None) -> bool:
    """Whether a browser asked for this machine by a name that no one else can give it."""
    return host is not None and HttpSection.model_construct(host=host.strip("[]")).local


def _guard(token: str) -> Middleware:
    """Refuses those who ask for the page or its data without the token; where there is none, those who ask for
    another host than this machine: a stranger's page may have given its name our address."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in OPEN_PATHS:
            return await handler(request)
        if not token:
            if _is_local(request.url.host):
                return await handler(request)
            text = f"expected localhost, 127.0.0.1 or ::1 as host, found {request.host}; else set a token in [http]\n"
            return web.Response(status=403, text=text)
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        shown = bearer or request.query.get("token", "") or request.cookies.get("token", "")
        if not hmac.compare_digest(shown.encode(), token.encode()):
            return web.Response(status=401, text="expected the token of [http]: open /?token=...\n")
        return await handler(request)

    return guard


class HttpServer:
    """Serves `routes` from a daemon thread until closed; the socket is bound when this returns.

    Handlers run on that thread's event loop and share nothing with the engine but what is safe to read from
    another thread. Raises PortTakenError.
    """

    def __init__(self, section: HttpSection, routes: Sequence[web.AbstractRouteDef]) -> None:
        self._socket = listening(section)
        self._section = section
        self._routes = routes
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        if self._socket is not None:
            self._thread.start()
            log.info("metrics, health and the live page: %s", self.url)

    @property
    def url(self) -> str:
        """Where it answers; empty where no port was free."""
        if self._socket is None:
            return ""
        host, port = self._socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    def __enter__(self) -> "HttpServer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop answering; bounded in time, connections that stay open are cut."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(STOP_S_MAX)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(middlewares=[_guard(self._section.token)])
        app[STOPPING] = self._stop
        app.add_routes(self._routes)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S_MAX / 3)
        await runner.setup()
        assert self._socket is not None
        await web.SockSite(runner, self._socket).start()
        await self._stop.wait()
        await runner.cleanup()
