"""`headrace cost` reads a stretch of the metrics topic from a real broker, however many pipelines and partitions."""

import json
import time

import pytest
from confluent_kafka import Producer

from pipeline.cli.app import run
from tests.unit.test_bill_statement import record

pytestmark = pytest.mark.kafka
HOUR_MS = 3_600_000


def test_the_hour_that_is_asked_for_is_billed(
    kafka_bootstrap: str, topic_suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    topic, now_ms = f"metrics-{topic_suffix}", time.time_ns() // 1_000_000
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "allow.auto.create.topics": True})
    own = ["--bootstrap", kafka_bootstrap, "--set", f"topics.metrics={topic}"]
    names = [f"inputs.{name}.topic={name}-{topic_suffix}" for name in ("transactions", "labels")]
    names += [f"topics.{name}={name}-{topic_suffix}" for name in ("decisions", "dead_letters")]
    made = ["topics", "create", "--partitions", "3", *own, *(part for name in names for part in ("--set", name))]
    assert run(made) == 0
    for number, ago_ms in enumerate((3 * HOUR_MS, HOUR_MS // 2, HOUR_MS // 4, 1000)):
        told = record(f"host-{number}", from_ms=now_ms - ago_ms - 1000)
        producer.produce(topic, told.encode(), timestamp=told.to_ms, partition=number % 3)
    producer.produce(topic, record(pipeline="vision", from_ms=now_ms - 5000).encode(), timestamp=now_ms, partition=2)
    producer.produce(topic, b"not a metrics record", timestamp=now_ms, partition=0)
    assert producer.flush(30) == 0
    capsys.readouterr()
    assert run(["cost", *own, "--json"]) == 0
    fraud, vision = json.loads(capsys.readouterr().out)
    assert (fraud["pipeline"], fraud["processes"], fraud["total"]["cpu_s"]) == ("fraud", 3, 30)
    assert (vision["pipeline"], vision["total"]["cpu_s"]) == ("vision", 10)
    assert run(["cost", *own, "--json", "--since", "4h", "--until", "1h"]) == 0
    (older,) = json.loads(capsys.readouterr().out)
    assert (older["processes"], older["total"]["cpu_s"]) == (1, 10)
    assert run(["cost", *own, "--since", "1ms"]) == 1
    assert f"topic '{topic}': holds no metrics record of that time" in capsys.readouterr().err


def test_a_topic_that_is_not_there_is_named(
    kafka_bootstrap: str, topic_suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["cost", "--bootstrap", kafka_bootstrap, "--set", f"topics.metrics=none-{topic_suffix}"]
    assert run(command) == 1
    assert f"none-{topic_suffix}" in capsys.readouterr().err
