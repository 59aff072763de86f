"""What the SLO app answers reaches the page, whatever it answers, and is asked for seldom."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.http_section import HttpSection
from pipeline.telemetry import slo_source
from pipeline.telemetry.http_server import HttpServer
from pipeline.telemetry.slo_source import SHOWN_MAX, SloSource, slos_of

ANSWER = {
    "v": 1,
    "slos": [
        {
            "name": "decided in time",
            "pipeline": "fraud",
            "objective": 0.999,
            "budget_left": -0.2,
            "burns": {"5m": 14.5, "1h": None},
            "firing": ["page"],
        },
        {"name": "parts in time", "pipeline": "vision", "objective": 0.99},
    ],
    "alerts": [
        {"slo": "decided in time", "pipeline": "fraud", "severity": "page", "state": "firing", "summary": "burning"},
        {
            "slo": "fraud/silent",
            "pipeline": "fraud",
            "severity": "page",
            "state": "firing",
            "summary": "nobody",
            "v": 1,
        },
        {"slo": "parts in time", "pipeline": "vision", "severity": "page", "state": "firing", "summary": "elsewhere"},
    ],
}
FIELDS = ["slos", "name", "burns", "alerts", "objective", "state", "pipeline"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)


class App:
    """An SLO app that answers what it is told to, and counts."""

    def __init__(self) -> None:
        self.body: bytes = json.dumps(ANSWER).encode()
        self.status = 200
        self.asked: list[str] = []
        self.server = HttpServer(HttpSection(port=0, token="t"), [web.get("/api/slo", self.serve)])

    async def serve(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers.get("Authorization", ""))
        return web.Response(body=self.body, status=self.status)


@pytest.fixture
def app() -> Iterator[App]:
    made = App()
    with made.server:
        yield made


def told(source: SloSource) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        await source.ask()
        return source.told()

    return asyncio.run(ask())


def test_what_it_says_of_the_pipeline_is_passed_on_without_what_the_page_does_not_know(app: App) -> None:
    assert told(SloSource(app.server.url, "fraud", "t")) == {
        "state": "told",
        "slos": [
            {
                "slo": "decided in time",
                "objective": 0.999,
                "budget_left": -0.2,
                "burn": {"5m": 14.5, "1h": None},
                "alerts": [{"severity": "page", "state": "firing", "summary": "burning"}],
            },
            {
                "slo": "fraud/silent",
                "objective": None,
                "budget_left": None,
                "burn": {},
                "alerts": [{"severity": "page", "state": "firing", "summary": "nobody"}],
            },
        ],
    }


def test_alerts_may_stand_with_their_slo_and_be_everybodys() -> None:
    alert = {"severity": "ticket", "state": "firing", "summary": "slowly"}
    found = slos_of({"slos": [{"slo": "s", "burn": {"6h": 1.5}, "alerts": [alert]}]}, "fraud")
    assert found == [{"slo": "s", "objective": None, "budget_left": None, "burn": {"6h": 1.5}, "alerts": [alert]}]


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, b"{}", "it answered 500, expected 200"),
        (302, b"{}", "it answered 302, expected 200"),
        (200, b"<html>", "malformed"),
        (200, b"[]", "expected an object with a list `slos`"),
        (200, b'"' + b"x" * (2 << 20) + b'"', "malformed|truncated"),
    ],
)
def test_an_answer_that_is_none_is_said_and_the_last_one_kept(app: App, status: int, body: bytes, why: str) -> None:
    source = SloSource(app.server.url, "fraud", "t")
    before = told(source)["slos"]
    app.status, app.body = status, body
    after = told(source)
    assert (after["state"], after["slos"]) == ("unreachable", before)
    assert re.search(why, after["why"])


def test_a_wrong_token_is_said(app: App) -> None:
    assert "it answered 401" in told(SloSource(app.server.url, "fraud"))["why"]


def test_one_that_does_not_answer_is_not_waited_for_long(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slo_source, "ANSWER_S_MAX", 0.05)

    async def never(_request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    with HttpServer(HttpSection(port=0), [web.get("/api/slo", never)]) as server:
        assert told(SloSource(server.url, "fraud"))["state"] == "unreachable"


def test_it_is_asked_once_in_a_while_however_often_somebody_looks(app: App) -> None:
    async def look() -> None:
        source = SloSource(app.server.url, "fraud", "t")
        assert source.told()["state"] == "asking"
        while source.told()["state"] == "asking":
            await asyncio.sleep(0.01)
        for _ in range(100):
            assert source.told()["state"] == "told"
            await asyncio.sleep(0)

    asyncio.run(look())
    assert app.asked == ["Bearer t"]


@given(ANYTHING)
def test_whatever_it_says_is_refused_or_has_the_pages_form(answer: object) -> None:
    try:
        found = slos_of(answer, "fraud")
    except ValueError:
        return
    assert len(found) <= SHOWN_MAX
    for slo in found:
        assert isinstance(slo["slo"], str)
        assert all(value is None or isinstance(value, float) for value in slo["burn"].values())
        assert all(isinstance(text, str) for alert in slo["alerts"] for text in alert.values())


def test_an_address_that_is_none_is_refused() -> None:
    for wrong in ("127.0.0.1:9480", "http://x?token=y"):
        with pytest.raises(ValueError, match="expected an address such as"):
            HttpSection(slo_url=wrong)
