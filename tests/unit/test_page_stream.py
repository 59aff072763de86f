"""What a browser is told while the page is open, and that nobody who looks costs more than stated."""

import contextlib
import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.telemetry import page_routes as routes
from pipeline.telemetry.page_feed import POINTS_IN_A_MESSAGE_MAX
from tests.page_server import Served, Stream, offer, served


@pytest.fixture
def page() -> Iterator[Served]:
    with served() as found:
        yield found


def test_decisions_are_told_once_with_key_and_without_features_that_are_long(page: Served) -> None:
    values = [{"id": "1", "outcome": "scored"}, {"id": "2", "features": {f"f{at}": 0.1 for at in range(900)}}]
    offer(page.latest, [json.dumps(value).encode() for value in values], b"key\xff")
    told = page.state()["decisions"]
    assert [each["value"] for each in told] == [values[0], {"id": "2"}]
    assert told[0]["key"] == "key\ufffd"
    page.teller.tell()
    with Stream(page, f"/api/stream?after=0.{told[0]['number']}") as stream:
        _, first = next(stream.messages())
        _, second = next(stream.messages())
    assert [each["value"]["id"] for each in first["decisions"]] == ["2"]
    assert second["decisions"] == []


def test_a_stream_tells_what_is_new_and_goes_on_where_a_browser_was(page: Served) -> None:
    page.teller.tell(3)
    with Stream(page, "/api/stream?after=1.0") as stream:
        known, first = next(stream.messages())
        assert [point["number"] for point in first["points"]] == [2, 3]
        page.teller.tell(2)
        while True:
            known, news = next(stream.messages())
            if news["points"]:
                break
        assert [point["number"] for point in news["points"]] == [4, 5]
    page.teller.tell(1)
    with Stream(page, known=known) as stream:
        assert [point["number"] for point in next(stream.messages())[1]["points"]] == [6]


def test_to_a_browser_of_an_earlier_process_all_is_new(page: Served) -> None:
    page.teller.tell(2)
    with Stream(page, known="5000.900") as stream:
        assert [point["number"] for point in next(stream.messages())[1]["points"]] == [1, 2]


def test_nonsense_for_a_place_is_the_beginning(page: Served) -> None:
    page.teller.tell(1)
    for known in ("x", "-5.2", "1" * 40, "\u0661.1"):
        with Stream(page, f"/api/stream?after={urllib.request.quote(known)}") as stream:
            assert len(next(stream.messages())[1]["points"]) == 1


def test_nothing_is_queued_for_a_slow_browser_what_it_missed_comes_in_one_bounded_message(page: Served) -> None:
    with Stream(page, window_bytes=4096) as slow, Stream(page) as quick:
        messages = quick.messages()
        for _ in range(120):  # the quick one sees each; the slow one's window is full after a few
            page.teller.tell(10)
            while not next(messages)[1]["points"]:
                pass
        found: list[dict[str, Any]] = []
        for _, message in slow.messages():
            found.append(message)
            if message["number"] == page.teller.number and not message["points"]:
                break
    assert max(len(message["points"]) for message in found) == POINTS_IN_A_MESSAGE_MAX
    assert sum(len(message["points"]) for message in found) < page.teller.number / 2
    last = [point["number"] for point in found[-2]["points"]]
    assert last == list(range(last[0], page.teller.number + 1))


def test_a_browser_that_stops_reading_is_cut_and_its_place_is_free(
    page: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "WRITE_S_MAX", 0.2)
    monkeypatch.setattr(routes, "STREAMS_MAX", 1)
    with Stream(page, window_bytes=4096) as stuck:
        stuck.read()
        assert page.ask("/api/stream")[0] == 503
        until_s = time.monotonic() + 20
        free = False
        while not free and time.monotonic() < until_s:
            page.teller.tell(POINTS_IN_A_MESSAGE_MAX)
            with Stream(page) as other:
                other.read()
                free = b" 200 " in other.held.splitlines()[0]
        assert free
        with contextlib.suppress(ConnectionError):
            while stuck.read():
                pass


def test_the_end_of_the_process_is_told_and_ends_the_stream() -> None:
    with served(every_s=3600) as page:
        page.teller.tell()
        stream = Stream(page)
        next(stream.messages())
    while stream.read():
        pass
    stream.socket.close()
    assert b"event: end\n" in stream.held
