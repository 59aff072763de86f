"""Asking Kafka how far topics and groups are, in a thread of its own: these calls block."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import KafkaError as ClientError

from pipeline.slo.config import SloConfig
from pipeline.slo.expected import Partition, Position
from pipeline.slo.watch import Positions

REQUEST_S_MAX = 10.0
INTERVAL_S_MAX = 5.0
EARLIEST, LATEST = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call]
_PROBE_S_MAX = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """What Kafka said, as of `at_ms`: each pipeline that it knows, and the metrics topic from first to end."""

    at_ms: int
    positions: Positions
    metrics: Mapping[int, tuple[int, int]] = field(default_factory=dict)


class Asker:
    """Asks about every pipeline. One thread; holds clients until `close`."""

    def __init__(self, config: SloConfig) -> None:
        self._config = config
        self._settings: dict[str, Any] = {**config.kafka.common, "log_level": "0"}
        self._admin: Any = AdminClient(self._settings)
        self._seen: dict[Partition, int | None] = {}
        self._records_at: set[tuple[Partition, int]] = set()
        self._missing: set[str] = set()

    def sample(self) -> Sample:
        """Ask now. Raises KafkaException when nobody answers; a pipeline whose topics are not there is left out."""
        topics = self._admin.list_topics(timeout=REQUEST_S_MAX).topics
        self._tell_missing(topics)
        positions = {}
        for name, pipeline in self._config.pipelines.items():
            partitions = [
                TopicPartition(topic, number)
                for topic in pipeline.topics
                if topic in topics
                for number in topics[topic].partitions
            ]
            if partitions:
                positions[name] = self._positions(pipeline.group, partitions)
        metrics = self._config.topics.metrics
        numbers = topics[metrics].partitions if metrics in topics else ()
        held = [TopicPartition(metrics, number) for number in numbers]
        begins, ends = self._offsets(held, EARLIEST), self._offsets(held, LATEST)
        ranges = {p.partition: (begins[name], ends[name]) for p in held for name in [_named(p)]}
        return Sample(time.time_ns() // 1_000_000, positions, ranges)

    def _tell_missing(self, topics: Collection[str]) -> None:
        """Say once of each topic that it is not there: nothing is expected of it."""
        named = {topic for pipeline in self._config.pipelines.values() for topic in pipeline.topics}
        missing = {topic for topic in named if topic not in topics}
        for topic in sorted(missing - self._missing):
            log.warning("there is no topic %s: what should have been answered of it cannot be known", topic)
        self._missing = missing

    def _positions(self, group: str, partitions: list[TopicPartition]) -> dict[Partition, Position]:
        # Commits first: what is committed lies below an end that is asked for later.
        request = [ConsumerGroupTopicPartitions(group, partitions)]
        answer = self._admin.list_consumer_group_offsets(request, request_timeout=REQUEST_S_MAX)[group].result()
        committed = {_named(p): p.offset if p.offset >= 0 else None for p in answer.topic_partitions}
        ends = self._offsets(partitions, LATEST)
        return {
            name: Position(ends[name], self._answered(p, committed.get(name), ends[name]))
            for p in partitions
            for name in [_named(p)]
        }

    def _offsets(self, partitions: list[TopicPartition], spec: Any) -> dict[Partition, int]:
        if not partitions:
            return {}
        # What an open transaction holds cannot be read yet: nobody can answer it.
        asked = self._admin.list_offsets(
            dict.fromkeys(partitions, spec),
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=REQUEST_S_MAX,
        )
        return {_named(partition): int(answer.result().offset) for partition, answer in asked.items()}

    def _answered(self, partition: TopicPartition, committed: int | None, end: int) -> int | None:
        """The committed offset, or the end where only the marks of transactions lie between: no event is there."""
        name = _named(partition)
        moved = self._seen.get(name) != committed
        self._seen[name] = committed
        if committed is None or committed >= end or moved or (name, committed) in self._records_at:
            return committed
        if self._has_record(partition, committed):
            self._records_at = {known for known in self._records_at if known[0] != name} | {(name, committed)}
            return committed
        return end

    def _has_record(self, partition: TopicPartition, offset: int) -> bool:
        """Whether there is any record from an offset on; True when it cannot be told."""
        settings: dict[str, Any] = {
            **self._settings,
            "group.id": f"{self._config.app.group}-probe",
            "enable.auto.commit": "false",
            "enable.partition.eof": "true",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": "1024",
        }
        consumer = Consumer(settings)
        try:
            consumer.assign([TopicPartition(partition.topic, partition.partition, offset)])
            message = consumer.poll(_PROBE_S_MAX)
            error = None if message is None else message.error()
            return error is None or error.code() != ClientError._PARTITION_EOF
        finally:
            consumer.close()


class AskingThread(threading.Thread):
    """Gives a sample to `told` every few seconds, from this thread. What goes wrong is logged and asked again."""

    def __init__(self, config: SloConfig, told: Callable[[Sample], None]) -> None:
        super().__init__(name="asking", daemon=True)
        self._asker = Asker(config)
        self._told = told
        self._interval_s = min(float(config.app.evaluate_s), INTERVAL_S_MAX)
        self._ended = threading.Event()
        self.failures = 0

    def run(self) -> None:
        """Until `end`."""
        for _ in self._turns():
            try:
                sample = self._asker.sample()
            except KafkaException as error:
                if not self.failures:
                    log.warning("Kafka does not say how far topics and groups are: %s", error.args[0].str())
                self.failures += 1
            else:
                if self.failures:
                    log.info("Kafka answers again, after %d times that it did not", self.failures)
                self.failures = 0
                self._told(sample)

    def _turns(self) -> Iterator[None]:
        while not self._ended.is_set():
            yield
            self._ended.wait(self._interval_s)

    def end(self) -> None:
        """Tell it to end; it may still wait for an answer, and being a daemon it keeps nobody up."""
        self._ended.set()


def _named(partition: TopicPartition) -> Partition:
    return f"{partition.topic}/{partition.partition}"
