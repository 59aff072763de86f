"""What the producer promises: a report for every message accepted, an answer for every one refused."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from lane_traffic import PATIENCE_S, batch_of, fill, read_until

from pipeline.kafka.consumer import LaneConsumer, TopicPartition
from pipeline.kafka.librdkafka import KafkaError
from pipeline.kafka.producer import ANY_PARTITION, LaneProducer
from pipeline.kafka.wake import Wake

TopicOf = Callable[[int], tuple[dict[str, str], str]]
# Kafka's UtilsTest.java; a key's partition is the hash without its sign, modulo the count of partitions.
JAVA_HASHES = {b"21": -973932308, b"foobar": -790332482, b"abc": 479470107, b"a-little-bit-long-string": -985981536}


def test_each_message_is_reported_once_by_its_own_number(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(3)
    producer = LaneProducer(settings, wake)
    assert producer.partition_count(topic, 20_000) == 3
    messages, _held = batch_of([b"%d" % n for n in range(50_000)], [n % 3 for n in range(50_000)])
    reported = []
    for part in np.array_split(messages, 5):
        assert producer.produce_batch(topic, part) is None
        reported.append(producer.deliveries())
    assert producer.produce(topic, 2, b"k", b"v", [("h", b"1")], 50_001) == 0
    assert producer.flush(20_000)
    reported.append(producer.deliveries())
    assert sorted(np.concatenate([d.opaque for d in reported]).tolist()) == list(range(1, 50_002))
    assert not np.concatenate([d.error for d in reported]).any()
    assert producer.queued() == 0
    producer.close()


def test_messages_lie_where_they_were_sent_and_bytes_may_be_reused(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(2)
    producer = LaneProducer(settings)
    producer.partition_count(topic, 20_000)
    messages, held = batch_of([b"%05d" % n for n in range(1000)], [n % 2 for n in range(1000)])
    mine = held.copy()
    messages["payload"] += mine.ctypes.data - held.ctypes.data
    messages["key"], messages["key_len"] = messages["payload"], 3
    assert producer.produce_batch(topic, messages) is None
    mine[:] = ord("!")
    assert producer.flush(20_000)
    producer.close()
    consumer = LaneConsumer(settings, wake)
    consumer.assign({TopicPartition(topic, 0): 0, TopicPartition(topic, 1): 0})
    read = read_until(consumer, wake, 1000)
    for key, records in read.items():
        sent = [b"%05d" % n for n in range(key.partition, 1000, 2)]
        assert [(record.key, record.value) for record in records] == [(value[:3], value) for value in sent]
    consumer.close(5000)


def test_what_a_full_queue_refuses_is_told_apart_and_can_be_sent_again(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(1)
    producer = LaneProducer({**settings, "queue.buffering.max.messages": "100", "linger.ms": "200"})
    producer.partition_count(topic, 20_000)
    messages, _held = batch_of([b"%d" % n for n in range(1000)], [0] * 1000)
    opaques: list[int] = []
    rounds, left = 0, messages
    while len(left):
        rounds += 1
        errors = producer.produce_batch(topic, left)
        if errors is None:
            break
        assert set(errors.tolist()) <= {0, LaneProducer.QUEUE_FULL}
        left = left[errors != 0]
        assert producer.flush(20_000)
        opaques += producer.deliveries().opaque.tolist()
    assert rounds >= 10, "the queue was never full"
    assert producer.flush(20_000)
    opaques += producer.deliveries().opaque.tolist()
    assert sorted(opaques) == list(range(1, 1001))
    consumer = LaneConsumer(settings, wake)
    consumer.assign({TopicPartition(topic, 0): 0})
    (records,) = read_until(consumer, wake, 1000).values()
    assert sorted(int(record.value or b"") for record in records) == list(range(1000))
    producer.close()
    consumer.close(5000)


def test_a_refused_message_does_not_take_its_neighbours_with_it(topic_of: TopicOf) -> None:
    settings, topic = topic_of(1)
    producer = LaneProducer({**settings, "message.max.bytes": "2000"})
    producer.partition_count(topic, 20_000)
    messages, _held = batch_of([b"a", b"b" * 5000, b"c"], [0, 0, 0])
    errors = producer.produce_batch(topic, messages)
    assert errors is not None
    assert [error != 0 for error in errors.tolist()] == [False, True, False]
    assert producer.flush(20_000)
    assert sorted(producer.deliveries().opaque.tolist()) == [1, 3]
    producer.close()


def test_a_key_lies_where_every_java_client_puts_it(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(7)
    producer = LaneProducer(settings)
    producer.partition_count(topic, 20_000)
    for key in JAVA_HASHES:
        assert producer.produce(topic, ANY_PARTITION, key, b"", [], 1) == 0
    assert producer.flush(20_000)
    producer.close()
    consumer = LaneConsumer(settings, wake)
    consumer.assign({TopicPartition(topic, p): 0 for p in range(7)})
    read = read_until(consumer, wake, len(JAVA_HASHES))
    found = {record.key: key.partition for key, records in read.items() for record in records}
    assert found == {key: (hashed & 0x7FFFFFFF) % 7 for key, hashed in JAVA_HASHES.items()}
    consumer.close(5000)


def test_headers_come_back_as_they_went(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(1)
    headers = (("ce_id", b"1"), ("empty", b""), ("null", None), ("ce_id", b"\x00\xff"), ("naïve", b"x"))
    producer = LaneProducer(settings)
    producer.partition_count(topic, 20_000)
    assert producer.produce(topic, 0, b"k", None, headers, 1) == 0
    assert producer.flush(20_000)
    producer.close()
    consumer = LaneConsumer(settings, wake)
    consumer.assign({TopicPartition(topic, 0): 0})
    (records,) = read_until(consumer, wake, 1).values()
    assert (records[0].key, records[0].value, records[0].headers) == (b"k", None, headers)
    consumer.close(5000)


def test_what_cannot_be_delivered_is_reported_with_its_error(embedded: Callable[[dict[str, int]], str]) -> None:
    producer = LaneProducer({"bootstrap.servers": embedded({"lanes": 1}), "message.timeout.ms": "0"})
    producer.partition_count("lanes", 20_000)
    code = producer.produce("lanes", 5, None, b"x", [], 77)
    if code == 0:  # it was queued before the count of partitions was looked at: then the report says it
        assert producer.flush(5000)
        taken = producer.deliveries()
        assert taken.opaque.tolist() == [77]
        code = int(taken.error[0])
    assert code != 0
    producer.close()


def test_a_missing_topic_and_a_silent_broker_are_named(embedded: Callable[[dict[str, int]], str]) -> None:
    producer = LaneProducer({"bootstrap.servers": embedded({"lanes": 1}), "allow.auto.create.topics": "false"})
    assert producer.partition_count("lanes", 20_000) == 1
    producer.close()
    lost = LaneProducer({"bootstrap.servers": "127.0.0.1:1"})
    with pytest.raises(KafkaError, match=r"127\.0\.0\.1:1 within 300 ms"):
        lost.partition_count("lanes", 300)
    lost.close()


@pytest.mark.kafka
def test_a_topic_the_broker_does_not_have_is_named(kafka_bootstrap: str, topic_suffix: str) -> None:
    producer = LaneProducer({"bootstrap.servers": kafka_bootstrap})
    with pytest.raises(KafkaError, match=f"'none-{topic_suffix}' at {kafka_bootstrap}"):
        producer.partition_count(f"none-{topic_suffix}", 20_000)
    producer.close()


def test_closing_with_messages_nobody_takes_gives_them_up(embedded: Callable[[dict[str, int]], str]) -> None:
    producer = LaneProducer({"bootstrap.servers": "127.0.0.1:1"})
    for number in range(10):
        assert producer.produce("lanes", 0, None, b"x", [], number + 1) == 0
    assert not producer.flush(100)
    assert producer.queued() >= 10
    producer.close()
    producer.close()


def test_a_cluster_that_is_gone_is_told_in_one_line(
    embedded: Callable[[dict[str, int]], str], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    producer = LaneProducer({"bootstrap.servers": "127.0.0.1:1"})
    until_s = time.monotonic() + PATIENCE_S
    while producer._outage._attempts < 4:
        assert time.monotonic() < until_s
        producer.flush(20)
        producer.deliveries()
        time.sleep(0.02)
    producer.close()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("producer: no connection to 127.0.0.1:1: ")
    assert capfd.readouterr().err == ""


def test_a_report_rings(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(1)
    fill(settings, topic, 1)
    producer = LaneProducer(settings, wake)
    producer.partition_count(topic, 20_000)
    producer.deliveries()
    assert producer.produce(topic, 0, None, b"x", [], 9) == 0
    reported: list[int] = []
    while not reported:
        assert wake.wait(20_000), "nothing rang"
        reported = producer.deliveries().opaque.tolist()
    assert reported == [9]
    producer.close()
