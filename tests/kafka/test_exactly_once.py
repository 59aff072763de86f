"""Exactly once on a real broker: who reads committed records sees each source once, whatever happens."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from pipeline.cli.cluster import create_topics
from pipeline.config.model import PipelineConfig
from pipeline.errors import FencedError
from pipeline.service import Summary, run_pipeline
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from tests.traffic import configured, run_until, send, transaction_records

pytestmark = pytest.mark.kafka
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


def test_an_orderly_restart_shows_each_source_once_and_offsets_match_what_is_seen(
    kafka_bootstrap: str, topic_suffix: str
) -> None:
    config = prepared(kafka_bootstrap, topic_suffix)
    records, topic = transaction_records(TABLE), config.catalog.decided.topic
    half = len(records) // 2
    bad = [(b"1", b"not json"), (b"2", b'{"transaction_id": 5}')]
    send(kafka_bootstrap, topic, [*records[:half], *bad], PARTITIONS)
    first = run_until(config, half + len(bad))
    assert first.drained
    assert first.totals.outcomes["scored"] == half
    assert first.totals.delivered == half + len(bad)
    assert first.totals.counts["transactions"] > 0
    dead = seen(kafka_bootstrap, config.topics.dead_letters, lambda read: len(read) >= 2)
    assert sorted(message.value() for message in dead) == sorted(value for _, value in bad)
    assert sum(committed(kafka_bootstrap, config).values()) == half + len(bad)
    assert len(sources(kafka_bootstrap, config, half)) == half
    send(kafka_bootstrap, topic, records[half:], PARTITIONS)
    assert run_until(config, len(records) - half).drained
    found = sources(kafka_bootstrap, config, len(records))
    assert len(found) == len(records)
    assert set(found.values()) == {1}
    assert sum(committed(kafka_bootstrap, config).values()) == len(records) + len(bad)


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


NEVER = "engine.commit_ms=1000000"
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


def test_a_process_killed_in_mid_transaction_leaves_nothing_and_its_successor_repeats_nothing(
    kafka_bootstrap: str, topic_suffix: str
) -> None:
    config = prepared(kafka_bootstrap, topic_suffix)
    records = transaction_records(TABLE)
    process = Process(config, topic_suffix, NEVER)
    first_committed(kafka_bootstrap, config, records)
    assert process.end(signal.SIGKILL)[0] == -signal.SIGKILL
    before = sum(committed(kafka_bootstrap, config).values())
    assert before < len(records)
    assert_each_once(kafka_bootstrap, config, before)
    summary = run_until(config, len(records) - before)
    assert summary.drained
    assert summary.totals.delivered == len(records) - before
    assert_each_once(kafka_bootstrap, config, len(records))


LIMIT_BYTES = 2100
"""Between the decision of a long id and its dead letter, which has no features."""


def long_record(record: Any) -> Any:
    return record[0], json.dumps({**json.loads(record[1]), "transaction_id": "\1" * 256}).encode()


def test_what_the_broker_refuses_becomes_a_dead_letter_and_the_rest_is_seen_once_after_the_abort(
    kafka_bootstrap: str, topic_suffix: str
) -> None:
    # One decision a batch: the topic's limit is on batches.
    config = prepared(kafka_bootstrap, topic_suffix, "publish.features=true", "kafka.producer.batch.num.messages=1")
    limit = ConfigResource(
        ResourceType.TOPIC,
        config.topics.decisions,
        incremental_configs=[
            ConfigEntry("max.message.bytes", str(LIMIT_BYTES), incremental_operation=AlterConfigOpType.SET)
        ],
    )
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    for answer in admin.incremental_alter_configs([limit]).values():
        answer.result(20)
    records = transaction_records(TABLE)[:300]
    long = [long_record(record) for record in records[:2]]
    records[100:100], records[200:200] = long[:1], long[1:]
    send(kafka_bootstrap, config.catalog.decided.topic, records, PARTITIONS)
    summary = run_until(config, len(records))
    assert summary.drained
    assert summary.totals.counts["undeliverable"] == 2
    assert summary.totals.counts["aborted"] >= 1
    found = sources(kafka_bootstrap, config, len(records) - 2)
    assert len(found) == len(records) - 2
    assert set(found.values()) == {1}
    dead = seen(kafka_bootstrap, config.topics.dead_letters, lambda read: len(read) >= 2)
    assert sorted(message.value() for message in dead) == sorted(value for _, value in long)
    assert {dict(message.headers())["__streams.errors.exception"] for message in dead} == {b"headrace.undeliverable"}
    assert sum(committed(kafka_bootstrap, config).values()) == len(records)


def test_what_the_producer_refuses_becomes_a_dead_letter_in_the_same_transaction(
    kafka_bootstrap: str, topic_suffix: str
) -> None:
    config = prepared(
        kafka_bootstrap, topic_suffix, "publish.features=true", f"kafka.producer.message.max.bytes={LIMIT_BYTES}"
    )
    records = transaction_records(TABLE)[:300]
    long = long_record(records[0])
    send(kafka_bootstrap, config.catalog.decided.topic, [*records[:100], long, *records[100:]], PARTITIONS)
    summary = run_until(config, 301)
    assert summary.drained
    counts = summary.totals.counts
    assert (counts["undeliverable"], counts.get("aborted", 0)) == (1, 0)
    assert len(sources(kafka_bootstrap, config, 300)) == 300
    dead = seen(kafka_bootstrap, config.topics.dead_letters, lambda read: len(read) >= 1)
    assert [message.value() for message in dead] == [long[1]]
    assert sum(committed(kafka_bootstrap, config).values()) == 301


def test_a_process_whose_name_another_took_is_fenced_and_says_so(kafka_bootstrap: str, topic_suffix: str) -> None:
    config = prepared(kafka_bootstrap, topic_suffix)
    records, topic = transaction_records(TABLE), config.catalog.decided.topic
    half = len(records) // 2
    send(kafka_bootstrap, topic, records[:half], PARTITIONS)
    old = Running(config)
    old.until(lambda: old.outcomes == half)
    new = Running(config)
    send(kafka_bootstrap, topic, records[half:], PARTITIONS)
    error = old.failed()
    assert isinstance(error, FencedError)
    assert "another process has taken over this name" in str(error)
    new.until(lambda: sum(committed(kafka_bootstrap, config).values()) == len(records))
    assert new.end().drained
    assert_each_once(kafka_bootstrap, config, len(records))


def test_a_revoke_during_an_open_transaction_commits_it_first(kafka_bootstrap: str, topic_suffix: str) -> None:
    config = prepared(kafka_bootstrap, topic_suffix, NEVER)
    records, topic = transaction_records(TABLE), config.catalog.decided.topic
    half = len(records) // 2
    stays = Running(config)
    first_committed(kafka_bootstrap, config, records[:half])
    assert stays.outcomes < half, "the second transaction is open"
    comes = Running(exactly_once(kafka_bootstrap, topic_suffix, instance="b"))
    stays.until(lambda: stays.outcomes == half)
    send(kafka_bootstrap, topic, records[half:], PARTITIONS)
    comes.until(lambda: comes.outcomes > 0)
    assert stays.end().drained
    assert comes.end().drained
    assert_each_once(kafka_bootstrap, config, len(records))


@pytest.mark.slow
def test_a_process_frozen_until_its_partitions_are_anothers_commits_nothing_of_them(
    kafka_bootstrap: str, topic_suffix: str
) -> None:
    config = prepared(kafka_bootstrap, topic_suffix)
    records = transaction_records(TABLE)
    frozen = Process(config, topic_suffix, "engine.commit_ms=3000")
    first_committed(kafka_bootstrap, config, records)
    frozen.signal(signal.SIGSTOP)
    other = Running(exactly_once(kafka_bootstrap, topic_suffix, instance="b"))
    other.until(lambda: sum(committed(kafka_bootstrap, config).values()) == len(records))
    frozen.signal(signal.SIGCONT)
    assert other.end().drained
    code, said = frozen.end(signal.SIGTERM)
    assert code in (0, 1), said
    assert_each_once(kafka_bootstrap, config, len(records))
