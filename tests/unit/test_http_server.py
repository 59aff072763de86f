"""What a process tells over HTTP: to whom, where, and that it ends."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from aiohttp import web

from pipeline.config.http_section import HttpSection
from pipeline.telemetry import http_server
from pipeline.telemetry.http_server import HttpServer, PortTakenError


async def hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


ROUTES = [web.get("/", hello), web.get("/metrics", hello)]


def ask(url: str, token: str = "") -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_what_has_a_token_asks_for_it_but_for_what_machines_read() -> None:
    with HttpServer(HttpSection(port=0, token="secret"), ROUTES) as server:
        assert ask(server.url)[0] == 401
        assert ask(server.url, "wrong")[0] == 401
        assert ask(server.url, "secret") == (200, "hello")
        assert ask(f"{server.url}?token=secret") == (200, "hello")
        assert ask(f"{server.url}metrics") == (200, "hello")


def test_without_a_token_this_machine_may_ask() -> None:
    with HttpServer(HttpSection(port=0), ROUTES) as server:
        assert ask(server.url) == (200, "hello")


def test_a_port_that_is_named_must_be_free(taken: int) -> None:
    with pytest.raises(PortTakenError, match=rf"http\.port: cannot listen on 127\.0\.0\.1:{taken}.*expected a free"):
        HttpServer(HttpSection(port=taken), ROUTES)


def test_without_a_port_the_first_free_one_is_taken(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = other.getsockname()[1]
    monkeypatch.setattr(http_server, "PORTS", (taken, free))
    with HttpServer(HttpSection(), ROUTES) as server:
        assert server.url == f"http://127.0.0.1:{free}/"


def test_where_none_is_free_the_process_runs_without(
    taken: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_server, "PORTS", (taken,))
    with HttpServer(HttpSection(), ROUTES) as server:
        assert server.url == ""
    assert f"no port from {taken} to {taken} is free on 127.0.0.1" in caplog.text


def test_closing_frees_the_port_and_cuts_who_is_connected() -> None:
    server = HttpServer(HttpSection(port=0), ROUTES)
    port = int(server.url.rsplit(":", 1)[1].strip("/"))
    with socket.create_connection(("127.0.0.1", port)):
        server.close()
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_who_listens_to_others_needs_a_token() -> None:
    with pytest.raises(ValueError, match=r"token: missing, expected one where host is '0\.0\.0\.0'"):
        HttpSection(host="0.0.0.0")
    assert HttpSection(host="0.0.0.0", token="x").token == "x"
    assert HttpSection(host="::1").local
    assert HttpSection(host="0.0.0.0", enabled=False).enabled is False
