"""Killed with a million customers in state, under load: when do decisions flow again, and what do checkpoints cost?

Against a real broker: a process restored from a checkpoint decides an open load; 1. its p99 with checkpoints beside
without; 2. it is killed (SIGKILL) at some moment after its first own checkpoint and started again at once: from the
start of the process to the first decision, and the longest pause that a reader of the decisions saw.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from bench._cluster import make_topics, real_cluster
from bench._machine import save
from bench._million import PARTITIONS
from pipeline.kafka.consumer import LaneConsumer
from pipeline.kafka.lane import TopicPartition as Lane
from pipeline.kafka.wake import Wake
from pipeline.telemetry.histogram import Histogram

TOPICS = {"transactions": PARTITIONS, "labels": 2, "decisions": PARTITIONS, "dead-letters": 1, "metrics": 1}
WARM_S = 12.0
KILL_AFTER_S = (42.0, 60.0)


class Reader(threading.Thread):
    """Reads decisions from their end on; knows when each read came and the longest pause since it was asked last."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(daemon=True)
        self._wake = Wake()
        self._consumer = LaneConsumer({"bootstrap.servers": bootstrap}, self._wake, PARTITIONS)
        lanes = [Lane("decisions", number) for number in range(PARTITIONS)]
        self._consumer.assign({lane: self._consumer.watermarks(lane, 20_000)[1] for lane in lanes})
        self.count, self.last_s, self.pause_s, self.resumed_s = 0, time.perf_counter(), 0.0, 0.0
        self.start()

    def run(self) -> None:
        while True:
            got = 0
            for lane in self._consumer.lanes.values():
                messages = lane.read(4096)
                got += messages.count
                messages.free()
            if not got:
                self._wake.wait(100)
                continue
            now_s = time.perf_counter()
            if now_s - self.last_s > self.pause_s:
                self.pause_s, self.resumed_s = now_s - self.last_s, now_s
            self.last_s, self.count = now_s, self.count + got

    def forget(self) -> None:
        self.pause_s = 0.0


def run(module: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", module, *arguments], **options)


@contextmanager
def pipeline(bootstrap: str, url: str, log: Path, *assignments: str) -> Iterator[subprocess.Popen[bytes]]:
    settings = (
        "kafka.group.id=million",
        "kafka.group.instance.id=one",
        "kafka.consumer.auto.offset.reset=earliest",
        "pipeline.budget_ms_max=3600000",
        "pipeline.budget_ms=3600000",
        f"checkpoint.url={url}",
        *assignments,
    )
    sets = [part for setting in settings for part in ("--set", setting)]
    with log.open("ab") as said:
        process = run("pipeline.cli", "run", "--config", "fraud", "--bootstrap", bootstrap, *sets, stderr=said)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(60)


def first_decision_s(reader: Reader, before: int, started_s: float) -> float:
    while reader.count == before:
        time.sleep(0.005)
        if time.perf_counter() - started_s > 120:
            raise SystemExit("no decision came")
    return time.perf_counter() - started_s


def p99_ms(bootstrap: str, since_ms: int) -> tuple[float, int]:
    """In-process p99 of what the metrics say since then, and the checkpoints in it."""
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "p99"})
    reader.assign([TopicPartition("metrics", 0, 0)])
    total, checkpoints, until_ms = Histogram(), 0, time.time_ns() // 1_000_000
    while (message := reader.poll(5.0)) is not None:
        record = json.loads(message.value() or b"{}")
        if record["to_ms"] > until_ms:
            break
        if record["from_ms"] >= since_ms:
            sparse = record["histograms"].get("total", {})
            total.add(Histogram.of({int(bucket): count for bucket, count in sparse.items()}))
            checkpoints += record["counts"].get("checkpoints", 0)
    reader.close()
    return total.quantile(0.99) / 1000, checkpoints


def steady(bootstrap: str, url: str, log: Path, seconds: float, *assignments: str) -> tuple[float, int]:
    """p99 under the load once it runs."""
    with pipeline(bootstrap, url, log, *assignments):
        time.sleep(WARM_S)
        since_ms = time.time_ns() // 1_000_000
        time.sleep(seconds)
        return p99_ms(bootstrap, since_ms)


def killed(bootstrap: str, url: str, log: Path, reader: Reader, *assignments: str) -> dict[str, float]:
    with pipeline(bootstrap, url, log, *assignments) as process:
        time.sleep(random.uniform(*KILL_AFTER_S))
        reader.forget()
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.1)
        before, started_s = reader.count, time.perf_counter()
        with pipeline(bootstrap, url, log, *assignments):
            took_s = first_decision_s(reader, before, started_s)
            time.sleep(5)
            return {"first_decision_s": took_s, "reader_pause_s": reader.pause_s}


def measure(arguments: argparse.Namespace, panes: int) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="headrace-recovery-"))
    url, log, found = str(folder / "state"), folder / "log", {}
    entity = [f"entities.customer.panes={panes}"] if panes else []
    try:
        sizes = [str(arguments.customers), str(arguments.events), str(arguments.terminals)]
        run("bench._million", "seed", url, "million", *sizes, *entity).wait()
        found["checkpoint_bytes"] = sum(path.stat().st_size for path in Path(url).rglob("*.data"))
        with real_cluster() as bootstrap:
            make_topics(bootstrap, TOPICS)
            traffic = [str(arguments.rate), str(arguments.customers), str(arguments.terminals)]
            sender, reader = run("bench._million", "load", bootstrap, *traffic), Reader(bootstrap)
            for name, interval_ms in (("p99_without_ms", 3_600_000), ("p99_with_ms", 30_000)):
                more = [*entity, f"checkpoint.interval_ms={interval_ms}"]
                found[name], found[f"checkpoints_{name}"] = steady(bootstrap, url, log, arguments.seconds, *more)
            found["kills"] = [killed(bootstrap, url, log, reader, *entity) for _ in range(arguments.kills)]
            sender.terminate()
            sender.wait(30)
        print(log.read_text()[-6000:], file=sys.stderr)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=58)
    parser.add_argument("--terminals", type=int, default=200_000)
    parser.add_argument("--rate", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--panes", type=int, nargs="*", default=[0, 30])
    arguments = parser.parse_args()
    found = {("exact" if not panes else f"{panes} panes"): measure(arguments, panes) for panes in arguments.panes}
    print(json.dumps(found, indent=1))
    save("recovery", {**vars(arguments), **found})


if __name__ == "__main__":
    main()
