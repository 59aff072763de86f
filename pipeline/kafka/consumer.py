"""Reading in bulk: one queue a partition, and a control queue for what the group says."""

from collections.abc import Collection, Mapping
from typing import Any

from pipeline.kafka.client_log import LOG_SETTINGS, pass_on
from pipeline.kafka.consumer_settings import consumer_settings
from pipeline.kafka.control import Assigned, CommitResult, ConsumerError, ControlEvent, Revoked
from pipeline.kafka.lane import READ_ROWS_MAX, Lane, TopicPartition
from pipeline.kafka.librdkafka import (
    CONSUMER,
    DESTROY_NO_CONSUMER_CLOSE,
    ERR_ASSIGN_PARTITIONS,
    ERR_NO_OFFSET,
    ERR_PARTITION_EOF,
    ERR_TIMED_OUT,
    EVENT_ERROR,
    EVENT_FETCH,
    EVENT_LOG,
    EVENT_OFFSET_COMMIT,
    EVENT_REBALANCE,
    check,
    check_object,
    destroy,
    ffi,
    lib,
    new_handle,
)
from pipeline.kafka.transient import until_answered
from pipeline.kafka.wake import RING, Wake

__all__ = [
    "Assigned",
    "CommitResult",
    "ConsumerError",
    "ControlEvent",
    "Lane",
    "LaneConsumer",
    "Revoked",
    "TopicPartition",
]


def list_of(partitions: Mapping[TopicPartition, int | None]) -> Any:
    """librdkafka's own list of partitions and offsets, freed with the object."""
    listed = lib.rd_kafka_topic_partition_list_new(max(1, len(partitions)))
    for (topic, partition), offset in partitions.items():
        entry = lib.rd_kafka_topic_partition_list_add(listed, topic.encode(), partition)
        if offset is not None:
            entry.offset = offset
    return ffi.gc(listed, lib.rd_kafka_topic_partition_list_destroy)


def _entries(listed: Any) -> list[tuple[TopicPartition, int, int]]:
    if listed == ffi.NULL:
        return []
    entries = (listed.elems[index] for index in range(listed.cnt))
    return [
        (TopicPartition(ffi.string(e.topic).decode(), int(e.partition)), int(e.offset), int(e.err)) for e in entries
    ]


class LaneConsumer:
    """A consumer whose partitions are read one by one, and whose group speaks through `control`.

    Either `subscribe` (the group assigns, each assignment is answered) or `assign` (outside any group). One
    thread calls everything. `partitions` is the most that it will be given: they share the memory for what is fetched
    ahead.
    """

    def __init__(self, settings: Mapping[str, str], wake: Wake, partitions: int = 1) -> None:
        merged = {**LOG_SETTINGS, **consumer_settings(settings, partitions)}
        events = EVENT_REBALANCE | EVENT_OFFSET_COMMIT | EVENT_ERROR | EVENT_LOG
        self.address = merged.get("bootstrap.servers", "")
        self._handle = new_handle(CONSUMER, merged, events)
        self._wake = wake
        lib.rd_kafka_poll_set_consumer(self._handle)
        self._control = lib.rd_kafka_queue_get_consumer(self._handle)
        lib.rd_kafka_set_log_queue(self._handle, self._control)
        lib.rd_kafka_queue_io_event_enable(self._control, wake.write_fd, RING, len(RING))
        self._buffer = ffi.new("rd_kafka_message_t *[]", READ_ROWS_MAX)
        self._waiting: list[Any] = []
        self.lanes: dict[TopicPartition, Lane] = {}
        self._closed = False
        self.errors = 0
        """What librdkafka reported of connections and the cluster."""

    def subscribe(self, topics: Collection[str]) -> None:
        """Join the group for these topics; assignments arrive as events."""
        wanted = list_of({TopicPartition(topic, -1): None for topic in topics})
        check(lib.rd_kafka_subscribe(self._handle, wanted), f"subscribe to {', '.join(topics)}")

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read exactly these partitions from these offsets, outside any group."""
        self._close_lanes(list(self.lanes))
        check(lib.rd_kafka_assign(self._handle, list_of(positions)), "assign")
        self._open_lanes(positions)

    def also_read(self, positions: Mapping[TopicPartition, int]) -> None:
        """As `assign`, beside what is read already, which is not disturbed."""
        check_object(lib.rd_kafka_incremental_assign(self._handle, list_of(positions)), "assign more")
        self._open_lanes(positions)

    def stop_reading(self, partitions: Collection[TopicPartition]) -> None:
        """Read these no more, and the others on. Messages already read stay valid until freed."""
        self._close_lanes(partitions)
        check_object(
            lib.rd_kafka_incremental_unassign(self._handle, list_of(dict.fromkeys(partitions))), "assign less"
        )

    def control(self) -> list[ControlEvent]:
        """What the group and the client say, without waiting."""
        self._collect_strays()
        waiting, self._waiting = self._waiting, []
        events: list[ControlEvent] = []
        for event in waiting:
            events.extend(self._understand(event))
            lib.rd_kafka_event_destroy(event)
        return events

    def _collect_strays(self) -> None:
        """Empty the control queue: messages go to their lanes, the rest waits for `control`."""
        while (event := lib.rd_kafka_queue_poll(self._control, 0)) != ffi.NULL:
            if not self._bring_home(event):
                self._waiting.append(event)

    def _bring_home(self, event: Any) -> bool:
        """Hand a message that came here to its lane; True when the event is the lane's now."""
        if lib.rd_kafka_event_type(event) != EVENT_FETCH:
            return False
        message = lib.rd_kafka_event_message_next(event)
        if message == ffi.NULL:
            return False
        topic = ffi.string(lib.rd_kafka_topic_name(message.rkt)).decode()
        lane = self.lanes.get(TopicPartition(topic, message.partition))
        if lane is None:
            return False
        lane.stray(event, int(ffi.cast("intptr_t", message)))
        return True

    def _end_of_partition(self, event: Any) -> None:
        found = lib.rd_kafka_event_topic_partition(event)
        if found == ffi.NULL:
            return
        lane = self.lanes.get(TopicPartition(ffi.string(found.topic).decode(), int(found.partition)))
        if lane is not None:
            lane.stray_end(int(found.offset))
        lib.rd_kafka_topic_partition_destroy(found)

    def _understand(self, event: Any) -> list[ControlEvent]:
        kind, error = lib.rd_kafka_event_type(event), lib.rd_kafka_event_error(event)
        if kind == EVENT_LOG:
            pass_on(event)
            return []
        if error == ERR_PARTITION_EOF:
            self._end_of_partition(event)
            return []
        entries = _entries(lib.rd_kafka_event_topic_partition_list(event)) if kind != EVENT_ERROR else []
        if kind == EVENT_REBALANCE:
            partitions = tuple(partition for partition, _, _ in entries)
            if error == ERR_ASSIGN_PARTITIONS:
                return [Assigned(partitions)]
            return [Revoked(partitions, bool(lib.rd_kafka_assignment_lost(self._handle)))]
        text = ffi.string(lib.rd_kafka_event_error_string(event)).decode(errors="replace") if error else ""
        if kind == EVENT_OFFSET_COMMIT:
            if error == ERR_NO_OFFSET:
                return []
            return [CommitResult(text or None, {p: offset for p, offset, _ in entries})]
        if kind == EVENT_ERROR:
            self.errors += 1
            return [ConsumerError(error, text, bool(lib.rd_kafka_event_error_is_fatal(event)))]
        return []

    def accept_assigned(self, positions: Mapping[TopicPartition, int | None]) -> None:
        """Begin reading what was assigned, each from its offset (None: the committed one)."""
        if self._cooperative():
            check_object(lib.rd_kafka_incremental_assign(self._handle, list_of(positions)), "accept an assignment")
        else:
            check(lib.rd_kafka_assign(self._handle, list_of(positions)), "accept an assignment")
        self._open_lanes(positions)

    def accept_revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Stop reading what was taken away. Messages already read stay valid until freed."""
        self._close_lanes(partitions)
        if self._cooperative():
            given = list_of(dict.fromkeys(partitions))
            check_object(lib.rd_kafka_incremental_unassign(self._handle, given), "answer a revoke")
        else:
            check(lib.rd_kafka_assign(self._handle, ffi.NULL), "answer a revoke")

    def _cooperative(self) -> bool:
        protocol = lib.rd_kafka_rebalance_protocol(self._handle)
        return protocol != ffi.NULL and bool(ffi.string(protocol) == b"COOPERATIVE")

    def _open_lanes(self, partitions: Collection[TopicPartition]) -> None:
        for partition in partitions:
            self.lanes[partition] = Lane(self._handle, partition, self._wake, self._buffer, self._collect_strays)

    def _close_lanes(self, partitions: Collection[TopicPartition]) -> None:
        for partition in partitions:
            if (lane := self.lanes.pop(partition, None)) is not None:
                lane.close()

    def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Commit without waiting; the answer is a CommitResult."""
        check(
            lib.rd_kafka_commit_queue(self._handle, list_of(next_offsets), self._control, ffi.NULL, ffi.NULL),
            "commit",
        )

    def commit_sync(self, next_offsets: Mapping[TopicPartition, int], timeout_ms: int) -> None:
        """Commit and wait for the broker's answer. Raises KafkaError when it refuses or does not answer in time."""
        answers = ffi.gc(lib.rd_kafka_queue_new(self._handle), lib.rd_kafka_queue_destroy)
        listed = list_of(next_offsets)
        check(lib.rd_kafka_commit_queue(self._handle, listed, answers, ffi.NULL, ffi.NULL), "commit")
        event = lib.rd_kafka_queue_poll(answers, timeout_ms)
        code = ERR_TIMED_OUT if event == ffi.NULL else lib.rd_kafka_event_error(event)
        if event != ffi.NULL:
            lib.rd_kafka_event_destroy(event)
        ffi.release(answers)
        check(code, f"commit, {timeout_ms} ms at most")

    def committed(self, partitions: Collection[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int | None]:
        """The group's committed offsets, None where there is none."""
        listed = list_of(dict.fromkeys(partitions))
        code = until_answered(lambda left_ms: lib.rd_kafka_committed(self._handle, listed, left_ms), timeout_ms)
        check(code, "ask for committed offsets")
        return {p: offset if offset >= 0 else None for p, offset, _ in _entries(listed)}

    def group_metadata(self) -> Any:
        """Who this member is, of which generation as the group is now: what the offsets of a transaction go with."""
        return ffi.gc(
            lib.rd_kafka_consumer_group_metadata(self._handle), lib.rd_kafka_consumer_group_metadata_destroy
        )

    def watermarks(self, partition: TopicPartition, timeout_ms: int) -> tuple[int, int]:
        """The oldest offset kept and the end, asked of the broker; asked again while it moves a leader."""
        low, high = ffi.new("int64_t *"), ffi.new("int64_t *")
        topic, number, ask = partition.topic.encode(), partition.partition, lib.rd_kafka_query_watermark_offsets
        code = until_answered(lambda left_ms: ask(self._handle, topic, number, low, high, left_ms), timeout_ms)
        check(code, f"ask for the offsets of {partition.topic}[{partition.partition}]")
        return int(low[0]), int(high[0])

    def close(self, timeout_ms: int) -> bool:
        """Leave the group and free everything; True when the group was left within the time.

        Takes twice the time at most: librdkafka waits a session's time-out for an unanswered commit, which goes
        on behind our back and ends with the process.
        """
        if self._closed:
            return True
        self._closed = True
        self._close_lanes(list(self.lanes))
        left = self._leave(timeout_ms)
        for event in self._waiting:
            lib.rd_kafka_event_destroy(event)
        lib.rd_kafka_queue_io_event_enable(self._control, -1, ffi.NULL, 0)
        lib.rd_kafka_queue_destroy(self._control)
        destroy(self._handle, DESTROY_NO_CONSUMER_CLOSE, timeout_ms)
        return left

    def _leave(self, timeout_ms: int) -> bool:
        if (error := lib.rd_kafka_consumer_close_queue(self._handle, self._control)) != ffi.NULL:
            lib.rd_kafka_error_destroy(error)  # a member that was fenced has no group to leave
            return False
        for _ in range(max(1, timeout_ms // 10)):
            if lib.rd_kafka_consumer_closed(self._handle):
                return True
            event = self._waiting.pop(0) if self._waiting else lib.rd_kafka_queue_poll(self._control, 10)
            if event == ffi.NULL:
                continue
            if lib.rd_kafka_event_type(event) == EVENT_LOG:
                pass_on(event)
            elif lib.rd_kafka_event_type(event) == EVENT_REBALANCE:
                if self._cooperative():
                    lists = lib.rd_kafka_event_topic_partition_list(event)
                    check_object(lib.rd_kafka_incremental_unassign(self._handle, lists), "leave the group")
                else:
                    lib.rd_kafka_assign(self._handle, ffi.NULL)
            lib.rd_kafka_event_destroy(event)
        return bool(lib.rd_kafka_consumer_closed(self._handle))
