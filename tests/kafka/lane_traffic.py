"""Records into a topic, and out of lanes again until a stated number has come."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.kafka.consumer import Assigned, ControlEvent, LaneConsumer
from pipeline.kafka.lane import TopicPartition
from pipeline.kafka.messages import MESSAGE, Record, record_at
from pipeline.kafka.producer import LaneProducer
from pipeline.kafka.wake import Wake

PATIENCE_S = 30.0
Read = dict[TopicPartition, list[Record]]


def batch_of(values: Sequence[bytes], partitions: Sequence[int]) -> tuple[Any, Any]:
    """Messages for `produce_batch`, `_private` counting from 1, and the buffer that must outlive them."""
    held = np.frombuffer(b"".join(values), np.uint8)
    messages = np.zeros(len(values), MESSAGE)
    lengths = np.array([len(value) for value in values])
    messages["payload"] = held.ctypes.data + np.cumsum(lengths) - lengths
    messages["len"], messages["partition"] = lengths, partitions
    messages["_private"] = np.arange(len(values)) + 1
    return messages, held


def fill(settings: Mapping[str, str], topic: str, count: int, partitions: int = 1, first: int = 0) -> None:
    """Put `count` records into each partition, their values being b"partition:number" from `first`."""
    producer = LaneProducer(settings)
    known = producer.partition_count(topic, 20_000)
    assert known >= partitions
    where = [p for _ in range(count) for p in range(partitions)]
    values = [b"%d:%d" % (p, n) for n in range(first, first + count) for p in range(partitions)]
    messages, _held = batch_of(values, where)
    assert producer.produce_batch(topic, messages) is None
    assert producer.flush(20_000)
    assert not producer.deliveries().error.any()
    producer.close()


def value_of(partition: TopicPartition, number: int) -> bytes:
    """What `fill` put at an offset of a partition it was the only one to write to."""
    return b"%d:%d" % (partition.partition, number)


def take(consumer: LaneConsumer, into: Read, rows_max: int = 1000) -> list[ControlEvent]:
    """One turn: control events, and what every lane has. Returns the events, unanswered."""
    events = consumer.control()
    for key, lane in consumer.lanes.items():
        messages = lane.read(rows_max)
        into.setdefault(key, []).extend(record_at(address) for address in messages.pointers.tolist())
        messages.free()
    return events


def read_until(consumer: LaneConsumer, wake: Wake, count: int, rows_max: int = 1000) -> Read:
    """Read until `count` records have come, taking every assignment from its committed offsets."""
    read: Read = {}
    until_s = time.monotonic() + PATIENCE_S
    while sum(map(len, read.values())) < count:
        assert time.monotonic() < until_s, f"{sum(map(len, read.values()))} of {count} records came"
        before = sum(map(len, read.values()))
        for event in take(consumer, read, rows_max):
            if isinstance(event, Assigned):
                consumer.accept_assigned(dict.fromkeys(event.partitions))
        if sum(map(len, read.values())) == before:
            wake.wait(200)
    return read
