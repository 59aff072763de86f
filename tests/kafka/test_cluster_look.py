"""The doctor's looks at a real cluster: each finds what is wrong with it."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from pipeline.cli.cluster import reach
from pipeline.config.model import PipelineConfig
from pipeline.doctor.broker_version import fetch_version, kafka_since
from pipeline.doctor.cluster import ClusterLook, probe
from pipeline.doctor.examine import examine
from pipeline.doctor.finding import Finding, Grade
from tests.traffic import configured

pytestmark = pytest.mark.kafka
Make = Callable[..., None]


@pytest.fixture
def config(kafka_bootstrap: str, topic_suffix: str) -> PipelineConfig:
    return configured(kafka_bootstrap, suffix=f"-{topic_suffix}")


@pytest.fixture
def make(kafka_bootstrap: str) -> Make:
    """Makes topics by name, with what they are set to."""
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})

    def made(*topics: str, partitions: int = 2, **settings: str) -> None:
        named = {name.replace("_", "."): value for name, value in settings.items()}
        for answer in admin.create_topics(
            [NewTopic(topic, partitions, 1, config=named) for topic in topics]
        ).values():
            answer.result(20)
        until_s = time.monotonic() + 20
        while not set(topics) <= set(admin.list_topics(timeout=10).topics):
            assert time.monotonic() < until_s
            time.sleep(0.05)

    return made


def look(config: PipelineConfig) -> ClusterLook:
    return ClusterLook(config, *reach(config.kafka.admin_settings(), 20_000))


def graded(findings: Iterable[Finding]) -> dict[str, Grade]:
    return {finding.check: finding.grade for finding in findings}


def produced(config: PipelineConfig, topic: str, count: int, ahead_ms: int = 0) -> None:
    producer = Producer({"bootstrap.servers": config.kafka.bootstrap})
    for number in range(count):
        stamp = {"timestamp": time.time_ns() // 1_000_000 + ahead_ms} if ahead_ms else {}
        producer.produce(topic, b"{}", str(number), partition=number % 2, **stamp)
    assert producer.flush(30) == 0


def test_a_cluster_as_it_should_be_is_good_throughout(config: PipelineConfig, make: Make) -> None:
    make(*config.topic_names, retention_ms="-1")
    produced(config, config.catalog.decided.topic, 4)
    telling: list[str] = []
    found = list(examine(config, telling.append))
    assert [f for f in found if f.grade is Grade.FAIL] == []
    grades = graded(found)
    assert {
        "broker",
        "topic settings",
        "partitions",
        "clocks",
        "offsets of test-" + config.topics.metrics[8:],
    } <= set(grades)
    assert "clocks" in telling


def test_the_brokers_version_is_told(config: PipelineConfig) -> None:
    (found,) = look(config).broker()
    assert found.grade is Grade.OK
    assert "Kafka 4.1 or newer" in found.says or "Kafka 3." in found.says


def test_topics_that_are_missing_are_named(config: PipelineConfig, make: Make) -> None:
    make(*config.topic_names[:-1])
    found = list(look(config).topics())
    assert [f.check for f in found if f.grade is Grade.FAIL] == [f"topic {config.topics.metrics}"]


def test_fewer_partitions_of_decisions_than_of_what_is_decided_are_told(config: PipelineConfig, make: Make) -> None:
    decided, decisions = config.catalog.decided.topic, config.topics.decisions
    make(*(topic for topic in config.topic_names if topic != decisions))
    make(decisions, partitions=1)
    found = {f.check: f for f in look(config).topics()}["partitions"]
    assert found.grade is Grade.WARN
    assert found.says == f"1 partitions of {decisions} for 2 of {decided}"


@pytest.mark.parametrize(
    ("topic", "settings", "told"),
    [
        ("decided", {"retention_ms": "3600000"}, "keeps 1h, windows reach back 37d, and there are no checkpoints"),
        ("decisions", {"cleanup_policy": "compact"}, "cleanup.policy compacts it"),
        ("decisions", {"max_message_bytes": "100000"}, "max.message.bytes is 100000"),
    ],
)
def test_settings_that_break_what_is_promised_are_named(
    config: PipelineConfig, make: Make, topic: str, settings: dict[str, str], told: str
) -> None:
    name = config.catalog.decided.topic if topic == "decided" else config.topics.decisions
    make(*(each for each in config.topic_names if each != name), retention_ms="-1")
    make(name, **{"retention_ms": "-1", **settings})
    (found,) = look(config).settings()
    assert (found.check, found.grade) == (f"topic {name}", Grade.WARN)
    assert told in found.says


def test_offsets_that_the_topic_no_longer_holds_are_named(config: PipelineConfig, make: Make) -> None:
    topic, group = config.catalog.decided.topic, config.kafka.common["group.id"]
    make(topic)
    produced(config, topic, 40)
    settings = {"bootstrap.servers": config.kafka.bootstrap, "group.id": group}
    with contextlib.closing(Consumer(settings)) as consumer:
        consumer.commit(offsets=[TopicPartition(topic, 0, 3), TopicPartition(topic, 1, 20)], asynchronous=False)
    (found,) = look(config).offsets()
    assert found.grade is Grade.OK
    assert "2 of 2 partitions" in found.says
    assert "17 records wait" in found.says
    admin = AdminClient({"bootstrap.servers": config.kafka.bootstrap})
    for answer in admin.delete_records([TopicPartition(topic, 0, 10)]).values():
        answer.result(20)
    (found,) = look(config).offsets()
    assert found.grade is Grade.FAIL
    assert found.says == f"{topic}[0]: committed at 3, the topic holds 10 to 20"
    with contextlib.closing(Consumer(settings)) as consumer:
        consumer.commit(offsets=[TopicPartition(topic, 0, 10)], asynchronous=False)
    assert graded(look(config).offsets())[f"offsets of {group}"] is not Grade.FAIL
    assert any("stand near the oldest record kept" in f.says for f in look(config).offsets())


def test_records_from_the_future_tell_of_clocks_that_disagree(config: PipelineConfig, make: Make) -> None:
    topic = config.catalog.decided.topic
    make(topic)
    (found,) = look(config).clocks()
    assert found.grade is Grade.OK
    produced(config, topic, 1, ahead_ms=600_000)
    (found,) = look(config).clocks()
    assert found.grade is Grade.FAIL
    assert f"the newest record of {topic} is stamped" in found.says


def test_a_probe_compares_clocks_both_ways(config: PipelineConfig, make: Make) -> None:
    suffix = config.topics.metrics
    make(f"stamped-{suffix}", partitions=1, message_timestamp_type="LogAppendTime")
    make(f"unstamped-{suffix}", partitions=1)
    settings = config.kafka.admin_settings()
    found = probe(settings, f"stamped-{suffix}", 10)
    assert found.grade is Grade.OK
    assert "to within" in found.says
    found = probe(settings, f"unstamped-{suffix}", 10)
    assert (found.grade, "keeps the producer's time" in found.says) == (Grade.FAIL, True)
    assert probe(settings, f"nowhere-{suffix}", 1).grade is Grade.FAIL


@pytest.fixture
def no_broker() -> Iterator[str]:
    """Something that listens and answers with what is no broker's answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(struct.pack(">i", 2_000_000_000) + b"HTTP/1.1 200 OK")

        threading.Thread(target=answer, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_what_is_no_broker_tells_no_version(no_broker: str) -> None:
    assert fetch_version({"bootstrap.servers": f"localhost:1,{no_broker}"}, 2.0) is None
    assert (kafka_since(18), kafka_since(13), kafka_since(4)) == ("4.1", "3.1", "0.10")
