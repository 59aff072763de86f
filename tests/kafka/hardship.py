"""A pipeline that runs while something fails: started in a thread, fed, looked at by its decisions alone."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from pipeline.config.model import PipelineConfig
from pipeline.service import Summary, run_pipeline
from tests.traffic import configured

PATIENCE_S = 60.0
PARTITIONS = 4
START_MS = 1_577_836_800_000
Source = tuple[str, int, int]


def prepared(
    bootstrap: str, suffix: str, *assignments: str, topics: dict[str, dict[str, str]] | None = None, copies: int = 1
) -> PipelineConfig:
    """A configuration whose topics exist; `topics` has settings of some, by the table that names them."""
    config = configured(bootstrap, *assignments, suffix=f"-{suffix}")
    special = {getattr(config.topics, name): settings for name, settings in (topics or {}).items()}
    new = [NewTopic(name, PARTITIONS, copies, config=special.get(name, {})) for name in config.topic_names]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for made in admin.create_topics(new).values():
        made.result(PATIENCE_S)
    return config


@dataclass
class Feed:
    """Sends events one after the other, for as long as it takes, and knows where each one is."""

    bootstrap: str
    topic: str
    sources: set[Source] = field(default_factory=set)
    sent: int = 0

    def __post_init__(self) -> None:
        settings = {"enable.idempotence": True, "linger.ms": 5, "log_level": 0}
        self._producer = Producer({"bootstrap.servers": self.bootstrap, **settings})

    def _delivered(self, error: Any, message: Any) -> None:
        assert error is None, error
        self.sources.add((message.topic(), message.partition(), message.offset()))

    def send(self, count: int, *, id_bytes: int = 0, wait: bool = True) -> None:
        """So many more; `id_bytes` makes their ids as long."""
        for number in range(self.sent, self.sent + count):
            name = str(number).rjust(id_bytes, "x") if id_bytes else number
            event = {
                "transaction_id": name,
                "event_time": START_MS + number * 1000,
                "customer_id": number % 97,
                "terminal_id": number % 89,
                "amount": number % 1000 / 4,
            }
            key = str(number % 97).encode()
            self._producer.produce(
                self.topic, json.dumps(event), key, number % PARTITIONS, on_delivery=self._delivered
            )
        self.sent += count
        if wait:
            self.finish()

    def finish(self) -> None:
        """Wait until all is delivered."""
        assert self._producer.flush(PATIENCE_S) == 0, "the input could not be sent"
        assert len(self.sources) == self.sent


class Running:
    """`run_pipeline` in a thread; what it returned or raised is kept."""

    def __init__(self, config: PipelineConfig) -> None:
        self._config = config
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.summary: Summary | None = None
        self.error: BaseException | None = None
        self._thread.start()

    def _run(self) -> None:
        try:
            self.summary = run_pipeline(self._config, stop=self._stop)
        except BaseException as error:
            self.error = error

    def stop(self) -> Summary:
        """Drain it; fails when it had failed."""
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "it does not end"
        if self.error is not None:
            raise self.error
        assert self.summary is not None
        return self.summary

    def ended(self) -> BaseException:
        """Wait until it ended by itself; what it raised."""
        self._thread.join(PATIENCE_S)
        assert self.error is not None, "it goes on"
        return self.error

    def leave(self) -> None:
        """End it, however it goes."""
        self._stop.set()
        self._thread.join(PATIENCE_S)


@contextmanager
def running(config: PipelineConfig) -> Iterator[Running]:
    """A pipeline that ends with the block."""
    made = Running(config)
    try:
        yield made
    except AssertionError:
        if made.error is not None:
            raise made.error from None  # what was waited for could not come
        raise
    finally:
        made.leave()


def contents(bootstrap: str, topic: str, after: Any, until_s: float) -> list[Any]:
    """Messages of a topic from its beginning, until `after(messages)` says it is enough or the time is up."""
    settings = {"group.id": "looker", "fetch.wait.max.ms": 10, "isolation.level": "read_committed", "log_level": 0}
    consumer = Consumer({"bootstrap.servers": bootstrap, "auto.offset.reset": "earliest", **settings})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    messages: list[Any] = []
    while not after(messages) and time.monotonic() < until_s:
        messages += [message for message in consumer.consume(1000, 0.1) if message.error() is None]
    consumer.close()
    return messages


def wait_for(bootstrap: str, config: PipelineConfig, sources: set[Source]) -> list[dict[str, Any]]:
    """Read decisions until there is one of each source; fails when one is missing or one too many."""
    rows: list[dict[str, Any]] = []
    seen: set[Source] = set()

    def enough(messages: list[Any]) -> bool:
        for message in messages[len(rows) :]:
            rows.append(json.loads(message.value()))
            seen.add(tuple(rows[-1]["source"]))
        return seen >= sources

    contents(bootstrap, config.topics.decisions, enough, time.monotonic() + PATIENCE_S)
    assert not sources - seen, f"{len(sources - seen)} of {len(sources)} events have no decision"
    assert not seen - sources
    return rows


def dead_letters(bootstrap: str, config: PipelineConfig, count: int) -> list[dict[str, str]]:
    """The headers of dead letters, once there are so many."""
    found = contents(
        bootstrap, config.topics.dead_letters, lambda messages: len(messages) >= count, time.monotonic() + PATIENCE_S
    )
    return [{name.rpartition(".")[2]: text.decode() for name, text in message.headers()} for message in found]


def committed(bootstrap: str, config: PipelineConfig, topic: str) -> dict[int, int]:
    """The group's offsets, by partition; -1001 where there is none."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": config.kafka.common["group.id"]})
    offsets = consumer.committed([TopicPartition(topic, number) for number in range(PARTITIONS)], PATIENCE_S)
    consumer.close()
    return {offset.partition: offset.offset for offset in offsets}
