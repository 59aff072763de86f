"""A pipeline that runs while versions change: traffic that goes on, and what came of every event."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from pipeline.config.load import load
from pipeline.config.model import PipelineConfig
from pipeline.rollout.desk import books, in_force
from pipeline.service import Summary, run_pipeline
from pipeline.wire.audit import AuditRecord
from pipeline.wire.metrics import MetricsRecord
from tests.traffic import assignments

TOPICS = {"transactions": 4, "labels": 1, "decisions": 4, "dead-letters": 1, "metrics": 1, "rollouts": 1, "audit": 1}
WAIT_S_MAX = 60.0
STEPS_AT_ONCE = ("rollout.step_s_min=0", "rollout.step_rows_min=400")


def rolling_out(bootstrap: str, folder: Path, *more: str, suffix: str = "") -> PipelineConfig:
    """The shipped fraud pipeline with the models of a folder, whose versions may change."""
    names = (f"topics.rollouts=rollouts{suffix}", f"topics.audit=audit{suffix}")
    given = assignments(bootstrap, "rollout.enabled=true", f"models.folder={folder}", *names, *more, suffix=suffix)
    return load("fraud", environ={}, assignments=given).config


class Traffic:
    """Events of many customers at a rate, from a thread, until `stop`; `sent` is how many there were."""

    def __init__(self, config: PipelineConfig, rate: float, seed: int = 1) -> None:
        self._topic = config.inputs["transactions"].topic
        self._producer = Producer({"bootstrap.servers": config.kafka.bootstrap, "linger.ms": 1})
        self._rate = rate
        self._random = random.Random(seed)
        self._stopping = threading.Event()
        self.sent = 0
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        began_s = time.monotonic()
        while not self._stopping.wait(0.005):
            due = int((time.monotonic() - began_s) * self._rate)
            while self.sent < due:
                self._send()
            self._producer.poll(0)

    def _send(self) -> None:
        draw, customer = self._random, self._random.randrange(1500)
        event = {
            "transaction_id": self.sent,
            "event_time": int(time.time() * 1000),
            "customer_id": customer,
            "terminal_id": draw.randrange(50),
            "amount": round(draw.lognormvariate(3.6, 0.8), 2),
        }
        self._producer.produce(self._topic, json.dumps(event), str(customer), partition=customer % 4)
        self.sent += 1

    def __enter__(self) -> "Traffic":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()

    def stop(self) -> int:
        """End it; returns how many were sent."""
        self._stopping.set()
        self._thread.join()
        assert self._producer.flush(20) == 0
        return self.sent


class Running:
    """A pipeline in a thread. `stop` drains it and gives its summary."""

    def __init__(self, config: PipelineConfig) -> None:
        self.config = config
        self.totals: MetricsRecord | None = None
        self.record: MetricsRecord | None = None
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._ended: list[Summary | BaseException] = []
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        until(lambda: self._ready.is_set() or bool(self._ended), "the pipeline is ready")
        self.check()

    def _work(self) -> None:
        try:
            summary = run_pipeline(self.config, stop=self._stop, on_meter=self._take, on_ready=self._ready.set)
            self._ended.append(summary)
        except BaseException as error:
            self._ended.append(error)

    def _take(self, record: MetricsRecord, totals: MetricsRecord) -> None:
        self.record, self.totals = record, totals

    def check(self) -> None:
        """Raise what ended it, if something did."""
        if self._ended and isinstance(self._ended[0], BaseException):
            raise self._ended[0]

    def decided(self) -> int:
        """Events that have their outcome."""
        self.check()
        return 0 if self.totals is None else sum(self.totals.outcomes.values())

    def counted(self, name: str) -> int:
        """A count so far."""
        self.check()
        return 0 if self.totals is None else self.totals.counts.get(name, 0)

    def stop(self) -> Summary:
        """Drain it."""
        self._stop.set()
        self._thread.join(WAIT_S_MAX)
        self.check()
        summary = self._ended[0]
        assert isinstance(summary, Summary)
        return summary


@contextmanager
def running(config: PipelineConfig) -> Iterator[Running]:
    """A pipeline that is stopped at the end, whatever happens."""
    pipeline = Running(config)
    try:
        yield pipeline
    finally:
        pipeline._stop.set()
        pipeline._thread.join(WAIT_S_MAX)


def until(true: Callable[[], object], what: str, seconds_max: float = WAIT_S_MAX) -> None:
    """Wait for it."""
    until_s = time.monotonic() + seconds_max
    while not true():
        assert time.monotonic() < until_s, f"not in {seconds_max:g} s: {what}"
        time.sleep(0.02)


def noted(config: PipelineConfig, *events: str) -> list[AuditRecord]:
    """The audit topic's records of some kinds."""
    return [record for record in books(config) if record.event in events]


def stable_of(config: PipelineConfig) -> str:
    """The stable version that the control topic says is in force."""
    return in_force(config)["primary"].stable.version


def decisions_of(config: PipelineConfig, count: int, seconds_max: float = 20.0) -> list[dict[str, Any]]:
    """All decisions there are, at least so many; more if more are there."""
    topic = config.topics.decisions
    consumer = Consumer(
        {"bootstrap.servers": config.kafka.bootstrap, "group.id": "reader", "enable.partition.eof": "true"}
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found: list[dict[str, Any]] = []
    ends: set[int | None] = set()
    until_s = time.monotonic() + seconds_max
    while (len(found) < count or len(ends) < len(partitions)) and time.monotonic() < until_s:
        for message in consumer.consume(1000, 0.2):
            if message.error() is None:
                found.append({**json.loads(message.value() or b""), "key": (message.key() or b"").decode()})
            else:
                ends.add(message.partition())
    consumer.close()
    return found


def assert_each_once(decisions: list[dict[str, Any]], sent: int) -> None:
    """Every event has exactly one decision, by its source."""
    sources = Counter(tuple(decision["source"]) for decision in decisions)
    assert [source for source, times in sources.items() if times > 1] == []
    assert len(sources) == sent
    assert {decision["id"] for decision in decisions} == {str(number) for number in range(sent)}
