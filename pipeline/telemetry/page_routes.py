"""The live page over HTTP: its files, its state, and a message a second while it is open."""

import asyncio
import hashlib
import hmac
import socket
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import NamedTuple

from aiohttp import web

from pipeline.config.model import PipelineConfig
from pipeline.telemetry.board import Board
from pipeline.telemetry.http_server import STOPPING
from pipeline.telemetry.latest import LatestDecisions
from pipeline.telemetry.page_feed import Feed
from pipeline.telemetry.slo_source import SloSource

STREAMS_MAX = 16
"""Browsers that are told of news at once; one more is refused."""
WRITE_S_MAX = 20.0
"""How long a browser may leave one message untaken before its connection is cut."""
UNSENT_BYTES_MAX = 1 << 16
"""What is kept for a browser that reads slowly, beside the one message being written."""
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_DATA_HEADERS = {**_HEADERS, "Cache-Control": "no-store"}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PageFile(NamedTuple):
    """A file of the page as it is served; the tag changes with the bytes."""

    body: bytes
    content_type: str
    etag: str


def page_files() -> dict[str, PageFile]:
    """The page's files by name, as they were shipped."""
    found = {}
    for entry in (resources.files("pipeline.telemetry") / "page").iterdir():
        kind = _TYPES.get("." + entry.name.rpartition(".")[2])
        if kind is not None:
            body = entry.read_bytes()
            found[entry.name] = PageFile(body, kind, hashlib.sha256(body).hexdigest()[:32])
    return found


def _served(file: PageFile, request: web.Request) -> web.Response:
    """The file, or 304 to who has it already: names stay, so a browser asks each time whether it has changed."""
    headers = {**_HEADERS, "Cache-Control": "no-cache"}
    if any(tag.value == file.etag for tag in request.if_none_match or ()):
        response = web.Response(status=304, headers=headers)
    else:
        response = web.Response(body=file.body, content_type=file.content_type, charset="utf-8", headers=headers)
    response.etag = file.etag
    return response


def _file_routes(files: dict[str, PageFile], token: str) -> list[web.RouteDef]:
    async def index(request: web.Request) -> web.StreamResponse:
        shown = request.query.get("token", "")
        if token and hmac.compare_digest(shown.encode(), token.encode()):
            # From here on a cookie, so that the token stays out of the history and of what is copied from the bar.
            moved = web.Response(status=303, headers={**_DATA_HEADERS, "Location": "./"})
            moved.set_cookie("token", token, httponly=True, samesite="Strict")
            return moved
        return _served(files["index.html"], request)

    async def file(request: web.Request) -> web.StreamResponse:
        found = files.get(request.match_info["name"])
        if found is None:
            return web.Response(status=404, text="no such file\n", headers=_HEADERS)
        return _served(found, request)

    return [web.get("/", index), web.get("/page/{name}", file)]


def _whole(text: str | None) -> int:
    """A number of a message, 0 for anything else: then all there is comes again."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else 0


class Streams:
    """Tells each browser that listens what is new, a message each `every_s`.

    Nothing is queued for any of them: what happened while a browser did not read comes with its next message, as far
    as the history and a message reach.
    """

    def __init__(self, feed: Feed, every_s: float) -> None:
        self._feed = feed
        self._every_s = every_s
        self.open = 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One browser, until it or the process goes."""
        if self.open >= STREAMS_MAX:
            return web.Response(status=503, text=f"{STREAMS_MAX} pages are open, no more\n", headers=_DATA_HEADERS)
        self.open += 1
        try:
            return await self._tell(request)
        finally:
            self.open -= 1

    async def _tell(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={**_DATA_HEADERS, "X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        await response.prepare(request)
        _bound(request.transport)
        stopping = request.config_dict[STOPPING]
        after, _, decisions_after = request.headers.get("Last-Event-ID", request.query.get("after", "")).partition(
            "."
        )
        seen, decisions_seen = _whole(after), _whole(decisions_after)
        try:
            while not stopping.is_set():
                self._feed.catch_up()
                body, seen, decisions_seen = self._feed.news(seen, decisions_seen)
                message = b"id: %d.%d\ndata: %s\n\n" % (seen, decisions_seen, body)
                await asyncio.wait_for(response.write(message), WRITE_S_MAX)
                await _first_of(stopping, self._every_s)
            await response.write(b"event: end\ndata: {}\n\n")
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        return response


def _bound(transport: asyncio.Transport | None) -> None:
    """Let neither this process nor the kernel keep more than this for who does not read."""
    if transport is not None:
        transport.set_write_buffer_limits(high=UNSENT_BYTES_MAX)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNSENT_BYTES_MAX)


async def _first_of(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return


def page_routes(
    board: Board,
    config: PipelineConfig,
    latest: LatestDecisions,
    slo: SloSource | None = None,
    *,
    every_s: float = 1.0,
) -> list[web.RouteDef]:
    """The page at `/`, its files, `/api/state` with all that is known, `/api/stream` with what is new.

    The stream's messages (server-sent events) are as the state is, without facts and with no points and decisions
    but new ones. All handlers belong to one event loop.
    """
    feed = Feed(board, config, latest, slo)
    streams = Streams(feed, every_s)

    async def state(_request: web.Request) -> web.StreamResponse:
        feed.catch_up()
        response = web.Response(body=feed.state(), content_type="application/json", headers=_DATA_HEADERS)
        response.enable_compression()
        return response

    data = [web.get("/api/state", state), web.get("/api/stream", streams.serve)]
    return [*_file_routes(page_files(), config.http.token), *data]
