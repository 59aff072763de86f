"""What telling costs: throughput with everything told and asked for every second, and with nothing told.

The shipped fraud pipeline over a backlog on a real broker, both ways in turns, in one run. Told: metrics each second,
the HTTP server, metrics and health scraped and the page's data polled each second. Silent: no HTTP server and one
metrics record at the end. Neighbours in time are compared, so that a machine that slows down does so for both;
the ratio travels to other machines, the absolutes do not.
"""

import argparse
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from bench._cluster import delete_topics, make_topics, real_cluster
from bench._machine import RESULTS, save
from pipeline.sim.driver import Load, default_start_ms, drive

WAYS = ("told", "silent")
SILENT = ("http.enabled=false", "engine.metrics_ms=3600000")
PATHS = ("metrics", "healthz", "readyz", "api/state")
"""Asked for each second; what a process does not have is asked for once."""
OUTPUTS = {"decisions": 4, "dead_letters": 1, "metrics": 1}
LOOK_S = 0.02
RUN_S_MAX = 300.0


class Scraper:
    """Asks a process for all it tells, each second, until closed; keeps what each answer took."""

    def __init__(self, port: int) -> None:
        self.took_ms: dict[str, list[float]] = {}
        self._url = f"http://127.0.0.1:{port}/"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        paths = list(PATHS)
        while True:
            for path in tuple(paths):
                began = time.perf_counter()
                try:
                    urllib.request.urlopen(self._url + path, timeout=10).read()
                    self.took_ms.setdefault(path, []).append((time.perf_counter() - began) * 1000)
                except urllib.error.HTTPError as error:
                    if error.code == 404:
                        paths.remove(path)
                except OSError:
                    continue
            if self._stop.wait(1.0):
                return

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)


def decided(consumer: Any, topic: str) -> int:
    """How many decisions there are, by the topic's ends."""
    partitions = (TopicPartition(topic, number) for number in range(OUTPUTS["decisions"]))
    try:
        return sum(consumer.get_watermark_offsets(partition, timeout=10)[1] for partition in partitions)
    except KafkaException:  # a topic that was made a moment ago has no leader yet
        return 0


def children_s() -> float:
    """Processor time of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def one(way: str, bootstrap: str, events: int) -> dict[str, Any]:
    """From the first decision to the last, by the broker's word."""
    suffix = f"-{time.time_ns()}"
    topics = {name: f"{name}{suffix}" for name in OUTPUTS}
    make_topics(bootstrap, {topics[name]: count for name, count in OUTPUTS.items()})
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    named = [f"topics.{name}={topic}" for name, topic in topics.items()]
    settings = SILENT if way == "silent" else (f"http.port={port}",)
    command = [sys.executable, "-m", "bench._telling", bootstrap, f"bench{suffix}", *named, *settings]
    before_s = children_s()
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench-look", "log_level": "0"})
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    scraper = Scraper(port) if way == "told" else None
    began, seen, until = 0.0, 0, time.perf_counter() + RUN_S_MAX
    first = 0
    while seen < events and time.perf_counter() < until and process.poll() is None:
        time.sleep(LOOK_S)
        seen = decided(consumer, topics["decisions"])
        if seen and not began:
            began, first = time.perf_counter(), seen
    took = time.perf_counter() - began
    consumer.close()
    if scraper is not None:
        scraper.close()
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=60)
    if seen < events or not out:
        raise SystemExit(f"{way}: {seen} of {events} were decided:\n{error[-3000:]}")
    delete_topics(bootstrap, list(topics.values()))
    time.sleep(1.0)
    assert json.loads(out.splitlines()[-1])["outcomes"]["scored"] == events
    took_ms = scraper.took_ms if scraper is not None else {}
    return {"rate": (events - first) / took, "cpu_s": children_s() - before_s, "took_ms": took_ms}


def measure(bootstrap: str, events: int, rounds: int) -> dict[str, Any]:
    make_topics(bootstrap, {"transactions": 4, "labels": 2})
    start_ms = default_start_ms(time.time_ns() // 1_000_000)
    drive({"bootstrap.servers": bootstrap}, Load(transactions=events, rate=0), start_ms=start_ms)
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    cpu: dict[str, list[float]] = {way: [] for way in WAYS}
    answers: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        # Who goes first changes, so that what the broker learns from one round to the next favours nobody.
        for way in WAYS if number % 2 else reversed(WAYS):
            found = one(way, bootstrap, events)
            print(f"round {number}: {way:6} {found['rate']:10,.0f} events/s", flush=True)
            if number:  # the first warms the broker's own compiler up
                rates[way].append(found["rate"])
                cpu[way].append(found["cpu_s"])
                for path, took in found["took_ms"].items():
                    answers.setdefault(path, []).extend(took)
    ratios = [told / silent for told, silent in zip(rates["told"], rates["silent"], strict=True)]
    return {
        "events": events,
        "events_a_second": rates,
        "median": {way: statistics.median(found) for way, found in rates.items()},
        "told_of_silent": ratios,
        "told_of_silent_median": statistics.median(ratios),
        "cpu_s_start_included": cpu,
        "cpu_told_of_silent_median": statistics.median(
            told / silent for told, silent in zip(cpu["told"], cpu["silent"], strict=True)
        ),
        "answers": {path: len(took) for path, took in answers.items()},
        "answer_ms": {path: statistics.median(took) for path, took in answers.items()},
        "load_average": os.getloadavg()[0],
    }


def plot(found: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2))
    names = {"told": "told and asked for\neach second", "silent": "silent"}
    left.bar(names.values(), [found["median"][way] / 1e3 for way in names], color=["#2f6fb0", "#9aa5b1"])
    for place, way in enumerate(names):
        left.plot(
            [place] * len(found["events_a_second"][way]), [r / 1e3 for r in found["events_a_second"][way]], "k."
        )
    left.set_ylabel("thousand events a second")
    left.set_title("fraud pipeline, one process, real Kafka")
    ratios = found["told_of_silent"]
    right.plot(range(1, len(ratios) + 1), ratios, "o", color="#2f6fb0")
    right.axhline(found["told_of_silent_median"], color="#2f6fb0", lw=1)
    right.axhline(0.97, color="#c0392b", lw=1, ls="--")
    right.text(1, 0.97, "3 % less", color="#c0392b", va="bottom")
    right.set_xlabel("round")
    right.set_xticks(range(1, len(ratios) + 1))
    right.set_title(f"told of silent: {found['told_of_silent_median']:.3f}")
    figure.tight_layout()
    figure.savefig(RESULTS / "telemetry.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    with real_cluster() as bootstrap:
        found = measure(bootstrap, arguments.events, arguments.rounds)
    save("telemetry", found)
    plot(found)
    print(
        json.dumps(
            {
                name: found[name]
                for name in ("median", "told_of_silent_median", "cpu_told_of_silent_median", "answer_ms")
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
