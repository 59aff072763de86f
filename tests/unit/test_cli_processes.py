"""Commands as processes: signals, drains, and counts that add up."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import confluent_kafka
import pytest
from tiny_models import write_repository

from pipeline.config.load import load
from pipeline.kafka.embedded import EmbeddedCluster

pytestmark = pytest.mark.slow
HEADRACE = [sys.executable, "-m", "pipeline.cli"]
TOPICS = load("fraud", environ={}).config.topic_names


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    folder = write_repository(tmp_path / "repository", tuple(load("fraud", environ={}).config.features))
    return {**os.environ, "HEADRACE_MODELS__FOLDER": str(folder)}


@pytest.fixture
def bootstrap() -> Iterator[str]:
    with EmbeddedCluster(dict.fromkeys(TOPICS, 2)) as cluster:
        yield cluster.bootstrap


def simulate(bootstrap: str, count: int) -> int:
    command = [*HEADRACE, "simulate", "--bootstrap", bootstrap, "--rate", "0", "--count", str(count), "--json"]
    return int(json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["transactions"])


def decided_ids(bootstrap: str, wanted: int, seconds_max: float = 60) -> list[int]:
    """Reads decisions, as any client would, until as many are there and a moment longer."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": f"reader-{time.monotonic_ns()}", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["decisions"])
    found: list[int] = []
    until_s = time.monotonic() + seconds_max
    while time.monotonic() < until_s:
        messages = [m for m in consumer.consume(1000, 1.0) if m.error() is None]
        found += [int(json.loads(m.value())["id"]) for m in messages]
        if not messages and len(found) >= wanted:
            break
    consumer.close()
    return found


def ended(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    process.send_signal(number)
    return process.wait(30)


@pytest.mark.parametrize("more", [[], ["--workers", "2"]])
def test_a_drained_run_has_decided_and_committed_all(
    bootstrap: str, environ: dict[str, str], more: Sequence[str]
) -> None:
    command = [*HEADRACE, "run", "--bootstrap", bootstrap, *more]
    assert simulate(bootstrap, 2000) == 2000
    for wanted in (2000, 2500):
        process = subprocess.Popen(command, env=environ)
        try:
            found = decided_ids(bootstrap, wanted)
            assert ended(process) == 0
        finally:
            process.kill()
        # What was committed is not decided again after a restart, and nothing is left out.
        assert len(found) == wanted
        if wanted == 2000:
            assert sorted(found) == sorted(set(found))
            simulate(bootstrap, 500)


def test_the_demo_ends_with_counts_that_add_up(environ: dict[str, str]) -> None:
    command = [*HEADRACE, "demo", "--seconds", "3", "--rate", "1000"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert "simulated 3,000, decided 3,000: all" in done.stdout


def test_the_demo_counts_right_when_it_is_interrupted(environ: dict[str, str]) -> None:
    process = subprocess.Popen([*HEADRACE, "demo", "--rate", "500"], env=environ, stdout=subprocess.PIPE)
    assert process.stdout is not None
    while b"scored 5" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    told = process.stdout.read().decode()
    assert process.wait(60) == 0
    assert "all" in told.splitlines()[-1]
