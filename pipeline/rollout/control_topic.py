"""The control topic: read from its beginning outside any group, written one record at a time and waited for."""

import logging
import time
from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.cimpl import KafkaError as ClientError
from confluent_kafka.cimpl import Message

from pipeline.kafka.librdkafka import KafkaError

log = logging.getLogger(__name__)
_QUIET = {"log_level": "0"}
DELIVER_S_MAX = 10.0


class Entry(NamedTuple):
    """A record of the topic as it is."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class TopicReader:
    """Reads all partitions of a topic from their oldest record on. One thread calls everything.

    Raises KafkaError naming the topic when it is not there, or the address when nobody answers.
    """

    def __init__(self, settings: Mapping[str, str], topic: str, timeout_ms: int) -> None:
        own = {name: value for name, value in settings.items() if not name.startswith("group.")}
        reading = {
            "enable.auto.commit": "false",
            "enable.partition.eof": "true",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": "100",
        }
        self.topic = topic
        self._consumer = Consumer({**own, **_QUIET, **reading, "group.id": f"{settings.get('group.id', '')}-{topic}"})
        try:
            found = self._consumer.list_topics(topic, timeout=timeout_ms / 1000).topics[topic]
        except KafkaException as error:
            self._consumer.close()
            address = settings.get("bootstrap.servers", "")
            raise KafkaError(error.args[0].code(), f"topic {topic!r} at {address}: {error.args[0].str()}") from None
        if found.error is not None or not found.partitions:
            self._consumer.close()
            code = found.error.code() if found.error is not None else ClientError.UNKNOWN_TOPIC_OR_PART
            raise KafkaError(code, f"topic {topic!r} is not there: headrace topics create")
        self._behind = set(found.partitions)
        self._consumer.assign([TopicPartition(topic, number, 0) for number in found.partitions])

    def poll(self, timeout_s: float) -> list[Entry]:
        """Records that have come, waiting for the first no longer than that."""
        return [entry for entry in map(self._entry, self._consumer.consume(100, timeout_s)) if entry is not None]

    def _entry(self, message: Message) -> Entry | None:
        error = message.error()
        if error is None:
            return Entry(message.partition() or 0, message.offset() or 0, message.key(), message.value())
        if error.code() == ClientError._PARTITION_EOF:
            self._behind.discard(message.partition() or 0)
        else:
            log.warning("topic %s: %s", self.topic, error.str())
        return None

    def read_to_end(self, timeout_ms: int) -> list[Entry]:
        """All that the topic holds now. Raises KafkaError when its end is not met within the time."""
        entries: list[Entry] = []
        until_s = time.monotonic() + timeout_ms / 1000
        while self._behind:
            if time.monotonic() > until_s:
                text = f"topic {self.topic!r} could not be read to its end within {timeout_ms} ms"
                raise KafkaError(ClientError._TIMED_OUT, text)
            entries += self.poll(0.1)
        return entries

    def close(self) -> None:
        """Give the connection back."""
        self._consumer.close()


def deliver(settings: Mapping[str, str], topic: str, key: str, value: bytes | None) -> None:
    """Write one record and wait until all copies have it. Raises KafkaError when they do not in DELIVER_S_MAX."""
    failed: list[ClientError] = []
    producer = Producer({**settings, **_QUIET, **writing_settings()})

    def delivered(error: ClientError | None, _message: object) -> None:
        if error is not None:
            failed.append(error)

    producer.produce(topic, value, key.encode(), on_delivery=delivered)
    left = producer.flush(DELIVER_S_MAX)
    if failed:
        raise KafkaError(failed[0].code(), f"topic {topic!r} does not take the record: {failed[0].str()}")
    if left:
        raise KafkaError(ClientError._TIMED_OUT, f"topic {topic!r} did not take the record in {DELIVER_S_MAX:g} s")


def writing_settings() -> dict[str, str]:
    """Of a producer of few records that must not be lost."""
    return {
        "acks": "all",
        "enable.idempotence": "true",
        "partitioner": "murmur2_random",
        "linger.ms": "0",
        "message.timeout.ms": str(int(DELIVER_S_MAX * 1000)),
    }
