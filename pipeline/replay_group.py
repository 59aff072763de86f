"""What stands where a consumer group and its state lanes stand, when topics are replayed."""

from collections.abc import Mapping
from typing import Any

from pipeline.batch import NEVER_NS
from pipeline.drain import Drain
from pipeline.kafka.consumer import ConsumerError, Lane, LaneConsumer, TopicPartition
from pipeline.kafka.consumer_trouble import ConsumerTrouble
from pipeline.wire.dead_letter import DeadRecord


class DeadOfState:
    """Bad records of state inputs, until the engine fetches them."""

    def __init__(self) -> None:
        self.records: list[DeadRecord] = []

    def poll(self) -> tuple[int, list[DeadRecord]]:
        """No records read here, and the bad ones since the last call."""
        records, self.records = self.records, []
        return 0, records


class ReplayGroup:
    """The place of a consumer group in a replay: every partition, from its oldest record, nothing committed."""

    def __init__(self, consumer: LaneConsumer, starts: Mapping[TopicPartition, int]) -> None:
        self._consumer = consumer
        self._trouble = ConsumerTrouble("consumer", consumer.address)
        consumer.assign(starts)
        self.drain: Drain | None = None

    def lanes(self) -> list[Lane]:
        """All of them."""
        return list(self._consumer.lanes.values())

    def serve(self, now_ns: int) -> int:
        """Errors of the client end a replay; there is nothing else to hear."""
        for event in self._consumer.control():
            if isinstance(event, ConsumerError):
                self._trouble.heard(event, now_ns)
        return 0

    def due_ns(self) -> int:
        """Nothing is ever due."""
        return NEVER_NS

    def commit(self, _now_ns: int) -> None:
        """A replay commits nothing: it may be run again."""

    def commit_finished(self) -> None:
        """Nor at its end."""

    def give_up(self, _partitions: frozenset[Any], *, lost: bool) -> None:
        """Nobody asks a replay for its partitions."""
