"""A live page over a board, and browsers that are only sockets, for tests of what is served."""

import http.client
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pipeline.clock import NS_PER_MS
from pipeline.kafka.messages import MESSAGE
from pipeline.rows import Rows
from pipeline.telemetry.board import Board
from pipeline.telemetry.http_server import HttpServer
from pipeline.telemetry.latest import LatestDecisions
from pipeline.telemetry.page_routes import page_routes
from pipeline.telemetry.slo_source import SloSource
from tests.page_records import Teller, page_config

QUICK_S = 0.01


class Served:
    """A page of a process that is only a board."""

    def __init__(self, server: HttpServer, teller: Teller, latest: LatestDecisions) -> None:
        self.server = server
        self.teller = teller
        self.latest = latest
        self.host, self.port = server.url.split("/")[2].split(":")

    def ask(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.host, int(self.port), timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers=named)
        answer = connection.getresponse()
        found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def state(self) -> dict[str, Any]:
        status, _, body = self.ask("/api/state")
        assert status == 200
        found: dict[str, Any] = json.loads(body)
        return found


@contextmanager
def served(*assignments: str, every_s: float = QUICK_S, slo: SloSource | None = None) -> Iterator[Served]:
    config, board, latest = page_config(*assignments), Board(), LatestDecisions()
    with HttpServer(config.http, page_routes(board, config, latest, slo, every_s=every_s)) as server:
        yield Served(server, Teller(board), latest)


class Stream:
    """One browser's stream: messages as they come, by their ids."""

    def __init__(self, page: Served, path: str = "/api/stream", *, window_bytes: int = 0, known: str = "") -> None:
        self.socket = socket.socket()
        if window_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window_bytes)
        self.socket.settimeout(10)
        self.socket.connect((page.host, int(page.port)))
        extra = f"Last-Event-ID: {known}\r\n" if known else ""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{extra}\r\n".encode())
        self.held = b""

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.socket.close()

    def read(self) -> bytes:
        more = self.socket.recv(1 << 16)
        self.held += more
        return more

    def messages(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Until the process ends it; the chunks' frames lie between messages."""
        while True:
            while (found := re.search(rb"id: ([\d.]+)\ndata: (.*)\n\n", self.held)) is None:
                if not self.read():
                    return
            self.held = self.held[found.end() :]
            yield found[1].decode(), json.loads(found[2])


def offer(latest: LatestDecisions, values: list[bytes], key: bytes, now_ms: int = 1_000_000) -> None:
    """As the outlet would: messages that point to encoded decisions, one kind each."""
    rows, messages = Rows(len(values), 1), np.zeros(len(values), MESSAGE)
    rows.decision[:] = np.arange(len(values))
    texts = [np.frombuffer(text, np.uint8) for text in (*values, key)]
    messages["payload"] = [text.ctypes.data for text in texts[:-1]]
    messages["len"] = list(map(len, values))
    messages["key"], messages["key_len"] = texts[-1].ctypes.data, len(key)
    messages["_private"] = np.arange(len(values)) + 1
    latest.take(rows, messages, now_ms * NS_PER_MS, now_ms)
