"""What Kafka says of a topic and a group, as the SLO app asks for it."""

import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from pipeline.slo.asking import Asker
from pipeline.slo.config import SloConfig
from pipeline.slo.expected import Position
from pipeline.slo.load import load_slo

pytestmark = pytest.mark.kafka


def config_of(bootstrap: str, suffix: str) -> SloConfig:
    return load_slo(
        "slo",
        environ={},
        assignments=[
            f"kafka.bootstrap.servers={bootstrap}",
            f"topics.metrics=metrics-{suffix}",
            f"pipelines.fraud.group=headrace-{suffix}",
            f'pipelines.fraud.topics=["transactions-{suffix}"]',
            f'pipelines.vision.topics=["frames-{suffix}"]',
        ],
    )


def commit(bootstrap: str, suffix: str, offset: int) -> None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"headrace-{suffix}"})
    consumer.commit(offsets=[TopicPartition(f"transactions-{suffix}", 0, offset)], asynchronous=False)
    consumer.close()


def test_the_marks_of_transactions_are_no_events(kafka_bootstrap: str, topic_suffix: str) -> None:
    topic = f"transactions-{topic_suffix}"
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    for made in admin.create_topics([NewTopic(topic, 1, 1), NewTopic(f"metrics-{topic_suffix}", 1, 1)]).values():
        made.result(20)
    asker = Asker(config_of(kafka_bootstrap, topic_suffix))
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "transactional.id": topic_suffix})
    producer.init_transactions(20)

    looking = Consumer({"bootstrap.servers": kafka_bootstrap, "group.id": f"look-{topic_suffix}"})

    def transaction(events: int, end: int) -> None:
        producer.begin_transaction()
        for _ in range(events):
            producer.produce(topic, b"{}")
        producer.commit_transaction(20)
        until_s = time.monotonic() + 20
        while looking.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)[1] < end:
            assert time.monotonic() < until_s, "the mark of the transaction is not written"

    def position() -> Position:
        sample = asker.sample()
        assert "vision" not in sample.positions, "its topic is not there"
        assert sample.metrics == {0: (0, 0)}
        return sample.positions["fraud"][f"{topic}/0"]

    transaction(3, 4)
    assert position() == Position(4, None), "three events and a mark; the group has committed nothing"
    commit(kafka_bootstrap, topic_suffix, 2)
    assert [position(), position()] == [Position(4, 2), Position(4, 2)], "an event is there"
    commit(kafka_bootstrap, topic_suffix, 3)
    assert position() == Position(4, 3), "it moved a moment ago"
    assert position() == Position(4, 4), "only a mark is there"
    transaction(1, 6)
    assert position() == Position(6, 3), "an event came"
    looking.close()
