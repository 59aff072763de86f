"""Consume and produce unchanged, in a process of its own: the limit that a pipeline is measured against.

`python -m bench._pass_through plain|bulk BOOTSTRAP INPUT OUTPUT EVENTS` prints one line of JSON.
"""

import json
import sys
import time
from typing import Any

import numpy as np

from pipeline.kafka.consumer import LaneConsumer, TopicPartition
from pipeline.kafka.messages import MESSAGE
from pipeline.kafka.producer import LaneProducer
from pipeline.kafka.wake import Wake

CONSUMER = {"fetch.wait.max.ms": 10, "fetch.queue.backoff.ms": 1, "queued.min.messages": 100000}
PRODUCER = {"enable.idempotence": True, "linger.ms": 2, "queue.buffering.max.messages": 500000}
GROUP = {"auto.offset.reset": "earliest", "enable.auto.commit": False, "group.id": "bench-pass-through"}
READ_MAX = 1024


def plain(bootstrap: str, source: str, target: str, events: int) -> tuple[float, int]:
    """With confluent-kafka's own Consumer and Producer, as their documentation says."""
    from confluent_kafka import Consumer, Producer
    from confluent_kafka import TopicPartition as Position

    consumer = Consumer({"bootstrap.servers": bootstrap, **GROUP, **CONSUMER})
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", **PRODUCER})
    partitions = consumer.list_topics(source, timeout=20).topics[source].partitions
    producer.list_topics(target, timeout=20)
    consumer.assign([Position(source, number, 0) for number in partitions])
    delivered = 0

    def on_delivery(error: Any, _message: Any) -> None:
        nonlocal delivered
        assert error is None
        delivered += 1

    produced, started = 0, 0.0
    while delivered < events:
        messages = consumer.consume(READ_MAX, 0.01) if produced < events else []
        if messages and not started:
            started = time.perf_counter()
        for message in messages:
            while True:
                try:
                    producer.produce(target, message.value(), message.key(), on_delivery=on_delivery)
                    break
                except BufferError:
                    producer.poll(0.01)
            produced += 1
        producer.poll(0 if messages else 0.01)
    took = time.perf_counter() - started
    consumer.close()
    return took, delivered


def bulk(bootstrap: str, source: str, target: str, events: int) -> tuple[float, int]:
    """With our own lanes: no record becomes a Python object."""
    wake = Wake()
    consumer = LaneConsumer({"bootstrap.servers": bootstrap, **{k: str(v) for k, v in CONSUMER.items()}}, wake)
    producer = LaneProducer({"bootstrap.servers": bootstrap}, wake)
    partitions = producer.partition_count(source, 20_000)
    producer.partition_count(target, 20_000)
    consumer.assign({TopicPartition(source, number): 0 for number in range(partitions)})
    delivered, produced, started = 0, 0, 0.0
    room = np.zeros(READ_MAX, MESSAGE)
    addresses = [np.zeros(READ_MAX, np.int64) for _ in range(5)]
    key_length = np.zeros(READ_MAX, np.int32)
    payload, length, key, offset, stamp = addresses
    while delivered < events:
        read = 0
        for lane in consumer.lanes.values():
            messages = lane.read(READ_MAX)
            n = messages.count
            if n:
                started = started or time.perf_counter()
                messages.extract(0, payload, length, key, key_length, offset, stamp)
                out = room[:n]
                out["partition"], out["payload"], out["len"] = lane.partition, payload[:n], length[:n]
                out["key"], out["key_len"], out["_private"] = key[:n], key_length[:n], 1
                assert producer.produce_batch(target, out) is None
            messages.free()
            read += n
        produced += read
        delivered += len(producer.deliveries().opaque)
        if not read:
            wake.wait(10)
    took = time.perf_counter() - started
    consumer.close(1000)
    producer.close()
    return took, delivered


def main() -> None:
    kind, bootstrap, source, target, events = sys.argv[1:]
    cpu = time.process_time()
    took, delivered = {"plain": plain, "bulk": bulk}[kind](bootstrap, source, target, int(events))
    print(json.dumps({"seconds": took, "events": delivered, "cpu_s": time.process_time() - cpu}))


if __name__ == "__main__":
    main()
