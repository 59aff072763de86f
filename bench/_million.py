"""A million customers whose windows are full: a checkpoint of them, and open-loop traffic for them.

`python -m bench._million seed URL GROUP CUSTOMERS EVENTS TERMINALS [SETTING=VALUE ...]` writes checkpoints that stand
for offset 0; `python -m bench._million load BOOTSTRAP RATE CUSTOMERS TERMINALS` sends until SIGTERM.
"""

import os
import signal
import sys
import threading
import time

import numpy as np

from features.columns import Columns
from features.schema import NUMBER
from features.signature import signature_of
from features.state import FeatureSet
from pipeline.config.load import load
from pipeline.kafka.lane import TopicPartition
from pipeline.kafka.producer import LaneProducer
from pipeline.sim.encode import transaction_encoder
from pipeline.state.export import Export, Known, partition_name
from pipeline.state.store import CheckpointStore
from pipeline.state.writer import CheckpointWriter

PARTITIONS = 4
DAYS = 30
BLOCK = 1 << 16
MS_PER_DAY = 86_400_000
TICK_S = 0.01


def partitions_of(customers: int) -> np.ndarray:
    """Where each customer's events go, as every client would send them."""
    encoder, found = transaction_encoder(), np.empty(customers, np.int32)
    for first in range(0, customers, BLOCK):
        ids = np.arange(first, min(first + BLOCK, customers), dtype=np.int64)
        found[ids] = encoder.encode([ids, ids, ids, ids, ids], PARTITIONS)["partition"]
    return found


def seed(url: str, group: str, customers: int, events: int, terminals: int, *assignments: str) -> None:
    config = load("fraud", environ=os.environ, assignments=assignments).config
    features = FeatureSet(config.catalog)
    state = features.new_state(config.engine.memory_bytes_max)
    columns, random = Columns(config.catalog.decided.schema_, BLOCK), np.random.default_rng(0)
    names = config.catalog.decided.schema_.index
    columns.length[:] = NUMBER
    begin_ms = time.time_ns() // 1_000_000 - DAYS * MS_PER_DAY
    rows = np.arange(BLOCK, dtype=np.int32)
    mine = [np.flatnonzero(partitions_of(customers) == number) for number in range(PARTITIONS)]
    for event in range(events):
        for number, ids in enumerate(mine):
            for first in range(0, len(ids), BLOCK):
                part = ids[first : first + BLOCK]
                n = len(part)
                columns.value[names("customer_id"), :n] = part
                columns.value[names("terminal_id"), :n] = random.integers(0, terminals, n)
                columns.value[names("amount"), :n] = random.integers(100, 50_000, n)
                columns.value[names("event_time"), :n] = begin_ms + event * (DAYS * MS_PER_DAY // events)
                where, offset = np.full(n, number, np.int32), np.zeros(n, np.int64)
                state.apply("transactions", columns, rows[:n], where, offset, slice_id=number)
        print(f"\r{event + 1} of {events} events a customer", end="", file=sys.stderr, flush=True)
    topic = config.catalog.decided.topic
    slices = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    labels = [TopicPartition(config.inputs["labels"].topic, number) for number in range(2)]
    writer = CheckpointWriter(CheckpointStore(url, config.pipeline.name, group, "seed"), keep=3)
    signatures = {plan.name: signature_of(plan, config.catalog) for plan in features.entities}
    started = time.perf_counter()
    for partition in (None, *slices):
        cut = {partition_name(at): 0 for at in ((*slices, *labels) if partition is None else (partition,))}
        entities = state.entities(None if partition is None else partition.partition)
        write(Export(partition, entities, Known(), lambda cut=cut: cut, writer), writer, signatures)  # type: ignore[misc]
    print(f"\ncheckpoints written in {time.perf_counter() - started:.1f} s", state.used_bytes(), file=sys.stderr)
    writer.close(60)


def write(export: Export, writer: CheckpointWriter, signatures: dict[str, dict[str, object]]) -> None:
    while True:
        while not writer.free:
            time.sleep(0.001)
        if not export.step():
            break
    writer.finish(export.job)
    while not export.job.safe:
        time.sleep(0.01)
    writer.publish(export.job, export.manifest(signatures), set())


def traffic(bootstrap: str, rate: int, customers: int, terminals: int) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    producer, encoder, random = (
        LaneProducer({"bootstrap.servers": bootstrap}),
        transaction_encoder(),
        np.random.default_rng(),
    )
    producer.partition_count("transactions", 20_000)
    started, sent = time.perf_counter(), 0
    while not stop.wait(TICK_S):
        n = min(BLOCK, int((time.perf_counter() - started) * rate) - sent)
        who, where = random.integers(0, customers, n), random.integers(0, terminals, n)
        now = np.full(n, time.time_ns() // 1_000_000)
        messages = encoder.encode(
            [np.arange(sent, sent + n), now, who, where, random.integers(100, 50_000, n)], PARTITIONS
        )
        messages["_private"] = 1
        producer.produce_batch("transactions", messages)
        producer.deliveries()
        sent += n
    producer.flush(10_000)
    producer.close()


def main() -> None:
    kind, first, second, *numbers = sys.argv[1:]
    if kind == "seed":
        seed(first, second, *map(int, numbers[:3]), *numbers[3:])  # type: ignore[arg-type]
    else:
        traffic(first, int(second), *map(int, numbers))


if __name__ == "__main__":
    main()
