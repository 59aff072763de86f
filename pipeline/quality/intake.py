"""Kafka's records into the join, and the clock that says which periods are over."""

import logging
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.cimpl import KafkaError as ClientError

from features.catalog import LabelSpec
from pipeline.config.model import PipelineConfig
from pipeline.config.problems import ConfigError, Problem
from pipeline.quality.join import Join, Period
from pipeline.quality.reading import LabelReader, read_decision
from pipeline.quality.report import Answerer
from pipeline.quality.watermark import Watermark

READ_ROWS = 2000
READ_S = 0.2

log = logging.getLogger(__name__)


def labels_of(config: PipelineConfig) -> LabelSpec:
    """Where the pipeline's labels come from. Raises ConfigError where it has none."""
    found = next((entity.labels for entity in config.entities.values() if entity.labels is not None), None)
    if found is None:
        text = f"pipeline {config.pipeline.name} has none, expected an entity with labels: quality is known by them"
        raise ConfigError("", [Problem("entities.NAME.labels", text)])
    return found


class Intake:
    """Reads decisions and labels from the oldest record that there is, outside any group. Close it when done.

    Raises KafkaException where the topics cannot be read.
    """

    def __init__(self, config: PipelineConfig, timeout_s: float) -> None:
        spec, section = labels_of(config), config.quality
        inputs = config.inputs[spec.input]
        self._decisions_topic = config.topics.decisions
        self._labels = LabelReader(inputs, spec.field)
        self.join = Join(section.period, section.delay, section.rows_max)
        self.answerers: list[Answerer] = []
        self._numbers: dict[Answerer, int] = {}
        self._decided, self._labelled = Watermark(), Watermark()
        self.unreadable = 0
        self._one_in = section.one_in
        settings: dict[str, Any] = {
            **config.kafka.consumer_settings(),
            "group.id": f"{config.kafka.common['group.id']}-quality",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
        settings.pop("group.instance.id", None)
        self._consumer = Consumer(settings)
        decided = self._oldest(config.topics.decisions, self._decided, timeout_s)
        self.lost = any(partition.offset > 0 for partition in decided)
        """Whether there were older decisions than those that are read."""
        self._consumer.assign([*decided, *self._oldest(inputs.topic, self._labelled, timeout_s)])

    def _oldest(self, topic: str, watermark: Watermark, timeout_s: float) -> list[TopicPartition]:
        """The partitions of a topic, each at its oldest record."""
        found = []
        for number in sorted(self._consumer.list_topics(topic, timeout_s).topics[topic].partitions):
            low, _ = self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout_s)
            watermark.expect(number)
            found.append(TopicPartition(topic, number, low))
        return found

    @property
    def caught_up(self) -> bool:
        """Whether all that the topics held was read."""
        return self._decided.caught_up and self._labelled.caught_up

    def turn(self, wall_ms: int) -> Iterator[Period]:
        """Read what there is; gives the periods that are over. An event from the future moves no clock."""
        for message in self._consumer.consume(READ_ROWS, READ_S):
            error = message.error()
            if error is None:
                self._take(message)
            elif error.code() == ClientError._PARTITION_EOF:
                self._of(message.topic()).ended(message.partition())
            elif not error.retriable():
                raise KafkaException(error)
        clock_ms = self._decided.clock_ms()
        if not self._labelled.caught_up:
            clock_ms = min(clock_ms, self._labelled.clock_ms())
        yield from self.join.close(min(clock_ms, wall_ms))

    def _of(self, topic: str | None) -> Watermark:
        return self._decided if topic == self._decisions_topic else self._labelled

    def _take(self, message: Any) -> None:
        partition, offset, value = message.partition(), message.offset(), message.value() or b""
        try:
            if message.topic() == self._decisions_topic:
                found = read_decision(value, message.key())
                self._decided.read(partition, found.event_ms)
                if found.place % self._one_in == 0:
                    number = self._number(found.who)
                    self.join.decision(found.event_ms, found.source, found.identity, found.key, found.score, number)
                return
            label = self._labels.read(value, message.timestamp()[1])
        except ValueError:
            self.unreadable += 1
            log.warning("%s[%d] offset %d is not counted: it cannot be read", message.topic(), partition, offset)
            return
        self._labelled.read(partition, label.known_ms)
        if label.place % self._one_in == 0:
            self.join.label(label.event_ms, label.known_ms, offset, label.identity, hit=label.hit)

    def _number(self, who: Answerer) -> int:
        number = self._numbers.get(who)
        if number is None:
            number = self._numbers[who] = len(self.answerers)
            self.answerers.append(who)
        return number

    def close(self) -> None:
        """Leave."""
        self._consumer.close()
