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

from pipeline.cli.exit_codes import INTERRUPTED, ExitCode
from pipeline.config.load import load
from pipeline.kafka.embedded import EmbeddedCluster
from tests.frames import write_classifiers

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


def simulate(bootstrap: str, count: int, options: Sequence[str]) -> None:
    command = [*HEADRACE, "simulate", "--bootstrap", bootstrap, "--rate", "0", "--count", str(count), "--json"]
    done = subprocess.run([*command, *options], capture_output=True, check=True)
    assert json.loads(done.stdout)["transactions"] == count


def decided_ids(bootstrap: str, wanted: int, topic: str = "decisions", seconds_max: float = 60) -> list[int]:
    """The decisions on a topic, read as any client would, until as many are there and a moment longer."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([confluent_kafka.TopicPartition(topic, number, 0) for number in partitions])
    found: list[int] = []
    until_s = time.monotonic() + seconds_max
    while time.monotonic() < until_s:
        messages = [m for m in consumer.consume(1000, 0.5) if m.error() is None]
        found += [int(json.loads(m.value())["id"]) for m in messages]
        if not messages and len(found) >= wanted:
            break
    consumer.close()
    return found


def ended(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    process.send_signal(number)
    return process.wait(30)


def decide_twice(
    bootstrap: str, environ: dict[str, str], options: Sequence[str], workers: int, decisions: str
) -> None:
    """Run, stop and run again: what was committed is not decided again, and nothing is left out."""
    for wanted in (2000, 2500):
        command = [*HEADRACE, "run", "--bootstrap", bootstrap, "--workers", str(workers), *options]
        process = subprocess.Popen(command, env=environ)
        try:
            simulate(bootstrap, wanted - 2000 or 2000, options)
            found = decided_ids(bootstrap, wanted, decisions)
            assert ended(process) == 0
        finally:
            process.kill()
        assert len(found) == wanted
    assert len(set(found)) == 2000


def test_a_drained_run_has_decided_and_committed_all(bootstrap: str, environ: dict[str, str]) -> None:
    # The embedded cluster forgets a member that left only when its session times out.
    decide_twice(bootstrap, environ, ["--set", "kafka.consumer.session.timeout.ms=6000"], 1, "decisions")


def begun(bootstrap: str, environ: dict[str, str], drain_ms_max: int) -> subprocess.Popen[bytes]:
    """A run that has decided events, whose decisions wait in the producer: none is delivered while it drains."""
    options = ["kafka.producer.linger.ms=900000", f"engine.drain_ms_max={drain_ms_max}", "engine.metrics_ms=100"]
    command = [*HEADRACE, "run", "--bootstrap", bootstrap, "--view"]
    for option in options:
        command += ["--set", option]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE)
    assert process.stdout is not None
    simulate(bootstrap, 500, [])
    decided = 0
    while decided < 500:
        line = process.stdout.readline().decode()
        assert line, f"it ended with {process.wait()}"
        shown = dict(part.split() for part in line.split("|")[1].split(","))
        decided += sum(int(shown.get(name, "0").replace(",", "")) for name in ("scored", "degraded", "expired"))
    return process


def test_what_is_not_delivered_in_time_is_told_by_the_exit_code(bootstrap: str, environ: dict[str, str]) -> None:
    process = begun(bootstrap, environ, 300)
    try:
        assert ended(process) == ExitCode.UNDELIVERED
    finally:
        process.kill()


def test_a_second_signal_ends_a_long_drain_at_once(bootstrap: str, environ: dict[str, str]) -> None:
    process = begun(bootstrap, environ, 600_000)
    try:
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        assert ended(process, signal.SIGINT) == INTERRUPTED
    finally:
        process.kill()


def own_topics(suffix: str) -> list[str]:
    """Options that give a test topics and a group of its own on a shared broker."""
    names = {
        "inputs.transactions.topic": "transactions",
        "inputs.labels.topic": "labels",
        "topics.decisions": "decisions",
        "topics.dead_letters": "dead-letters",
        "topics.metrics": "metrics",
        "kafka.group.id": "workers",
    }
    return [part for key, name in names.items() for part in ("--set", f"{key}={name}-{suffix}")]


EXACTLY_ONCE = ("delivery.guarantee=exactly_once", "kafka.group.instance.id=w", "engine.commit_ms=50")


@pytest.mark.kafka
@pytest.mark.parametrize("settings", [(), EXACTLY_ONCE], ids=["at least once", "exactly once"])
def test_workers_share_the_work_and_end_together(
    kafka_bootstrap: str, topic_suffix: str, environ: dict[str, str], settings: Sequence[str]
) -> None:
    options = [*own_topics(topic_suffix), *(part for setting in settings for part in ("--set", setting))]
    subprocess.run([*HEADRACE, "topics", "create", "--bootstrap", kafka_bootstrap, *options], check=True)
    decide_twice(kafka_bootstrap, environ, options, 2, f"decisions-{topic_suffix}")


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


def test_the_demo_of_frames_ends_with_counts_that_add_up(tmp_path: Path) -> None:
    environ = {**os.environ, "HEADRACE_MODELS__FOLDER": str(write_classifiers(tmp_path / "models"))}
    command = [*HEADRACE, "demo", "--pipeline", "vision", "--seconds", "3"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert "simulated 600, decided 600: all" in done.stdout
    assert "sum                    600  = read" in done.stdout
