"""Dead letters: a record that could not become an event, as it came, with what was wrong with it.

The headers are those of Kafka Streams, so that tools which know its dead letters know ours.
"""

from dataclasses import dataclass

from pipeline.decode import Reject
from pipeline.kafka.librdkafka import ffi
from pipeline.kafka.messages import Messages, Record, record_at

EXCEPTION = "__streams.errors.exception"
MESSAGE = "__streams.errors.message"
TOPIC = "__streams.errors.topic"
PARTITION = "__streams.errors.partition"
OFFSET = "__streams.errors.offset"
EXCEPTION_PREFIX = "headrace."
"""Before a reject's code, e.g. `headrace.missing-field`: an exception's name has a package."""


@dataclass(frozen=True, slots=True)
class DeadRecord:
    """A copy of a bad record and why it is one; it outlives the memory that the record was read into."""

    record: Record
    topic: str
    partition: int
    code: str
    message: str

    @property
    def key(self) -> bytes | None:
        """The key as it came."""
        return self.record.key

    @property
    def value(self) -> bytes | None:
        """The value as it came."""
        return self.record.value

    @property
    def offset(self) -> int:
        """Where the record is in its partition."""
        return self.record.offset

    @classmethod
    def at(cls, pointer: int, reject: Reject, topic: str) -> "DeadRecord":
        """Copy the record whose message is at this address."""
        partition = int(ffi.cast("rd_kafka_message_t *", pointer).partition)
        return cls(record_at(pointer), topic, partition, reject.code, reject.message)

    @classmethod
    def copied(cls, messages: Messages, reject: Reject, topic: str) -> "DeadRecord":
        """Copy the record that a reject of this read is about."""
        return cls.at(int(messages.pointers[reject.index]), reject, topic)


def headers_of(dead: DeadRecord) -> list[tuple[str, bytes | None]]:
    """The record's own headers, untouched and first, then ours.

    A record that is a dead letter already (someone read that topic again) keeps its older error headers: the
    last of a name is the newest, as Kafka's `Headers.lastHeader` reads it.
    """
    return [
        *dead.record.headers,
        (EXCEPTION, (EXCEPTION_PREFIX + dead.code).encode()),
        (MESSAGE, dead.message.encode(errors="replace")),
        (TOPIC, dead.topic.encode()),
        (PARTITION, b"%d" % dead.partition),
        (OFFSET, b"%d" % dead.offset),
    ]
