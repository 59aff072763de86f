"""The live page over HTTP: who gets it, what is in it, what it may load."""

import re
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.telemetry.page_routes import page_files
from pipeline.telemetry.slo_source import SloSource
from tests.page_server import Served, served

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page() -> Iterator[Served]:
    with served() as found:
        yield found


def test_the_page_is_served_with_a_policy_that_runs_nothing_from_elsewhere(page: Served) -> None:
    for path in ("/", "/page/main.js", "/api/state"):
        status, headers, _ = page.ask(path)
        policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
        assert status == 200
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_nothing_is_inline_and_all_that_is_named_is_there() -> None:
    files = page_files()
    html = files["index.html"].body.decode()
    assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html)
    named = set(re.findall(r'"page/([\w.]+)"', html))
    for name, file in files.items():
        named |= set(re.findall(r'from "\./([\w.]+)"', file.body.decode()))
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", file.body.decode()), f"{name} asks elsewhere"
    assert named == set(files) - {"index.html"}


def test_ids_that_the_scripts_ask_for_are_in_the_page() -> None:
    files = page_files()
    ids = set(re.findall(r'\sid="([\w-]+)"', files["index.html"].body.decode()))
    scripts = "".join(file.body.decode() for name, file in files.items() if name.endswith(".js"))
    asked = set(re.findall(r'\$\("([\w-]+)"\)', scripts))
    assert asked
    assert asked <= ids


@pytest.mark.parametrize("path", ["/", "/page/page.css", "/page/main.js"])
def test_a_file_comes_again_only_when_it_has_changed(page: Served, path: str) -> None:
    status, headers, body = page.ask(path)
    assert (status, headers["cache-control"]) == (200, "no-cache")
    assert body
    assert page.ask(path, If_None_Match=headers["etag"])[::2] == (304, b"")
    assert page.ask(path, If_None_Match='"another"')[0] == 200


@pytest.mark.parametrize("path", ["/page/none.js", "/page/..%2fpage_routes.py", "/page/", "/api/none"])
def test_what_is_no_file_of_the_page_is_not_found(page: Served, path: str) -> None:
    assert page.ask(path)[0] == 404


def test_a_token_in_the_address_becomes_a_cookie_that_scripts_cannot_read() -> None:
    with served("http.token=secret") as page:
        assert page.ask("/")[0] == page.ask("/api/state")[0] == page.ask("/page/main.js")[0] == 401
        assert page.ask("/api/stream?token=wrong")[0] == 401
        status, headers, _ = page.ask("/?token=secret")
        assert (status, headers["location"]) == (303, "./")
        assert re.search(r"HttpOnly.*SameSite=Strict", headers["set-cookie"])
        for path in ("/", "/page/main.js", "/api/state"):
            assert page.ask(path, Cookie="token=secret")[0] == 200
            assert page.ask(path, Authorization="Bearer secret")[0] == 200
        assert b"secret" not in page.ask("/api/state?token=secret")[2]


def test_without_a_token_a_strangers_name_for_this_machine_is_refused(page: Served) -> None:
    assert page.ask("/api/state", Host="localhost:1")[0] == 200
    assert page.ask("/api/state", Host="[::1]:1")[0] == 200
    status, _, body = page.ask("/api/state", Host="rebound.example:9464")
    assert (status, b"found rebound.example:9464" in body) == (403, True)


def test_the_state_is_what_was_told_and_what_was_configured(page: Served) -> None:
    empty = page.state()
    assert (empty["points"], empty["decisions"], empty["summary"], empty["number"]) == ([], [], None, 0)
    totals = page.teller.tell(1000)
    state = page.state()
    assert [point["number"] for point in state["points"]] == list(range(101, 1001))
    assert state["summary"]["totals"]["outcomes"] == list(totals.outcomes.values())
    assert state["summary"]["recent"]["span_ms"] == 10_000
    assert state["summary"]["recent"]["outcomes"] == [
        sum(point["outcomes"][at] for point in state["points"][-10:]) for at in range(5)
    ]
    assert state["instance"] == "host-1"
    assert state["facts"]["tiers"][0] == {
        "name": "primary",
        "model": "fraud-gbt",
        "version": "1",
        "providers": ["CPUExecutionProvider"],
    }
    assert (state["facts"]["budget_ms"], state["slo"]) == (100, {"state": "off", "slos": []})


def test_what_the_slo_app_says_is_passed_on() -> None:
    with served(slo=SloSource("http://127.0.0.1:1", "fraud")) as page:
        assert page.state()["slo"]["state"] == "asking"
        while (told := page.state()["slo"])["state"] == "asking":
            time.sleep(0.01)
        assert told["state"] == "unreachable"
        assert "http://127.0.0.1:1/api/slo" in told["why"]


def test_the_pages_files_are_in_the_wheel() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["pipeline"]
    shipped = {path.name for pattern in patterns for path in (ROOT / "pipeline").glob(pattern)}
    assert set(page_files()) <= shipped
