"""One process of a latency run, until SIGTERM; prints one line of JSON at its end.

`python -m bench._live pipeline BOOTSTRAP SUFFIX [SETTING=VALUE ...]` runs the shipped fraud pipeline;
`python -m bench._live copy BOOTSTRAP SUFFIX` hands records on unchanged, over the same lanes;
`python -m bench._live read BOOTSTRAP TOPIC MARK` reads a topic and prints when a sample of its records was read.
"""

import json
import os
import re
import signal
import sys
import threading
import time
from typing import Any

import numpy as np

from pipeline.kafka.consumer import LaneConsumer, TopicPartition
from pipeline.kafka.messages import MESSAGE, record_at
from pipeline.kafka.producer import LaneProducer
from pipeline.kafka.wake import Wake

READ_MAX = 1024
WARM_S = 2.0
SAMPLES_A_READ = 8
FETCH = {"fetch.wait.max.ms": "10", "fetch.queue.backoff.ms": "1"}


def say(**result: Any) -> None:
    print(json.dumps(result), flush=True)


def pipeline(stop: threading.Event, bootstrap: str, suffix: str, *settings: str) -> None:
    from pipeline.config.load import load
    from pipeline.service import run_pipeline
    from pipeline.telemetry.histogram import Histogram

    topics = {"decisions": "decisions", "dead_letters": "dead-letters", "metrics": "metrics"}
    assignments = (
        f"kafka.bootstrap.servers={bootstrap}",
        f"kafka.group.id=bench{suffix}",
        *(f"topics.{name}={topic}{suffix}" for name, topic in topics.items()),
        *(f"inputs.{name}.topic={name}{suffix}" for name in ("transactions", "labels")),
        *settings,
    )
    config = load("fraud", environ=os.environ, assignments=assignments).config
    cpu, started, expired = [0.0], [0.0], [0]

    def begin(record: Any, _totals: Any) -> None:
        """Count from the first second that had traffic; what expired, after the warm-up."""
        if started[0] and time.perf_counter() - started[0] > WARM_S:
            expired[0] += record.outcomes["expired"]
        if sum(record.outcomes.values()) and not started[0]:
            cpu[0], started[0] = time.process_time(), time.perf_counter()

    summary = run_pipeline(config, stop=stop, on_meter=begin, on_ready=lambda: say(ready=True))
    wall = time.perf_counter() - started[0]
    total = Histogram.of(summary.totals.histograms["total"])
    say(
        outcomes=summary.totals.outcomes,
        expired_when_warm=expired[0],
        misses=summary.totals.deadline_misses,
        counts=summary.totals.counts,
        in_process_us={q: total.quantile(float(q)) for q in ("0.5", "0.99", "0.999")},
        batch_rows=summary.totals.batch_rows,
        cores=(time.process_time() - cpu[0]) / wall if started[0] else 0.0,
    )


def copy(stop: threading.Event, bootstrap: str, suffix: str) -> None:
    wake = Wake()
    consumer = LaneConsumer({"bootstrap.servers": bootstrap, **FETCH}, wake)
    producer = LaneProducer({"bootstrap.servers": bootstrap}, wake)
    partitions = producer.partition_count(f"transactions{suffix}", 20_000)
    producer.partition_count(f"copies{suffix}", 20_000)
    ends = {
        TopicPartition(f"transactions{suffix}", n): consumer.watermarks(
            TopicPartition(f"transactions{suffix}", n), 20_000
        )[1]
        for n in range(partitions)
    }
    consumer.assign(ends)
    room, key_length = np.zeros(READ_MAX, MESSAGE), np.zeros(READ_MAX, np.int32)
    payload, length, key, offset, stamp = (np.zeros(READ_MAX, np.int64) for _ in range(5))
    say(ready=True)
    cpu, started = 0.0, 0.0
    while not stop.is_set():
        read = 0
        for lane in consumer.lanes.values():
            messages = lane.read(READ_MAX)
            n = messages.count
            if n:
                if not started:
                    cpu, started = time.process_time(), time.perf_counter()
                messages.extract(0, payload, length, key, key_length, offset, stamp)
                out = room[:n]
                out["partition"], out["payload"], out["len"] = lane.partition, payload[:n], length[:n]
                out["key"], out["key_len"], out["_private"] = key[:n], key_length[:n], 1
                producer.produce_batch(f"copies{suffix}", out)
            messages.free()
            read += n
        read += len(producer.deliveries().opaque)
        if not read:
            wake.wait(100)
    say(cores=(time.process_time() - cpu) / (time.perf_counter() - started))
    consumer.close(1000)
    producer.close()


def read(stop: threading.Event, bootstrap: str, topic: str, mark: str) -> None:
    """A sample of at most eight records a read, spread over it: the id and the monotonic clock in ns."""
    wake = Wake()
    consumer = LaneConsumer({"bootstrap.servers": bootstrap, **FETCH}, wake)
    counter = LaneProducer({"bootstrap.servers": bootstrap})
    partitions = [TopicPartition(topic, n) for n in range(counter.partition_count(topic, 20_000))]
    consumer.assign({partition: consumer.watermarks(partition, 20_000)[1] for partition in partitions})
    pattern = re.compile(mark.encode())
    say(ready=True)
    ids: list[int] = []
    times: list[int] = []
    count = 0
    while not stop.is_set():
        got = 0
        for lane in consumer.lanes.values():
            messages = lane.read(READ_MAX)
            now = time.monotonic_ns()
            got += messages.count
            step = max(1, messages.count // SAMPLES_A_READ)
            for pointer in messages.pointers[::step].tolist():
                found = pattern.search(record_at(pointer).value or b"")
                if found is not None:
                    ids.append(int(found[1]))
                    times.append(now)
            messages.free()
        count += got
        if not got:
            wake.wait(100)
    say(count=count, ids=ids, times=times)
    consumer.close(1000)
    counter.close()


def main() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    kind, *arguments = sys.argv[1:]
    {"pipeline": pipeline, "copy": copy, "read": read}[kind](stop, *arguments)


if __name__ == "__main__":
    main()
