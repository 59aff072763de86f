"""A dead letter is the record as it came, and why it is one, under Kafka Streams' names."""

import time

import pytest

from pipeline.decode import Reject
from pipeline.kafka.consumer import LaneConsumer, TopicPartition
from pipeline.kafka.embedded import EmbeddedCluster
from pipeline.kafka.messages import Messages, Record
from pipeline.kafka.producer import LaneProducer
from pipeline.kafka.wake import Wake
from pipeline.wire.dead_letter import DeadRecord, headers_of

OWN = (("traceparent", b"00-1"), ("traceparent", None), ("", b"\xff\x00"))
BAD = Reject(1, "wrong-type", "field 'amount': found string \"é\", expected a number")
READ_WITHIN_S = 20


def test_the_records_own_headers_come_first_and_untouched() -> None:
    dead = DeadRecord(Record(8812, b"k", None, OWN), "transactions", 3, BAD.code, BAD.message)
    assert headers_of(dead) == [
        *OWN,
        ("__streams.errors.exception", b"headrace.wrong-type"),
        ("__streams.errors.message", BAD.message.encode()),
        ("__streams.errors.topic", b"transactions"),
        ("__streams.errors.partition", b"3"),
        ("__streams.errors.offset", b"8812"),
    ]


def read_one_chunk(consumer: LaneConsumer, wake: Wake, partition: TopicPartition, records: int) -> Messages:
    """A read that brought all of them; one that brought fewer is begun again from the start."""
    deadline_s = time.monotonic() + READ_WITHIN_S
    while time.monotonic() < deadline_s:
        consumer.control()
        messages = consumer.lanes[partition].read(records)
        if messages.count == records:
            return messages
        if messages.count:
            consumer.assign({partition: 0})
        messages.free()
        wake.wait(50)
    pytest.fail(f"{records} records did not arrive within {READ_WITHIN_S} s")


def test_it_outlives_the_memory_that_the_record_was_read_into() -> None:
    partition = TopicPartition("transactions", 1)
    with EmbeddedCluster({"transactions": 2}) as cluster:
        settings, wake = {"bootstrap.servers": cluster.bootstrap}, Wake()
        producer = LaneProducer(settings)
        producer.produce("transactions", 1, b"first", b"{}", [], 1)
        producer.produce("transactions", 1, None, b'{"amount": "\xc3\xa9"}', [("trace", b"7")], 2)
        assert producer.flush(10_000)
        producer.close()
        consumer = LaneConsumer({**settings, "group.id": "dead-letters"}, wake)
        consumer.assign({partition: 0})
        messages = read_one_chunk(consumer, wake, partition, 2)
        dead = DeadRecord.copied(messages, BAD, "transactions")
        messages.free()
        consumer.close(5_000)
    assert (dead.key, dead.value) == (None, b'{"amount": "\xc3\xa9"}')
    assert (dead.topic, dead.partition, dead.offset) == ("transactions", 1, 1)
    assert headers_of(dead)[0] == ("trace", b"7")
    assert (dead.code, dead.message) == (BAD.code, BAD.message)
