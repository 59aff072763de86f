"""Sending traffic: open loop, by a schedule that does not wait for anybody."""

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.errors import HeadraceError
from pipeline.kafka.producer import LaneProducer
from pipeline.sim.encode import label_encoder, transaction_encoder
from pipeline.sim.traffic import traffic
from pipeline.sim.transactions import MS_PER_DAY, Population, TransactionSource

TICK_S = 0.002
HISTORY_DAYS = 400
"""How long ago simulated time begins, so that it never runs ahead of the clock."""


@dataclass(frozen=True)
class Load:
    """What to send: so many transactions, at so many a second (0: as fast as possible)."""

    transactions: int
    rate: float
    population: Population = field(default_factory=Population)
    topic: str = "transactions"
    labels_topic: str = "labels"


@dataclass(frozen=True)
class Sent:
    """What was sent and delivered, and how far the sender fell behind its schedule at worst."""

    transactions: int
    labels: int
    behind_ms_max: float
    started_ns: int


def default_start_ms(now_ms: int) -> int:
    """A midnight long enough ago."""
    return now_ms // MS_PER_DAY * MS_PER_DAY - HISTORY_DAYS * MS_PER_DAY


def drive(
    settings: Mapping[str, str],
    load: Load,
    *,
    start_ms: int,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda sent: None,
    timeout_ms: int = 10_000,
) -> Sent:
    """Send until all is sent or `stop` says so, then wait for the deliveries.

    Transaction i is due at i / rate seconds after the start, whatever happened to those before it. Raises
    KafkaError when a topic or the cluster is not there, HeadraceError when deliveries fail.
    """
    producer = LaneProducer(settings)
    partitions = producer.partition_count(load.topic, timeout_ms)
    label_partitions = producer.partition_count(load.labels_topic, timeout_ms)
    transactions, labels = transaction_encoder(), label_encoder()
    rows_max = max(1, min(4096, int(load.rate * TICK_S))) if load.rate else 4096
    sent = label_count = failed = 0
    behind_s = 0.0
    slices = traffic(TransactionSource(load.population, start_ms), rows_max)
    ready = next(slices)
    started_ns = time.monotonic_ns()
    for part in itertools.chain([ready], slices):
        rows = part.transactions[: load.transactions - sent]
        if not len(rows) or stop():
            break
        due_s = sent / load.rate if load.rate else 0.0
        ahead_s = due_s - (time.monotonic_ns() - started_ns) / 1e9
        if ahead_s > 0:
            time.sleep(ahead_s)
        elif load.rate:
            behind_s = max(behind_s, -ahead_s)
        failed += _hand_over(producer, load.labels_topic, labels.encode(list(part.labels.T), label_partitions))
        failed += _hand_over(producer, load.topic, transactions.encode(list(rows.T), partitions))
        sent += len(rows)
        label_count += len(part.labels)
        failed += int(np.count_nonzero(producer.deliveries().error))
        progress(sent)
    flushed = producer.flush(60_000)
    failed += int(np.count_nonzero(producer.deliveries().error))
    producer.close()
    if failed or not flushed:
        raise HeadraceError(f"{failed} simulated events were not delivered, {'' if flushed else 'others wait still'}")
    return Sent(sent, label_count, behind_s * 1000, started_ns)


def _hand_over(producer: LaneProducer, topic: str, messages: "np.ndarray[tuple[int], np.dtype[np.void]]") -> int:
    """Hand messages over, waiting while the queue is full; returns how many were refused for good."""
    refused = 0
    while True:
        errors = producer.produce_batch(topic, messages)
        if errors is None:
            return refused
        full = errors == producer.QUEUE_FULL
        refused += int(np.count_nonzero((errors != 0) & ~full))
        if not full.any():
            return refused
        messages = messages[full].copy()
        refused += int(np.count_nonzero(producer.deliveries().error))
        time.sleep(TICK_S)
