"""The process's part of the consumer group: what it is assigned, since when, and how it gives it up."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.drain import Drain
from pipeline.errors import LostOffsetsError
from pipeline.kafka.consumer import Assigned, CommitResult, ConsumerError, Lane, LaneConsumer, Revoked
from pipeline.kafka.librdkafka import KafkaError
from pipeline.offsets import Commits, Watermarks
from pipeline.state_lanes import StateLanes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GroupLimits:
    """The numbers and choices of the group that a configuration sets."""

    drain_ns_max: int
    request_ms_max: int
    reset: str  # "earliest" or "latest": where a partition without a committed offset begins


class Group:
    """Answers the group's events and commits watermarks.

    `epoch` numbers assignments. A partition's lane is readable from the moment its state is complete until
    its revoke arrives; between revoke and answer its rows in flight may finish (`drain`).
    """

    def __init__(
        self,
        consumer: LaneConsumer,
        state_lanes: StateLanes | None,
        watermarks: Watermarks[Any],
        commits: Commits[Any],
        positions: dict[Any, int],
        limits: GroupLimits,
    ) -> None:
        self._consumer = consumer
        self._state_lanes = state_lanes
        self._watermarks = watermarks
        self._commits = commits
        self._positions = positions
        self._limits = limits
        self.epoch = 0
        self.owned: set[Any] = set()
        self.drain: Drain | None = None

    def lanes(self) -> list[Lane]:
        """The lanes that may be read now."""
        return [
            lane
            for partition, lane in self._consumer.lanes.items()
            if partition in self.owned and (self._state_lanes is None or self._state_lanes.ready(partition))
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
            elif isinstance(event, Revoked):
                self._revoked(event, now_ns)
            elif isinstance(event, CommitResult):
                self._committed(event)
            elif isinstance(event, ConsumerError):
                if event.fatal:
                    raise KafkaError(event.code, event.text)
                log.warning("consumer: %s", event.text)
        return len(events)

    def commit(self, now_ns: int) -> None:
        """Commit the watermarks that have moved, when it is time."""
        offsets = self._commits.take(self._watermarks, now_ns)
        if offsets:
            self._consumer.commit(offsets)

    def give_up(self, partitions: frozenset[Any], *, lost: bool) -> None:
        """Commit what is finished (unless lost), answer the revoke, forget the partitions."""
        if not lost:
            try:
                self.commit_finished()
            except KafkaError as error:
                log.warning("what was finished will be read again by the next owner: %s", error)
        self._consumer.accept_revoked(partitions)
        for partition in partitions:
            self._watermarks.forget(partition)
            self._commits.forget(partition)
        self.drain = None
        self._follow_elsewhere()
        log.info("gave up %d partitions (%s)", len(partitions), "lost" if lost else "revoked")

    def commit_finished(self) -> None:
        """Commit all watermarks and wait for the answer, within the request limit."""
        offsets = self._commits.take(self._watermarks, 0, force=True)
        if offsets:
            self._consumer.commit_sync(offsets, self._limits.request_ms_max)

    def _assigned(self, event: Assigned) -> None:
        self.epoch += 1
        starts = self._starts(event.partitions)
        self._consumer.accept_assigned({partition: start for partition, (_, start) in starts.items()})
        self.owned |= set(event.partitions)
        if self._state_lanes is not None:
            self._state_lanes.leave(event.partitions)
            self._state_lanes.rebuild(starts)
            self._follow_elsewhere()
        log.info("epoch %d: assigned %d partitions", self.epoch, len(event.partitions))

    def _revoked(self, event: Revoked, now_ns: int) -> None:
        partitions = frozenset(event.partitions)
        self.owned -= partitions
        if self._state_lanes is not None:
            self._state_lanes.leave(partitions)
        if self.drain is not None:
            partitions |= self.drain.partitions
        self.drain = Drain(partitions, now_ns + self._limits.drain_ns_max, event.lost)

    def _committed(self, event: CommitResult) -> None:
        if event.error is not None:
            log.warning("commit failed, will be tried again: %s", event.error)
            for partition in event.offsets:
                self._commits.failed(partition)

    def _starts(self, partitions: Any) -> Mapping[Any, tuple[int, int]]:
        """Partition -> (oldest offset kept, offset where deciding begins)."""
        committed = self._consumer.committed(partitions, self._limits.request_ms_max)
        starts = {}
        for partition in partitions:
            low, high = self._consumer.watermarks(partition, self._limits.request_ms_max)
            offset = committed.get(partition)
            if offset is None or offset < 0:
                offset = low if self._limits.reset == "earliest" else high
            elif not low <= offset <= high:
                raise LostOffsetsError(partition, offset, low, high)
            starts[partition] = (low, offset)
        return starts

    def _follow_elsewhere(self) -> None:
        """Keep global entities whole: read what other processes decide, state-only, from where we stand.

        Deciding waits until what is there now is read: what lies behind a delay may not be missing.
        """
        if self._state_lanes is None:
            return
        wanted = {}
        for partition in self._state_lanes.partitions_elsewhere(self.owned):
            low, high = self._consumer.watermarks(partition, self._limits.request_ms_max)
            wanted[partition] = (self._positions.get(partition, low), high)
        if wanted:
            self._state_lanes.follow(wanted)
