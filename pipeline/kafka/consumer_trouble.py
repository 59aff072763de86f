"""What a consumer's errors mean: the end of the process, or a line of the log that is not said at each attempt."""

import logging

from pipeline.errors import FencedError
from pipeline.kafka.control import ConsumerError
from pipeline.kafka.librdkafka import ERR_FENCED_INSTANCE_ID, NOT_CONNECTED, KafkaError
from pipeline.kafka.outage import Outage

log = logging.getLogger(__name__)


class ConsumerTrouble:
    """Of one consumer, `name` in its lines. Times are of the engine's monotonic clock."""

    def __init__(self, name: str, address: str) -> None:
        self._name = name
        self._outage = Outage(address)

    def heard(self, event: ConsumerError, now_ns: int) -> None:
        """Tell of it, if it is worth a line. Raises FencedError or KafkaError for what no consumer recovers from."""
        if event.fatal and event.code == ERR_FENCED_INSTANCE_ID:
            raise FencedError('this process\'s kafka."group.instance.id"', event.text)
        if event.fatal:
            raise KafkaError(event.code, event.text)
        said = self._outage.failed(event.text, now_ns) if event.code in NOT_CONNECTED else event.text
        if said is not None:
            log.warning("%s: %s", self._name, said)

    def reached(self, now_ns: int) -> None:
        """The cluster answered it."""
        if (back := self._outage.reached(now_ns)) is not None:
            log.warning("%s: %s", self._name, back)
