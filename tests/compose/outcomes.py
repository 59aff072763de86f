"""What became of every record of the input topics, read from Kafka's topics as any reader would."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from confluent_kafka import Consumer, Message, TopicPartition

READ_S_MAX = 60.0
TOPIC, PARTITION, OFFSET = (f"__streams.errors.{name}" for name in ("topic", "partition", "offset"))
Source = tuple[str, int, int]


def ends(bootstrap: str, topics: Sequence[str]) -> dict[tuple[str, int], int]:
    """The offset after the last record, of each partition."""
    consumer = _consumer(bootstrap)
    try:
        known = consumer.list_topics(timeout=20).topics
        places = [(topic, number) for topic in topics for number in known[topic].partitions]
        return {place: consumer.get_watermark_offsets(TopicPartition(*place), timeout=20)[1] for place in places}
    finally:
        consumer.close()


def records(bootstrap: str, topics: Sequence[str]) -> list[Message]:
    """All that the topics hold now."""
    until = ends(bootstrap, topics)
    consumer = _consumer(bootstrap)
    found: list[Message] = []
    try:
        waiting = {place for place, end in until.items() if end}
        consumer.assign([TopicPartition(*place, 0) for place in waiting])
        while waiting:
            messages = consumer.consume(5000, READ_S_MAX)
            assert messages, f"nothing more comes, and {waiting} are not read to their ends"
            for message in messages:
                assert not message.error(), message.error()
                found.append(message)
                place = (str(message.topic()), int(message.partition() or 0))
                if int(message.offset() or 0) + 1 >= until[place]:
                    waiting.discard(place)
    finally:
        consumer.close()
    return found


def decided(bootstrap: str) -> Counter[Source]:
    """How often each input record has an outcome on the topics of decisions and dead letters."""
    return Counter(source_of(message) for message in records(bootstrap, ["decisions", "dead-letters"]))


def source_of(message: Message) -> Source:
    """The input record that an outcome answers."""
    if message.topic() == "decisions":
        topic, partition, offset = msgspec.json.decode(message.value())["source"]
        return topic, partition, offset
    headers: dict[str, Any] = dict(message.headers() or [])
    return headers[TOPIC].decode(), int(headers[PARTITION]), int(headers[OFFSET])


def asked(bootstrap: str, topics: Sequence[str]) -> set[Source]:
    """Every record that the input topics hold."""
    return {
        (topic, partition, offset)
        for (topic, partition), end in ends(bootstrap, topics).items()
        for offset in range(end)
    }


def _consumer(bootstrap: str) -> Consumer:
    return Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "isolation.level": "read_committed"})
