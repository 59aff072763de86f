"""What tests of exactly-once share: pipelines to run, kill and freeze, and what a reader of committed ones sees."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from pipeline.cli.cluster import create_topics
from pipeline.config.model import PipelineConfig
from pipeline.service import Summary, run_pipeline
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from tests.traffic import configured, send

POPULATION = Population(customers=60, terminals=40, terminals_near=10, seed=5)
START_MS = 1_577_836_800_000
PARTITIONS = 2
PATIENCE_S = 60.0
TABLE = simulated_table(POPULATION, 8, START_MS)


def exactly_once(bootstrap: str, suffix: str, *assignments: str, instance: str = "a") -> PipelineConfig:
    return configured(
        bootstrap,
        "delivery.guarantee=exactly_once",
        f"kafka.group.instance.id={instance}",
        "kafka.consumer.session.timeout.ms=6000",
        "kafka.consumer.heartbeat.interval.ms=500",
        *assignments,
        suffix=f"-{suffix}",
    )


def prepared(bootstrap: str, suffix: str, *assignments: str) -> PipelineConfig:
    config = exactly_once(bootstrap, suffix, *assignments)
    create_topics({"bootstrap.servers": bootstrap}, dict.fromkeys(config.topic_names, PARTITIONS), 1, 20_000)
    return config


def seen(
    bootstrap: str, topic: str, enough: Callable[[list[Any]], bool], isolation: str = "read_committed"
) -> list[Any]:
    """What a reader sees of a topic from its beginning, until that is enough and nothing more comes."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "isolation.level": isolation})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found: list[Any] = []
    until_s = time.monotonic() + PATIENCE_S
    quiet = 0
    while quiet < 3 and time.monotonic() < until_s:
        more = [message for message in consumer.consume(1000, 0.3) if message.error() is None]
        found += more
        quiet = 0 if more or not enough(found) else quiet + 1
    consumer.close()
    return found


def sources(bootstrap: str, config: PipelineConfig, count: int) -> Counter[tuple[int, int]]:
    """(partition, offset) of the decisions that are visible, and how often."""
    found = seen(bootstrap, config.topics.decisions, lambda read: len(read) >= count)
    return Counter(tuple(json.loads(message.value())["source"][1:]) for message in found)


def committed(bootstrap: str, config: PipelineConfig) -> dict[int, int]:
    topic = config.catalog.decided.topic
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": config.kafka.common["group.id"]})
    answer = reader.committed([TopicPartition(topic, number) for number in range(PARTITIONS)], timeout=20)
    reader.close()
    return {each.partition: max(0, each.offset) for each in answer}


def assert_each_once(bootstrap: str, config: PipelineConfig, count: int) -> None:
    """Every source up to the committed offsets once, none beyond them."""
    found = sources(bootstrap, config, count)
    ends = committed(bootstrap, config)
    assert set(found.values()) == {1}
    assert set(found) == {(partition, offset) for partition, end in ends.items() for offset in range(end)}
    assert sum(ends.values()) == count


class Running:
    """A pipeline in a thread of its own."""

    def __init__(self, config: PipelineConfig) -> None:
        self.stop = threading.Event()
        self.summary: Summary | None = None
        self.error: BaseException | None = None
        self.outcomes = 0
        self.counts: Counter[str] = Counter()
        self._config = config
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        def look(_record: Any, totals: Any) -> None:
            self.outcomes = totals.delivered
            self.counts = Counter(totals.counts)

        try:
            self.summary = run_pipeline(self._config, stop=self.stop, on_meter=look)
        except BaseException as error:
            self.error = error

    def until(self, reached: Callable[[], bool]) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while not reached():
            assert self.error is None, repr(self.error)
            assert time.monotonic() < until_s, (self.outcomes, self.counts)
            time.sleep(0.02)

    def end(self) -> Summary:
        self.stop.set()
        self._thread.join(PATIENCE_S)
        assert self.error is None, repr(self.error)
        assert self.summary is not None
        return self.summary

    def failed(self) -> BaseException:
        self._thread.join(PATIENCE_S)
        assert self.error is not None
        return self.error


class Process:
    """A pipeline in a process of its own, to be killed or frozen."""

    def __init__(self, config: PipelineConfig, suffix: str, *assignments: str, instance: str = "a") -> None:
        kafka = config.kafka
        names = ("decisions", "dead_letters", "metrics")
        given = [
            f"kafka.bootstrap.servers={kafka.bootstrap}",
            f"kafka.group.id={kafka.common['group.id']}",
            f"kafka.group.instance.id={instance}",
            *(f"kafka.consumer.{name}={value}" for name, value in kafka.consumer.items()),
            "delivery.guarantee=exactly_once",
            f"pipeline.budget_ms_max={config.pipeline.budget_ms_max}",
            f"pipeline.budget_ms={config.pipeline.budget_ms}",
            *(f"topics.{name}={getattr(config.topics, name)}" for name in names),
            *(f"inputs.{name}.topic={spec.topic}" for name, spec in config.inputs.items()),
            *assignments,
        ]
        sets = [part for assignment in given for part in ("--set", assignment)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "run", *sets], stderr=subprocess.PIPE, text=True
        )

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self, number: int) -> tuple[int, str]:
        """Its code, and what it said."""
        self.signal(number)
        _, said = self._process.communicate(timeout=PATIENCE_S)
        return self._process.returncode, said


NEVER = ("engine.commit_ms=400000", "kafka.producer.transaction.timeout.ms=900000")
"""The first transaction is committed at once, with what the first reads brought; the second stays open."""


def wait_for_uncommitted(bootstrap: str, config: PipelineConfig, count: int) -> None:
    found = seen(bootstrap, config.topics.decisions, lambda read: len(read) >= count, "read_uncommitted")
    assert len(found) == count


def first_committed(bootstrap: str, config: PipelineConfig, records: list[Any]) -> int:
    """Send a tenth and wait until it is seen, then the rest; returns the tenth."""
    topic, tenth = config.catalog.decided.topic, len(records) // 10
    send(bootstrap, topic, records[:tenth], PARTITIONS)
    wait_for_uncommitted(bootstrap, config, tenth)
    send(bootstrap, topic, records[tenth:], PARTITIONS)
    wait_for_uncommitted(bootstrap, config, len(records))
    return tenth
