"""One partition's own queue, read in bulk."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.kafka.librdkafka import ERR_AUTO_OFFSET_RESET, ERR_NO_OFFSET, KafkaError, ffi, lib
from pipeline.kafka.messages import LaneError, Messages
from pipeline.kafka.wake import RING, Wake

log = logging.getLogger(__name__)
READ_ROWS_MAX = 65_536
_NOTHING = np.empty(0, np.int64)


class TopicPartition(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class Lane:
    """One partition's queue. Not reading it is the back-pressure of that partition.

    librdkafka forwards a partition's queue to the consumer's own when fetching starts, on a thread of its own, so
    the first messages may arrive there although the forwarding was taken back; `stray` brings them home, and they
    are read before all others. What is found here first may be later than what went there, so before the first
    records of its own queue are given out, `collect_strays` must bring home all that went there.
    """

    __slots__ = (
        "_buffer",
        "_collect_strays",
        "_handle",
        "_held",
        "_high",
        "_low",
        "_queue",
        "_stray_end",
        "_strays",
        "key",
    )

    def __init__(
        self, handle: Any, key: TopicPartition, wake: Wake, buffer: Any, collect_strays: Callable[[], None]
    ) -> None:
        self.key = key
        self._collect_strays: Callable[[], None] | None = collect_strays
        self._held = _NOTHING
        self._handle = handle
        self._buffer = buffer
        self._strays: list[tuple[Any, int]] = []
        self._stray_end = -1
        self._low, self._high = ffi.new("int64_t *"), ffi.new("int64_t *")
        self._queue = lib.rd_kafka_queue_get_partition(handle, key.topic.encode(), key.partition)
        if self._queue == ffi.NULL:
            raise KafkaError(ERR_NO_OFFSET, f"{key.topic}[{key.partition}] has no queue: is it assigned?")
        lib.rd_kafka_queue_forward(self._queue, ffi.NULL)
        lib.rd_kafka_queue_io_event_enable(self._queue, wake.write_fd, RING, len(RING))

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self.key.topic

    @property
    def partition(self) -> int:
        """The partition's number."""
        return self.key.partition

    def stray(self, event: Any, message: int) -> None:
        """Take a message that arrived elsewhere; the event that owns it is this lane's from now on."""
        self._strays.append((event, message))
        lib.rd_kafka_queue_forward(self._queue, ffi.NULL)

    def stray_end(self, offset: int) -> None:
        """Take word of the partition's end that arrived elsewhere."""
        self._stray_end = offset

    def read(self, rows_max: int) -> Messages:
        """What is there now, at most `rows_max` records; never waits. The caller frees it.

        A read that is full may have left more behind, which no wake-up will announce: read again. Raises
        KafkaError when the lane's position is no longer in the topic.
        """
        messages = self._next(min(rows_max, READ_ROWS_MAX))
        if self._stray_end >= 0 and not self._strays and not len(self._held):
            messages.end_offset, self._stray_end = self._stray_end, -1
        for error in messages.errors:
            try:
                self._complain(error)
            except KafkaError:
                messages.free()
                raise
        return messages

    def _next(self, rows_max: int) -> Messages:
        if self._strays:
            return self._read_strays(rows_max)
        if len(self._held):
            taken, self._held = self._held[:rows_max], self._held[rows_max:]
            return Messages(taken.copy())
        pointers = self._read_queue(rows_max)
        if len(pointers) and self._collect_strays is not None:
            collect_strays, self._collect_strays = self._collect_strays, None
            collect_strays()
            if self._strays:
                self._held = pointers
                return self._read_strays(rows_max)
        return Messages(pointers)

    def _complain(self, error: LaneError) -> None:
        """What librdkafka retries by itself is a warning; a position that is gone is not to be skipped over."""
        where = f"{self.topic}[{self.partition}]"
        if error.code == ERR_AUTO_OFFSET_RESET:
            raise KafkaError(error.code, f"{where}: the offset to read next is no longer in the topic: {error.text}")
        log.warning("%s: %s", where, error.text)

    def _read_queue(self, rows_max: int) -> NDArray[np.int64]:
        count = lib.rd_kafka_consume_batch_queue(self._queue, 0, self._buffer, rows_max)
        return _addresses(self._buffer, count) if count > 0 else _NOTHING

    def _read_strays(self, rows_max: int) -> Messages:
        taken, self._strays = self._strays[:rows_max], self._strays[rows_max:]
        return Messages(np.array([message for _, message in taken], np.int64), [event for event, _ in taken])

    def high_watermark(self) -> int:
        """The partition's end as the last fetch saw it, without asking the broker; -1 when unknown."""
        topic = self.key.topic.encode()
        if lib.rd_kafka_get_watermark_offsets(self._handle, topic, self.key.partition, self._low, self._high):
            return -1
        return int(self._high[0])

    def close(self) -> None:
        """Stop ringing and let go of the queue."""
        for event, _ in self._strays:
            lib.rd_kafka_event_destroy(event)
        self._strays = []
        Messages(self._held).free()
        self._held = _NOTHING
        lib.rd_kafka_queue_io_event_enable(self._queue, -1, ffi.NULL, 0)
        lib.rd_kafka_queue_destroy(self._queue)


def _addresses(buffer: Any, count: int) -> NDArray[np.int64]:
    return np.frombuffer(ffi.buffer(buffer, count * 8), np.int64).copy()
