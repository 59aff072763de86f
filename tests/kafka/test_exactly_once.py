"""Exactly once on a real broker: who reads committed records sees each source once, whatever happens."""

import json
import signal
from typing import Any

import pytest
from committed_traffic import (
    NEVER,
    PARTITIONS,
    TABLE,
    Process,
    Running,
    assert_each_once,
    committed,
    exactly_once,
    first_committed,
    prepared,
    seen,
    sources,
)
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from pipeline.errors import FencedError
from tests.traffic import run_until, send, transaction_records

pytestmark = pytest.mark.kafka


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


def test_a_process_killed_in_mid_transaction_leaves_nothing_and_its_successor_repeats_nothing(
    kafka_bootstrap: str, topic_suffix: str
) -> None:
    config = prepared(kafka_bootstrap, topic_suffix)
    records = transaction_records(TABLE)
    process = Process(config, topic_suffix, *NEVER)
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
    config = prepared(kafka_bootstrap, topic_suffix, *NEVER)
    records, topic = transaction_records(TABLE), config.catalog.decided.topic
    half = len(records) // 2
    stays = Running(config)
    first_committed(kafka_bootstrap, config, records[:half])
    assert stays.outcomes < half, "the second transaction is open"
    comes = Running(exactly_once(kafka_bootstrap, topic_suffix, instance="b"))
    stays.until(lambda: stays.outcomes == half)
    send(kafka_bootstrap, topic, records[half:], PARTITIONS)
    everything = seen(
        kafka_bootstrap,
        config.topics.decisions,
        lambda read: len({tuple(json.loads(message.value())["source"]) for message in read}) == len(records),
        "read_uncommitted",
    )
    assert len(everything) >= len(records)
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
