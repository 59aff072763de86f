"""The app's two topics: alerts that are written, and the windows that are kept and read back."""

import logging
from collections.abc import Iterable, Sequence

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import KafkaError as ClientError
from confluent_kafka.cimpl import Message, NewTopic

from pipeline.kafka.librdkafka import KafkaError
from pipeline.slo.config import SloConfig
from pipeline.slo.snapshot import Snapshot, newest_whole, pieces_of
from pipeline.wire.alert import AlertRecord

STATE_TOPIC = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.1",
    "segment.bytes": "4194304",
    "segment.ms": "600000",
    "max.message.bytes": "1048588",
}
"""Small segments: the open one is never compacted, and all of it is read at a start."""
DELIVER_S_MAX = 5.0
READ_S_MAX = 60.0
_QUIET = {"log_level": "0"}

log = logging.getLogger(__name__)


def make_topics(config: SloConfig, timeout_s: float) -> None:
    """Make the topics for alerts and state where they are missing. Raises KafkaError naming the topic."""
    admin = AdminClient({**config.kafka.common, **_QUIET})
    known = admin.list_topics(timeout=timeout_s).topics
    wanted = [
        NewTopic(name, 1, -1, config=settings)
        for name, settings in ((config.topics.alerts, {}), (config.topics.state, STATE_TOPIC))
        if name not in known
    ]
    for topic, answer in (admin.create_topics(wanted, request_timeout=timeout_s) if wanted else {}).items():
        try:
            answer.result()
        except KafkaException as error:
            if error.args[0].code() != ClientError.TOPIC_ALREADY_EXISTS:
                raise KafkaError(error.args[0].code(), f"create topic {topic!r}: {error.args[0].str()}") from None


def read_snapshot(config: SloConfig) -> Snapshot | None:
    """The newest whole snapshot in the state topic; None when there is none. Blocks.

    Raises KafkaException when the topic cannot be read, ValueError when what is there is not ours.
    """
    settings = {
        **config.kafka.common,
        **_QUIET,
        "group.id": f"{config.app.group}-state",
        "enable.auto.commit": "false",
        "enable.partition.eof": "true",
        "auto.offset.reset": "earliest",
    }
    consumer = Consumer(settings)
    values: dict[bytes, bytes] = {}
    try:
        partition = TopicPartition(config.topics.state, 0)
        low, _ = consumer.get_watermark_offsets(partition, timeout=READ_S_MAX)
        consumer.assign([TopicPartition(config.topics.state, 0, low)])
        while (message := consumer.poll(READ_S_MAX)) is not None:
            error = message.error()
            if error is None:
                values[message.key() or b""] = message.value() or b""
            elif error.code() == ClientError._PARTITION_EOF:
                return newest_whole(values)
            elif not error.retriable():
                raise KafkaException(error)
    finally:
        consumer.close()
    raise KafkaException(ClientError(ClientError._TIMED_OUT, f"read {config.topics.state!r}"))


class Keeper:
    """Writes alerts and snapshots. Blocks while Kafka takes its time, a few seconds at most."""

    def __init__(self, config: SloConfig) -> None:
        self._config = config
        self._producer = Producer({**config.kafka.common, **_QUIET, "enable.idempotence": "true", "linger.ms": "5"})
        self._failed: list[str] = []
        self.failures = 0

    def write(self, alerts: Sequence[AlertRecord]) -> bool:
        """Write alerts and wait; False when not all are known to be there: write all of them again."""
        return self._all((self._config.topics.alerts, alert.key.encode(), alert.encode()) for alert in alerts)

    def keep(self, snapshot: Snapshot) -> bool:
        """Write a snapshot and wait; False when not all of it is known to be there."""
        return self._all((self._config.topics.state, key, value) for key, value in pieces_of(snapshot))

    def _all(self, records: Iterable[tuple[str, bytes, bytes]]) -> bool:
        if waiting := self._producer.flush(0):
            return self._told(f"{waiting} records wait for a broker")
        self._failed.clear()
        for topic, key, value in records:
            partition = 0 if topic == self._config.topics.state else -1
            self._producer.produce(topic, value, key, partition=partition, on_delivery=self._delivered)
        if waiting := self._producer.flush(DELIVER_S_MAX):
            return self._told(f"{waiting} records wait for a broker")
        return self._told(self._failed[0] if self._failed else "")

    def _delivered(self, error: ClientError | None, message: Message) -> None:
        if error is not None:
            self._failed.append(f"{message.topic()}: {error.str()}")

    def _told(self, what: str) -> bool:
        if what:
            if not self.failures:
                log.warning("alerts and windows cannot be written: %s", what)
            self.failures += 1
        elif self.failures:
            log.info("alerts and windows are written again, after %d times that they were not", self.failures)
            self.failures = 0
        return not what
