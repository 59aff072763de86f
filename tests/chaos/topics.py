"""Topics read whole with confluent-kafka's own client, into arrays; nothing here is the product's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import KafkaError, NewTopic

from tests.chaos.windows import NAMES

READ_ROWS = 10_000
PATIENCE_S = 30.0
ERRORS = "__streams.errors."
TOPIC_SETTINGS = {"retention.ms": "-1"}
"""The events lie years back, and brokers look at the time of the record only, but nobody should have to know."""

FEATURES: Any = msgspec.defstruct("Features", [(name, float) for name in NAMES])
"""A decision's features, each there and a number."""


class Decision(msgspec.Struct):
    """What the checks need of a decision."""

    id: int | str
    outcome: str
    score: float
    features: FEATURES
    source: tuple[str, int, int]
    deadline_met: bool


class Event(msgspec.Struct):
    """A transaction."""

    transaction_id: int
    event_time: int
    customer_id: int
    terminal_id: int
    amount: float


class Label(msgspec.Struct):
    """A label."""

    transaction_id: int
    event_time: int
    terminal_id: int
    fraud: bool


def make_topics(bootstrap: str, partitions: Mapping[str, int], replication: int) -> None:
    """Make topics and wait until they can be used."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = [NewTopic(topic, count, replication, config=TOPIC_SETTINGS) for topic, count in partitions.items()]
    for answer in admin.create_topics(new).values():
        answer.result(PATIENCE_S)


def delete_topics(bootstrap: str, topics: list[str]) -> None:
    """They are large, and the next run makes its own."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for answer in admin.delete_topics(topics).values():
        answer.result(PATIENCE_S)


def commit_starts(bootstrap: str, group: str, topic: str, starts: Mapping[int, int]) -> None:
    """Let a group begin at these offsets: what lies before is history."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False})
    offsets = [TopicPartition(topic, partition, offset) for partition, offset in starts.items()]
    consumer.commit(offsets=offsets, asynchronous=False)
    consumer.close()


def reader(bootstrap: str, topic: str) -> tuple[Any, int]:
    """A consumer at the beginning of all partitions of a topic, and how many there are."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "chaos-reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
            "fetch.error.backoff.ms": 20,
            "log_level": 0,
        }
    )
    partitions = consumer.list_topics(topic, timeout=PATIENCE_S).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    return consumer, len(partitions)


def messages(bootstrap: str, topic: str) -> Iterator[list[Any]]:
    """All that a topic holds now, as a reader of committed records sees it, in runs."""
    consumer, partitions = reader(bootstrap, topic)
    ended: set[int] = set()
    while len(ended) < partitions:
        read = consumer.consume(READ_ROWS, 0.2)
        ended |= {m.partition() for m in read if m.error() and m.error().code() == KafkaError._PARTITION_EOF}
        if good := [message for message in read if message.error() is None]:
            yield good
    consumer.close()


@dataclass(frozen=True)
class Decisions:
    """All decisions of a topic, a row each."""

    partition: Any
    offset: Any
    score: Any
    features: Any
    ids: list[int | str]
    topics: set[str]
    outcomes: set[str]


def read_decisions(bootstrap: str, topic: str) -> Decisions:
    """Every decision that a reader of committed records sees."""
    decode = msgspec.json.Decoder(list[Decision]).decode
    columns: list[tuple[Any, ...]] = []
    ids: list[int | str] = []
    topics: set[str] = set()
    outcomes: set[str] = set()
    for run in messages(bootstrap, topic):
        found = decode(b"[" + b",".join([message.value() for message in run]) + b"]")
        sources = [row.source for row in found]
        rows = np.array([msgspec.structs.astuple(row.features) for row in found])
        places = np.array([source[1:] for source in sources], np.int64)
        columns.append((places[:, 0], places[:, 1], np.array([row.score for row in found]), rows))
        ids += [row.id for row in found]
        topics |= {source[0] for source in sources}
        outcomes |= {row.outcome for row in found}
    empty = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty((0, len(NAMES))))
    joined = [np.concatenate(column) for column in zip(*(columns or [empty]), strict=True)]
    return Decisions(joined[0], joined[1], joined[2], joined[3], ids, topics, outcomes)


@dataclass(frozen=True)
class DeadLetter:
    """Where a dead letter's record was, and the record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    error: str


def read_dead_letters(bootstrap: str, topic: str) -> list[DeadLetter]:
    """Every dead letter."""
    letters = []
    for run in messages(bootstrap, topic):
        for message in run:
            told = {name.removeprefix(ERRORS): value.decode() for name, value in message.headers() or ()}
            place = (told["topic"], int(told["partition"]), int(told["offset"]))
            letters.append(DeadLetter(*place, message.key(), message.value(), told["exception"]))
    return letters


@dataclass(frozen=True)
class Inputs:
    """The input topics: records in the order of (partition, offset), events among them as columns."""

    topic: str
    starts: Any  # int64[partitions + 1]: where a partition's records begin
    good: Any  # bool[records]
    bad: dict[int, tuple[bytes | None, bytes | None]]  # record -> key and value
    events: dict[str, Any]  # columns of the good records
    labels: dict[str, Any]


def read_inputs(bootstrap: str, transactions: str, labels: str) -> Inputs:
    """All input records. Fails where a partition's events are out of order, which the checks do not know."""
    by_partition: dict[int, list[Any]] = {}
    for run in messages(bootstrap, transactions):
        for message in run:
            by_partition.setdefault(message.partition(), []).append((message.key(), message.value()))
    decode = msgspec.json.Decoder(Event).decode
    rows: list[tuple[Any, ...]] = []
    good: list[bool] = []
    bad = {}
    for partition in sorted(by_partition):
        for key, value in by_partition[partition]:
            try:
                rows.append(msgspec.structs.astuple(decode(value or b"")))
                good.append(True)
            except msgspec.DecodeError:
                bad[len(good)] = (key, value)
                good.append(False)
    lengths = [len(by_partition[partition]) for partition in sorted(by_partition)]
    ids, time_ms, customer, terminal, amount = zip(*rows, strict=True)
    events = {
        "id": np.array(ids, np.int64),
        "time_ms": np.array(time_ms, np.int64),
        "customer": np.array(customer, np.int64),
        "terminal": np.array(terminal, np.int64),
        "cents": np.rint(np.array(amount) * 100).astype(np.int64),
    }
    starts = np.concatenate(([0], np.cumsum(lengths)))
    partition_of = np.repeat(np.arange(len(lengths)), lengths)[np.array(good)]
    back = np.diff(events["time_ms"]) < 0
    assert not (back & (np.diff(partition_of) == 0)).any(), "events of a partition are out of order"
    return Inputs(transactions, starts, np.array(good), bad, events, _last_words(bootstrap, labels))


def _last_words(bootstrap: str, topic: str) -> dict[str, Any]:
    """The frauds among the labels: the last label of a transaction counts."""
    last: dict[int, Label] = {}
    for run in messages(bootstrap, topic):
        for message in run:
            label = msgspec.json.decode(message.value(), type=Label)
            last[label.transaction_id] = label
    frauds = [(label.terminal_id, label.event_time) for label in last.values() if label.fraud]
    columns = np.array(frauds, np.int64).reshape(-1, 2)
    return {"terminal": columns[:, 0], "time_ms": columns[:, 1]}
