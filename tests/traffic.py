"""What tests of the whole pipeline share: events onto topics, a pipeline over them, decisions read back.

Reading and producing go through confluent-kafka's own clients, as any other program's would.
"""

import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from confluent_kafka import Consumer, Producer, TopicPartition

from pipeline.config.load import load
from pipeline.config.model import PipelineConfig
from pipeline.service import Summary, run_pipeline
from pipeline.wire.metrics import MetricsRecord

READ_S_MAX = 60.0


def configured(bootstrap: str, *more: str, suffix: str = "") -> PipelineConfig:
    """The shipped fraud pipeline with patience enough for a slow machine, on topics of its own."""
    return load("fraud", environ={}, assignments=assignments(bootstrap, *more, suffix=suffix)).config


def assignments(bootstrap: str, *more: str, suffix: str = "") -> list[str]:
    """The same, as a command line takes it."""
    names = ("decisions", "dead_letters", "metrics")
    topics = [f"topics.{name}={name.replace('_', '-')}{suffix}" for name in names]
    inputs = [f"inputs.{name}.topic={name}{suffix}" for name in ("transactions", "labels")]
    general = [
        f"kafka.bootstrap.servers={bootstrap}",
        f"kafka.group.id=test{suffix}",
        "kafka.consumer.auto.offset.reset=earliest",
        "pipeline.budget_ms_max=3600000",
        "pipeline.budget_ms=3600000",
        "engine.drain_ms_max=10000",
        "engine.metrics_ms=100",
    ]
    return [*general, *topics, *inputs, *more]


def send(bootstrap: str, topic: str, records: Sequence[tuple[Any, Any]], partitions: int | None = None) -> None:
    """Produce (key, value) records and wait; with `partitions`, the key's number decides."""
    # Idempotent, since a retry without it may reorder a partition, and late events have other features.
    settings = {"enable.idempotence": True, "partitioner": "murmur2_random", "linger.ms": 5}
    producer = Producer({"bootstrap.servers": bootstrap, **settings})
    failed: list[Any] = []
    for key, value in records:
        extra = {} if partitions is None else {"partition": int(key) % partitions}
        while True:
            try:
                producer.produce(
                    topic, value, key, on_delivery=lambda error, _: error and failed.append(error), **extra
                )
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(30) == 0
    assert not failed, failed[0]


def read(bootstrap: str, topic: str, count: int, until: Callable[[list[Any]], bool] = lambda _: False) -> list[Any]:
    """The first `count` messages of a topic, all partitions from their beginning; fewer when `until` says so."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "reader",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 10,
        }
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    messages: list[Any] = []
    until_s = time.monotonic() + READ_S_MAX
    while len(messages) < count and time.monotonic() < until_s and not (messages and until(messages)):
        messages += [message for message in consumer.consume(1000, 0.2) if message.error() is None]
    consumer.close()
    return messages


def decisions(bootstrap: str, topic: str, count: int) -> list[dict[str, Any]]:
    """The first `count` decisions of a topic."""
    return [json.loads(message.value()) for message in read(bootstrap, topic, count)]


def run_until(config: PipelineConfig, records: int, seconds_max: float = 60.0) -> Summary:
    """Run a pipeline until so many records have ended, then drain it."""
    stop = threading.Event()
    until_s = time.monotonic() + seconds_max

    def look(_record: MetricsRecord, totals: MetricsRecord) -> None:
        if sum(totals.outcomes.values()) >= records or time.monotonic() > until_s:
            stop.set()

    return run_pipeline(config, stop=stop, on_meter=look)


def transaction_records(table: pa.Table) -> list[tuple[bytes, bytes]]:
    """A table's rows as records of the `transactions` topic."""
    columns = ("transaction_id", "event_time", "customer_id", "terminal_id", "amount")
    times = table["event_time"].cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64())
    plain = table.select([name for name in columns if name != "event_time"]).append_column("event_time", times)
    return [(str(row["customer_id"]).encode(), json.dumps(row).encode()) for row in plain.to_pylist()]


def label_records(table: pa.Table) -> list[tuple[bytes, bytes]]:
    """Labels as records of the `labels` topic."""
    return [(str(row["transaction_id"]).encode(), json.dumps(row).encode()) for row in table.to_pylist()]
