"""The process's part of the consumer group: what it is assigned, since when, and how it gives it up."""

import logging
from dataclasses import dataclass
from typing import Any

from pipeline.committing import Committer
from pipeline.drain import Drain
from pipeline.errors import LostOffsetsError
from pipeline.kafka.consumer import Assigned, CommitResult, ConsumerError, Lane, LaneConsumer, Revoked
from pipeline.kafka.consumer_trouble import ConsumerTrouble
from pipeline.kafka.librdkafka import KafkaError
from pipeline.kafka.named import listed
from pipeline.offsets import Watermarks
from pipeline.state.choice import Bounds, OnLost
from pipeline.state.export import partition_name
from pipeline.state.stage import StateStage
from pipeline.telemetry.spell import Spell

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GroupLimits:
    """The numbers and choices of the group that a configuration sets."""

    drain_ns_max: int
    request_ms_max: int
    reset: str  # "earliest" or "latest": where a partition without a committed offset begins
    committed_ms_max: (
        int  # as request_ms_max, for offsets that an open transaction of a process that died may hold back
    )
    on_lost: OnLost  # what to do about a committed offset that the topic no longer holds


class Group:
    """Answers the group's events and commits watermarks.

    `epoch` numbers assignments; `committed` is what the group has of each partition owned, by the broker's word. A
    partition's lane is readable from the moment its state is complete until its revoke arrives; between revoke and
    answer its rows in flight may finish (`drain`).
    """

    def __init__(
        self,
        consumer: LaneConsumer,
        state: StateStage | None,
        watermarks: Watermarks[Any],
        committer: Committer,
        limits: GroupLimits,
    ) -> None:
        self._consumer = consumer
        self._state = state
        self._watermarks = watermarks
        self._committer = committer
        self._limits = limits
        self._trouble = ConsumerTrouble("consumer", consumer.address)
        self._refusals = Spell()
        self.epoch = 0
        self.owned: set[Any] = set()
        self.drain: Drain | None = None

    def lanes(self) -> list[Lane]:
        """The lanes that may be read now."""
        return [
            lane
            for partition, lane in self._consumer.lanes.items()
            if partition in self.owned and (self._state is None or self._state.ready(partition))
        ]

    def serve(self, now_ns: int) -> int:
        """Handle what the group's queue holds; returns the number of events.

        Raises KafkaError for what cannot be recovered, LostOffsetsError when a committed offset
        is no longer in its topic.
        """
        events = self._consumer.control()
        for event in events:
            if isinstance(event, Assigned):
                self._assigned(event)
                self._trouble.reached(now_ns)
            elif isinstance(event, Revoked):
                self._revoked(event, now_ns)
            elif isinstance(event, CommitResult):
                self._committed(event, now_ns)
            elif isinstance(event, ConsumerError):
                self._trouble.heard(event, now_ns)
        return len(events)

    @property
    def committed(self) -> dict[Any, int]:
        """Partition -> the offset that the cluster has confirmed as committed; none where it knows none."""
        return self._committer.committed

    def due_ns(self) -> int:
        """When `commit` next has something to do, as far as is known."""
        return self._committer.due_ns()

    def commit(self, now_ns: int) -> None:
        """Commit what has moved, when it is time; while partitions are being given up it is."""
        self._committer.commit(now_ns, urgent=self.drain is not None)

    def give_up(self, partitions: frozenset[Any], *, lost: bool) -> None:
        """Commit what is finished (unless lost), answer the revoke, forget the partitions."""
        try:
            self._committer.give_up(partitions, lost=lost)
        except KafkaError as error:
            log.warning("what was finished will be read again by the next owner: %s", error)
        self._consumer.accept_revoked(partitions)
        for partition in partitions:
            self._watermarks.forget(partition)
        self._committer.forget(partitions)
        self.drain = None
        if self._state is not None:
            self._state.follow_elsewhere(self.owned)
        log.info("gave up %s (%s)", listed(partitions), "lost" if lost else "revoked")

    def commit_finished(self) -> None:
        """Commit all that is finished and wait for the answer, within the request limit."""
        self._committer.finish()

    def _assigned(self, event: Assigned) -> None:
        self.epoch += 1
        starts = self._starts(event.partitions)
        self._consumer.accept_assigned({partition: bounds.committed for partition, bounds in starts.items()})
        self.owned |= set(event.partitions)
        if self._state is not None:
            self._state.assigned(starts, self.owned)
        named, owned = listed(event.partitions), listed(self.owned)
        begins = {partition_name(partition): bounds.committed for partition, bounds in starts.items()}
        more = {"epoch": self.epoch, "offsets": begins}
        log.info("epoch %d: assigned %s; all that is owned: %s", self.epoch, named, owned, extra=more)

    def _revoked(self, event: Revoked, now_ns: int) -> None:
        partitions = frozenset(event.partitions)
        self.owned -= partitions
        log.info("%s are being %s", listed(partitions), "lost" if event.lost else "revoked")
        if self._state is not None:
            self._state.revoked(partitions)
        if self.drain is not None:
            partitions |= self.drain.partitions
        self.drain = Drain(partitions, now_ns + self._limits.drain_ns_max, event.lost)

    def _committed(self, event: CommitResult, now_ns: int) -> None:
        self._committer.answered(event)
        if event.error is None:
            self._trouble.reached(now_ns)
            if (ended := self._refusals.over(now_ns, certain=True)) is not None:
                log.warning("offsets are committed again, after %d failures in %.1f s", ended.count, ended.lasted_s)
        elif (told := self._refusals.happened(now_ns)) is not None:
            text = "offsets are not committed, %d failures in %.1f s, will be tried again: %s"
            log.warning(text, told.count, told.lasted_s, event.error)

    def _starts(self, partitions: Any) -> dict[Any, Bounds]:
        """Of each partition what its topic holds, and the offset where deciding begins."""
        committed = self._consumer.committed(partitions, self._limits.committed_ms_max)
        starts = {}
        for partition in partitions:
            low, high = self._consumer.watermarks(partition, self._limits.request_ms_max)
            offset = committed.get(partition)
            if offset is None or offset < 0:
                offset = low if self._limits.reset == "earliest" else high
            elif not low <= offset <= high:
                error = LostOffsetsError(partition, offset, low, high)
                if self._limits.on_lost == "stop":
                    raise error
                log.warning("deciding goes on at offset %d, as checkpoint.on_lost says: %s", low, error)
                offset = low
            starts[partition] = Bounds(low, high, offset)
            self.committed[partition] = offset
        return starts
