"""What each configuration decides of the recording when it has time: the engine itself, in a replay."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import HeadraceError
from pipeline.evaluation.member_process import MemberProcess
from pipeline.evaluation.recording import Recording, times_of
from pipeline.evaluation.side import Side, apart
from pipeline.kafka.embedded import EmbeddedCluster
from pipeline.tables import json_values

PARTITION_BYTES = 3_500_000
"""Of what is sent, in each partition: the embedded cluster drops the oldest beyond 5 MB."""
DECISION_BYTES, FEATURES_BYTES = 250, 500
"""Compressed, without and with features. Without a key a decision goes to the partition of its event."""
SAMPLE_ROWS = 500
BLOCK_ROWS = 512
"""That follow each other in one partition, so that all partitions are read all the time."""
CHUNK_ROWS = 8192
QUEUED_ROWS_MAX = 50_000
START_S_MAX, IDLE_S_MAX, REPLAY_S_MAX = 300.0, 60.0, 3600.0
NOBODY = -1

Tell = Callable[[str], None]


class _Decision(msgspec.Struct):
    id: str
    decision: str
    score: float | None
    tier: str
    model: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Decided:
    """Of each judged event: its score (NaN where it has none) and decision, an index of `labels` or NOBODY.

    `answered` counts decisions by tier and model; `cpu_s` is what the process used in each replay of `events`.
    """

    score: NDArray[np.float64]
    decision: NDArray[np.int8]
    answered: dict[str, int]
    cpu_s: tuple[float, ...]
    events: int

    @property
    def told(self) -> NDArray[np.bool_]:
        """bool[rows]: who has a decision."""
        told: NDArray[np.bool_] = self.decision != NOBODY
        return told


def replay_both(recording: Recording, sides: Sequence[Side], replays: int, tell: Tell) -> list[Decided]:
    """Run one side after the other over the whole recording, and read its decisions back.

    Then again, in turns, until each has run `replays` times, for what that costs. Raises HeadraceError with the
    side's own last words when its pipeline does not start or ends before the end.
    """
    deciding = sides[0].config.catalog.deciding_input
    tables = {deciding: recording.events, **recording.state}
    needs = {
        (name, side.config.inputs[name].topic) for side in sides for name in side.config.inputs if name in tables
    }
    order_times = {name: spec.order_time for side in sides for name, spec in side.config.inputs.items()}
    topics: dict[str, int] = {}
    for side in sides:
        config = apart(side.config, side.letter, "localhost:1", replay=True)
        decision_bytes = DECISION_BYTES + FEATURES_BYTES * config.publish.features
        topics.update(dict.fromkeys(config.topic_names, 1))
        topics[config.topics.decisions] = _partitions(recording.events, decision_bytes)
    most = max(topics.values())
    for name, topic in needs:
        topics[topic] = max(_partitions(tables[name], 0), most if name == deciding else 1)
    with EmbeddedCluster(topics) as cluster:
        for name, topic in sorted(needs):
            _produce(cluster.bootstrap, topic, topics[topic], tables[name], order_times[name], tell)
        decided = [
            _replay(recording, side, cluster.bootstrap, topics[f"decisions-{side.letter}"], tell) for side in sides
        ]
        again: list[list[float]] = [[], []]
        for number in range(2, replays + 1):
            for at in (0, 1) if number % 2 else (1, 0):
                tell(f"replay {number} of {replays}: {sides[at].letter}")
                again[at].append(_cpu_of_another(sides[at], cluster.bootstrap))
    return [replace(one, cpu_s=(*one.cpu_s, *more)) for one, more in zip(decided, again, strict=True)]


def _partitions(table: pa.Table, row_bytes: int) -> int:
    sample = json_values(table.slice(0, SAMPLE_ROWS).combine_chunks().to_batches()[0]) if table.num_rows else [b""]
    # Compressed a value takes half of its bytes at most.
    value_bytes = sum(map(len, sample)) // len(sample) // 2
    return 1 + int(table.num_rows) * max(row_bytes, value_bytes) // PARTITION_BYTES


def _cpu_of_another(side: Side, bootstrap: str) -> float:
    """CPU seconds of a replay whose decisions nobody reads."""
    with MemberProcess(side, bootstrap, replay=True) as member:
        member.wait(lambda told: bool(told and told[-1].ended), REPLAY_S_MAX, "the replay did not end")
        return member.told[-1].cpu_s - member.told[0].cpu_s


def _produce(bootstrap: str, topic: str, partitions: int, table: pa.Table, order_time: str, tell: Tell) -> None:
    """Send the rows, which are in time order, so that merged they come out as they are."""
    from confluent_kafka import Consumer, Producer, TopicPartition

    failed: list[Any] = []
    settings = {
        "bootstrap.servers": bootstrap,
        "log_level": 0,
        "linger.ms": 5,
        "enable.idempotence": True,
        "compression.type": "lz4",
    }

    def delivered(error: Any, _message: Any) -> None:
        if error is not None:
            failed.append(error)

    producer = Producer({**settings, "on_delivery": delivered})
    sent, places = 0, _places(times_of(table, order_time), partitions).tolist()
    for batch in table.to_batches(CHUNK_ROWS):
        for value in json_values(batch):
            while len(producer) > QUEUED_ROWS_MAX:
                producer.poll(0.01)
            producer.produce(topic, value, partition=places[sent])
            sent += 1
        producer.poll(0)
        tell(f"replay: {sent:,} of {table.num_rows:,} events into topic {topic}")
    left = producer.flush(60)
    reader = Consumer({"bootstrap.servers": bootstrap, "log_level": 0, "group.id": "evaluate-reader"})
    dropped = sum(int(reader.get_watermark_offsets(TopicPartition(topic, one), 10)[0]) for one in range(partitions))
    reader.close()
    if left or failed or dropped:
        lost = left + len(failed) + dropped
        raise HeadraceError(f"{topic}: the embedded cluster did not take or keep {lost:,} of {sent:,} events")


def _places(time_ms: NDArray[np.int64], partitions: int) -> NDArray[np.int64]:
    """A partition for each row: blocks in turn, rows of one instant in one block, since ties go by partition."""
    starts = np.flatnonzero(np.diff(time_ms, prepend=time_ms[:1] - 1))
    instant = np.repeat(starts, np.diff(starts, append=len(time_ms)))
    return instant // BLOCK_ROWS % partitions


def _replay(recording: Recording, side: Side, bootstrap: str, partitions: int, tell: Tell) -> Decided:
    labels = {label: number for number, label in enumerate(side.config.decide.labels)}
    score = np.full(recording.rows, np.nan)
    decision = np.full(recording.rows, NOBODY, np.int8)
    answered: dict[str, int] = {}
    with MemberProcess(side, bootstrap, replay=True) as member:
        member.wait(bool, START_S_MAX, "models were not warm")
        read = 0
        for told in _decisions(bootstrap, f"decisions-{side.letter}", partitions, member):
            rows = pc.index_in(pa.array([one.id for one in told], pa.string()), value_set=recording.ids)
            judged = pc.is_valid(rows).to_numpy(zero_copy_only=False)
            at = rows.drop_null().to_numpy()
            score[at] = np.array([np.nan if one.score is None else one.score for one in told])[judged]
            decision[at] = np.array([labels[one.decision] for one in told], np.int8)[judged]
            for one in told:
                name = f"{one.tier} {one.model}/{one.version}" if one.model else one.tier
                answered[name] = answered.get(name, 0) + 1
            read += len(told)
            tell(f"replay: {side.letter} has decided {read:,} of {recording.events.num_rows:,} events")
        cpu_s = member.told[-1].cpu_s - member.told[0].cpu_s
    return Decided(score, decision, answered, (cpu_s,), read)


def _decisions(bootstrap: str, topic: str, partitions: int, member: MemberProcess) -> Iterator[list[_Decision]]:
    """All decisions, until the replay has ended and as many as it made were read."""
    from confluent_kafka import Consumer, TopicPartition

    settings = {
        "bootstrap.servers": bootstrap,
        "log_level": 0,
        "group.id": "evaluate-reader",
        "auto.offset.reset": "error",
    }
    consumer = Consumer({**settings, "fetch.wait.max.ms": 20, "fetch.queue.backoff.ms": 5})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
    decoder = msgspec.json.Decoder(_Decision)
    read, since_s = 0, time.monotonic()
    try:
        while read < _decided(member) or not member.told[-1].ended:
            messages = consumer.consume(10_000, 0.1)
            if errors := [error for each in messages if (error := each.error()) is not None]:
                raise HeadraceError(f"{member.side.letter}: its decisions could not be read back: {errors[0].str()}")
            if messages:
                read, since_s = read + len(messages), time.monotonic()
                yield [decoder.decode(each.value() or b"") for each in messages]
            elif time.monotonic() - since_s > IDLE_S_MAX:
                raise HeadraceError(f"{member.side.letter}: {read:,} of {_decided(member):,} decisions could be read")
            else:
                member.require_alive()
    finally:
        consumer.close()


def _decided(member: MemberProcess) -> int:
    return sum(_asked_for(told.record.outcomes) for told in member.told if told.record is not None)


def _asked_for(outcomes: Mapping[str, int]) -> int:
    return sum(outcomes.get(name, 0) for name in ("scored", "degraded", "expired"))
