"""Dead letters of state inputs beside transactions: no offset is committed for them, so they belong to none."""

import logging
from collections import deque

import numpy as np

from pipeline.errors import UndeliverableError
from pipeline.kafka.librdkafka import error_text
from pipeline.kafka.producer import ANY_PARTITION, LaneProducer
from pipeline.wire.dead_letter import DeadRecord, headers_of

log = logging.getLogger(__name__)
NO_OPAQUE = 0


class PlainLetters:
    """Publishes dead letters at once, by a producer without transactions; takes in that producer's reports."""

    def __init__(self, producer: LaneProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._unsent: deque[DeadRecord] = deque()

    def blocked(self) -> bool:
        """Whether some found no room."""
        return bool(self._unsent)

    def publish(self, records: list[DeadRecord]) -> None:
        """Hand them over; what finds no room waits."""
        self._unsent.extend(records)
        self.retry()

    def retry(self) -> None:
        """Offer again what found no room."""
        while self._unsent:
            record = self._unsent[0]
            code = self._producer.produce(
                self._topic, ANY_PARTITION, record.key, record.value, headers_of(record), NO_OPAQUE
            )
            if code == self._producer.QUEUE_FULL:
                return
            if code:
                raise UndeliverableError(record.topic, record.partition, record.offset, error_text(code))
            self._unsent.popleft()

    def serve(self) -> None:
        """Take in the reports: a failure is logged, nothing waits for these."""
        for code in np.unique(self._producer.deliveries().error).tolist():
            if code:
                log.error("a dead letter of a state input could not be delivered: %s", error_text(code))
