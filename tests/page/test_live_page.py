"""The live page of a real pipeline, under simulated traffic, as a browser shows it."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.page.conftest import Opened

pytestmark = pytest.mark.slow
Open = Callable[..., Opened]
DEMO = ("demo", "--rate", "500", "--partitions", "2", "--seconds", "240")
SIZES = [(1280, 900), (390, 844)]
DECIDED = "() => document.querySelectorAll('#decision-rows tr[data-number]').length > 0"
STATUS = "text => document.getElementById('status-text').textContent.startsWith(text)"


@dataclass
class Demo:
    """`headrace demo` in a process of its own, and where its page is."""

    process: "subprocess.Popen[str]"
    url: str

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}api/state", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    environment = {**os.environ, "HEADRACE_HTTP__PORT": "0"}
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", *DEMO], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, env=environment,
    )  # fmt: skip
    assert process.stderr is not None
    found = None
    while found is None:
        line = process.stderr.readline()
        assert line, "the demo ended before it told where its page is"
        found = re.search(r"live page: (http://\S+)", line)
    yield Demo(process, found[1])
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_it_is_whole_at_every_size_in_both_colours(
    demo: Demo, opened: Open, width: int, height: int, scheme: str
) -> None:
    shown = opened(demo.url, width, height, scheme)
    shown.wait(DECIDED)
    shown.wait(STATUS, "live")
    widths = shown.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1]
    cut = shown.page.evaluate(
        """() => [...document.querySelectorAll('main *')].filter((node) => {
          const box = node.getBoundingClientRect();
          return box.width && box.right > window.innerWidth + 1 && !node.closest('#slo');
        }).map((node) => node.id || node.className)"""
    )
    assert cut == []
    drawn = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)"
    assert all(canvas.evaluate(drawn) for canvas in shown.page.locator("canvas").all())
    assert shown.complaints == []


def test_its_figures_move_and_are_those_of_the_state(demo: Demo, opened: Open) -> None:
    shown = opened(demo.url)
    shown.wait(DECIDED)
    before = shown.text("#n-rate-more")
    shown.wait("text => document.getElementById('n-rate-more').textContent !== text", before)
    states: dict[int, dict[str, Any]] = {}
    for _ in range(200):  # until the page shows a second that the state was asked about
        state = demo.state()
        states[state["number"]] = state
        number, told = shown.page.evaluate(
            "[+document.body.dataset.number, document.getElementById('n-rate-more').textContent]"
        )
        if number in states:
            break
        shown.page.wait_for_timeout(100)
    totals = states[number]["summary"]["totals"]["outcomes"]
    assert told == f"{sum(totals):,} since the start"
    assert totals[0] > 0
    assert {each["value"]["pipeline"] for each in state["decisions"]} == {"fraud"}
    assert shown.complaints == []


def test_a_process_that_stops_answering_is_stale_and_live_again_when_it_answers(demo: Demo, opened: Open) -> None:
    shown = opened(demo.url)
    shown.wait(DECIDED)
    demo.process.send_signal(signal.SIGSTOP)
    shown.wait(STATUS, "stale for ")
    assert "Nothing was heard of fraud for" in shown.text("#banner")
    assert "as of" in shown.text("#banner")
    demo.process.send_signal(signal.SIGCONT)
    shown.wait(STATUS, "live")
    assert not shown.page.locator("#banner").is_visible()
