"""Where metrics records are read from: their topic, a process that runs, a file."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import HeadraceError, UnusableFileError
from pipeline.kafka.librdkafka import KafkaError
from pipeline.wire.metrics import MetricsRecord, decode_metrics

ANSWER_S_MAX = 10.0
POLL_S = 0.2
READ_ROWS = 1000
PARTITION_EOF = -191
"""librdkafka's RD_KAFKA_RESP_ERR__PARTITION_EOF: all there is of a partition was read."""
Tell = Callable[[str], None]


class UnreadableProcessError(HeadraceError):
    """The address that was named does not answer as a process of ours."""


def of_topic(
    settings: Mapping[str, str], topic: str, since_ms: int, until_ms: int, timeout_ms: int, tell: Tell
) -> Iterator[MetricsRecord]:
    """The records of [since_ms, until_ms) by their ends, outside any group. Raises KafkaError naming the topic.

    Read to the ends that the partitions have now. A value that is no metrics record is passed over.
    """
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    own = {"group.id": "headrace-cost", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer: Any = Consumer({**settings, **own, "log_level": 0})
    try:
        partitions = consumer.list_topics(topic, timeout=timeout_ms / 1000).topics[topic].partitions
        if not partitions:
            raise KafkaError(3, f"topic {topic!r} is not there, or may not be seen")
        asked = [TopicPartition(topic, number, since_ms) for number in partitions]
        begins = consumer.offsets_for_times(asked, timeout=timeout_ms / 1000)
        ends = {each.partition: consumer.get_watermark_offsets(each, timeout=timeout_ms / 1000)[1] for each in begins}
        left = {each.partition: ends[each.partition] for each in begins if 0 <= each.offset < ends[each.partition]}
        consumer.assign([each for each in begins if each.partition in left])
        yield from _read(consumer, left, since_ms, until_ms, timeout_ms, tell)
    except KafkaException as error:
        raise KafkaError(error.args[0].code(), f"topic {topic!r}: {error.args[0].str()}") from None
    finally:
        consumer.close()


def _read(
    consumer: Any, left: dict[int, int], since_ms: int, until_ms: int, timeout_ms: int, tell: Tell
) -> Iterator[MetricsRecord]:
    count, silent_s = 0, time.monotonic()
    while left:
        for message in consumer.consume(READ_ROWS, POLL_S):
            silent_s = time.monotonic()
            if message.error() is not None and message.error().code() == PARTITION_EOF:
                left.pop(message.partition(), None)
                continue
            if message.error() is not None:
                raise KafkaError(message.error().code(), message.error().str())
            if message.offset() + 1 >= left.get(message.partition(), 0):
                left.pop(message.partition(), None)
            try:
                record = decode_metrics(message.value() or b"")
            except ValueError:
                continue
            count += 1
            tell(f"{count:,} metrics records")
            if since_ms < record.to_ms <= until_ms:
                yield record
        if time.monotonic() - silent_s > timeout_ms / 1000:
            raise KafkaError(
                -185, f"no more records came within {timeout_ms} ms, partitions {sorted(left)} have more"
            )


def of_file(path: Path) -> list[MetricsRecord]:
    """Values of the topic, one a line. Raises UnusableFileError naming file and line."""
    records = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            records.append(decode_metrics(line))
        except ValueError as error:
            raise UnusableFileError(f"{path}:{number}: {error}, expected a metrics record on each line") from None
    return records


def of_process(url: str, token: str) -> MetricsRecord:
    """All that a process has told since its start. Raises UnreadableProcessError naming the address."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    address = f"{url.rstrip('/')}/api/state"
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=ANSWER_S_MAX) as answer:
            state = json.load(answer)
        totals, facts = state["summary"]["totals"], state["facts"]
    except urllib.error.HTTPError as error:
        raise UnreadableProcessError(f"{address}: answers {error.code} {error.reason}; --token?") from None
    except (OSError, ValueError) as error:
        raise UnreadableProcessError(f"{address}: {error}") from None
    except (KeyError, TypeError):
        text = f"{address}: has told nothing yet, or is no process of a pipeline"
        raise UnreadableProcessError(text) from None
    return MetricsRecord(
        pipeline=facts["pipeline"],
        instance=state["instance"],
        from_ms=totals["from_ms"],
        to_ms=state["now_ms"],
        outcomes=dict(zip(facts["outcomes"], totals["outcomes"], strict=True)),
        tiers=dict(zip((tier["name"] for tier in facts["tiers"]), totals["tiers"], strict=True)),
        counts=totals["counts"],
    )
