"""The pictures in the documentation: `python -m tests.page.screenshots`, best on a machine that does nothing else.

A pipeline of its own on an embedded cluster, a steady load and bursts that it cannot score in time.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from confluent_kafka import Producer
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from pipeline.config.load import load
from pipeline.kafka.embedded import EmbeddedCluster
from pipeline.service import run_pipeline

DOCS = Path(__file__).parents[2] / "docs"
PARTITIONS = 12
NOT_EVENTS = (b"not json", b'{"transaction_id": 1}', b"")
OTHER = 10**6
"""Customers and terminals of the bursts begin here: the simulator's own have another time of their own."""


class Load:
    """What is sent: a steady simulation, now and then what is no event, and each burst at its time."""

    def __init__(self, bootstrap: str, asked: argparse.Namespace) -> None:
        self._asked = asked
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "partitioner": "murmur2_random"})
        self._random = random.Random(1)
        self._sent = 0
        command = ("simulate", "--bootstrap", bootstrap, "--rate", str(asked.rate), "--customers", "1000")
        self._steady = subprocess.Popen([sys.executable, "-m", "pipeline.cli", *command])

    def run(self) -> None:
        """Returns a little after the last burst."""
        for _ in range(self._asked.bursts):
            self._trickle(self._asked.between_s)
            self._burst(self._asked.burst_s)
        self._trickle(self._asked.between_s)

    def _trickle(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self._producer.produce("transactions", self._random.choice(NOT_EVENTS), b"7")
            self._producer.poll(0)
            time.sleep(1.7)

    def _burst(self, seconds: float) -> None:
        began_s, before = time.monotonic(), self._sent
        while (passed_s := time.monotonic() - began_s) < seconds:
            for _ in range(before + int(passed_s * self._asked.burst_rate) - self._sent):
                self._transaction()
            self._producer.poll(0)
            time.sleep(0.004)

    def _transaction(self) -> None:
        self._sent += 1
        customer, terminal = OTHER + self._random.randrange(3000), OTHER + self._random.randrange(5000)
        event = b'{"transaction_id":%d,"event_time":%d,"customer_id":%d,"terminal_id":%d,"amount":%.2f}' % (
            OTHER**2 + self._sent, time.time() * 1000, customer, terminal, self._random.lognormvariate(3.6, 1),
        )  # fmt: skip
        self._producer.produce("transactions", event, b"%d" % customer)

    def end(self) -> None:
        self._steady.kill()
        self._steady.wait()


def opened(browser: Browser, url: str, width: int, height: int, scheme: str) -> Page:
    page = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme).new_page()
    page.goto(url)
    page.wait_for_selector("#decision-rows tr")
    page.wait_for_timeout(1500)
    return page


def top_of(page: Page, heading: str) -> float:
    return float(
        page.locator(heading).evaluate("node => node.closest('section').getBoundingClientRect().top + scrollY")
    )


def kept(picture: Image.Image, name: str) -> None:
    # By coverage, since the few pixels of a rare outcome are what is to be seen.
    few = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(DOCS / name, optimize=True)


def take(url: str) -> None:
    """Wide and light down to the dead letters; narrow and dark, three screens beside each other."""
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        shot = Path(folder) / "shot.png"
        page = opened(browser, url, 1280, 1000, "light")
        clip = {"x": 0.0, "y": 0.0, "width": 1280.0, "height": top_of(page, "#h-slo") - 4}
        page.screenshot(path=shot, full_page=True, clip=clip)
        kept(Image.open(shot), "live-page-light.png")
        page = opened(browser, url, 390, 844, "dark")
        beside = Image.new("RGB", (3 * 390 + 40, 844), "white")
        for number, heading in enumerate(("", "#h-latency", "#h-decisions")):
            page.evaluate("y => window.scrollTo(0, y)", top_of(page, heading) - 10 if heading else 0)
            page.wait_for_timeout(500)
            page.screenshot(path=shot)
            beside.paste(Image.open(shot), (number * 410, 0))
        kept(beside, "live-page-dark.png")
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=2000, help="events a second between bursts")
    parser.add_argument("--burst-rate", type=int, default=150_000, help="more of them in a burst")
    parser.add_argument("--burst-s", type=float, default=8)
    parser.add_argument("--between-s", type=float, default=60)
    parser.add_argument("--bursts", type=int, default=3)
    parser.add_argument("--budget-ms", type=int, default=100)
    asked = parser.parse_args()
    topics = load("fraud", environ={}).config.topic_names
    with EmbeddedCluster(dict.fromkeys(topics, PARTITIONS)) as cluster:
        settings = [f"kafka.bootstrap.servers={cluster.bootstrap}", f"pipeline.budget_ms={asked.budget_ms}"]
        config = load("fraud", environ={}, assignments=[*settings, "http.port=0"]).config
        stop, ready, urls = threading.Event(), threading.Event(), list[str]()
        arguments = {"stop": stop, "on_ready": ready.set, "on_serving": urls.append}
        pipeline = threading.Thread(target=run_pipeline, args=(config,), kwargs=arguments)
        pipeline.start()
        ready.wait()
        sent = Load(cluster.bootstrap, asked)
        try:
            sent.run()
            take(urls[0])
        finally:
            sent.end()
            stop.set()
            pipeline.join()


if __name__ == "__main__":
    main()
