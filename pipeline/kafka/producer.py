"""Writing in bulk: a batch of messages in one call, delivery reports by the thousand."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from features.memory import load_i32, load_i64
from pipeline.kafka.client_log import LOG_SETTINGS, pass_on
from pipeline.kafka.headed import RowHeaders
from pipeline.kafka.librdkafka import (
    ERR_QUEUE_FULL,
    EVENT_DR,
    EVENT_ERROR,
    EVENT_LOG,
    NOT_CONNECTED,
    PRODUCER,
    KafkaError,
    check,
    destroy,
    ffi,
    lib,
    new_handle,
)
from pipeline.kafka.messages import MESSAGE
from pipeline.kafka.outage import Outage
from pipeline.kafka.wake import RING, Wake

log = logging.getLogger(__name__)
DEFAULTS = {
    "enable.idempotence": "true",
    "partitioner": "murmur2_random",
    "linger.ms": "2",
    "message.timeout.ms": "0",
    "queue.buffering.max.messages": "500000",
    "queue.buffering.max.kbytes": "1048576",
    "statistics.interval.ms": "0",
}
"""Ours: an outcome is retried until it is delivered, and lands where every other client would put it."""

CLOSE_MS_MAX = 3_000
F_COPY, F_PARTITION = 0x2, 0x8
ANY_PARTITION = -1
PURGE_QUEUE_AND_FLIGHT = 0x3
_VTYPE_END, _VTYPE_TOPIC, _VTYPE_PARTITION, _VTYPE_VALUE = 0, 1, 3, 4
_VTYPE_KEY, _VTYPE_OPAQUE, _VTYPE_MSGFLAGS, _VTYPE_HEADERS = 5, 6, 7, 10
_REPORTS_MAX = 16_384


@kernel("void(int64[::1], int64[::1], int32[::1])")
def _read_reports(pointers: Any, opaque: Any, error: Any) -> None:
    for index in range(len(pointers)):
        error[index] = load_i32(pointers[index])
        opaque[index] = load_i64(pointers[index] + 64)


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Delivery reports: the opaque each message was given, and its error code (0: delivered)."""

    opaque: NDArray[np.int64]
    error: NDArray[np.int32]


class LaneProducer:
    """A producer for arrays of messages. One thread calls everything."""

    def __init__(
        self, settings: Mapping[str, str], wake: Wake | None = None, defaults: Mapping[str, str] = DEFAULTS
    ) -> None:
        merged = {**LOG_SETTINGS, **defaults, **{name: str(value) for name, value in settings.items()}}
        self._address = merged.get("bootstrap.servers", "")
        self._handle = new_handle(PRODUCER, merged, EVENT_DR | EVENT_ERROR | EVENT_LOG)
        self._queue = lib.rd_kafka_queue_get_main(self._handle)
        lib.rd_kafka_set_log_queue(self._handle, ffi.NULL)
        self._wake = wake
        if wake is not None:
            lib.rd_kafka_queue_io_event_enable(self._queue, wake.write_fd, RING, len(RING))
        self._topics: dict[str, Any] = {}
        self._reports = ffi.new("rd_kafka_message_t *[]", _REPORTS_MAX)
        self._opaques: list[NDArray[np.int64]] = []
        self._errors: list[NDArray[np.int32]] = []
        self._outage = Outage(self._address)
        self.errors = 0
        """What librdkafka reported of connections and the cluster; a message that failed is a report of its own."""
        self._closed = False

    @property
    def unreachable(self) -> bool:
        """Whether the last thing known is that no connection can be had; a delivery ends it."""
        return self._outage.told

    def partition_count(self, topic: str, timeout_ms: int) -> int:
        """How many partitions a topic has, by the broker's word.

        Ask before the first `produce_batch`: a message to a partition not yet known can get lost. Raises
        KafkaError naming the topic, or the address when no broker answers.
        """
        found = ffi.new("const rd_kafka_metadata_t **")
        code = lib.rd_kafka_metadata(self._handle, 0, self._topic(topic), found, timeout_ms)
        if code:
            raise KafkaError(code, f"no answer from the broker at {self._address} within {timeout_ms} ms")
        try:
            described = found[0].topics[0]
            check(described.err, f"topic {topic!r} at {self._address}")
            return int(described.partition_cnt)
        finally:
            lib.rd_kafka_metadata_destroy(found[0])

    def _topic(self, topic: str) -> Any:
        if topic not in self._topics:
            handle = lib.rd_kafka_topic_new(self._handle, topic.encode(), ffi.NULL)
            if handle == ffi.NULL:
                raise KafkaError(lib.rd_kafka_last_error(), f"topic {topic!r}")
            self._topics[topic] = handle
        return self._topics[topic]

    def produce_batch(
        self, topic: str, messages: NDArray[Any], headers: RowHeaders | None = None
    ) -> NDArray[np.int32] | None:
        """Hand over messages (dtype MESSAGE, each with its partition); their bytes are copied, `headers` with them.

        Returns None when all were accepted, else an error code a message (0: accepted); QUEUE_FULL is worth
        another try later. Each accepted one is reported by `deliveries` with its `_private`.
        """
        count = len(messages)
        if not count:
            return None
        messages = np.ascontiguousarray(messages, MESSAGE)
        if headers is not None and headers.any_of(messages):
            accepted = headers.produce(self._handle, self._topic(topic), messages)
            return None if accepted == count else messages["err"].astype(np.int32)
        first = ffi.cast("rd_kafka_message_t *", messages.ctypes.data)
        accepted = lib.rd_kafka_produce_batch(self._topic(topic), ANY_PARTITION, F_COPY | F_PARTITION, first, count)
        return None if accepted == count else messages["err"].astype(np.int32)

    QUEUE_FULL = ERR_QUEUE_FULL

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
        opaque: int,
    ) -> int:
        """Hand over one message with headers; returns 0 or an error code, QUEUE_FULL being worth another try.

        `partition` may be ANY_PARTITION: the key decides, as in every other client.
        """
        made = lib.rd_kafka_headers_new(len(headers))
        for name, content in headers:
            data = ffi.NULL if content is None else content
            lib.rd_kafka_header_add(made, name.encode(), -1, data, 0 if content is None else len(content))
        integer = ffi.typeof("int")
        code = lib.rd_kafka_producev(
            self._handle,
            ffi.cast(integer, _VTYPE_TOPIC),
            ffi.new("char[]", topic.encode()),
            ffi.cast(integer, _VTYPE_PARTITION),
            ffi.cast("int32_t", partition),
            ffi.cast(integer, _VTYPE_MSGFLAGS),
            ffi.cast(integer, F_COPY),
            ffi.cast(integer, _VTYPE_KEY),
            *_bytes(key),
            ffi.cast(integer, _VTYPE_VALUE),
            *_bytes(value),
            ffi.cast(integer, _VTYPE_OPAQUE),
            ffi.cast("void *", opaque),
            ffi.cast(integer, _VTYPE_HEADERS),
            made,
            ffi.cast(integer, _VTYPE_END),
        )
        if code:
            lib.rd_kafka_headers_destroy(made)
        return int(code)

    def deliveries(self) -> Deliveries:
        """All reports that are there, without waiting."""
        while (event := lib.rd_kafka_queue_poll(self._queue, 0)) != ffi.NULL:
            self._take(event)
        if not self._opaques:
            return _NO_DELIVERIES
        taken = Deliveries(np.concatenate(self._opaques), np.concatenate(self._errors))
        self._opaques, self._errors = [], []
        return taken

    def _take(self, event: Any) -> None:
        kind = lib.rd_kafka_event_type(event)
        try:
            if kind == EVENT_DR:
                self._take_reports(event)
            elif kind == EVENT_ERROR:
                self._report_error(event)
            elif kind == EVENT_LOG:
                pass_on(event)
        finally:
            lib.rd_kafka_event_destroy(event)

    def _take_reports(self, event: Any) -> None:
        while count := lib.rd_kafka_event_message_array(event, self._reports, _REPORTS_MAX):
            pointers = np.frombuffer(ffi.buffer(self._reports, count * 8), np.int64)
            opaque, error = np.empty(count, np.int64), np.empty(count, np.int32)
            _read_reports(pointers, opaque, error)
            self._opaques.append(opaque)
            self._errors.append(error)
            if self._outage.told and not error.all() and (back := self._outage.reached(time.monotonic_ns())):
                log.warning("producer: %s", back)

    def _report_error(self, event: Any) -> None:
        code = lib.rd_kafka_event_error(event)
        text = ffi.string(lib.rd_kafka_event_error_string(event)).decode(errors="replace")
        self.errors += 1
        if lib.rd_kafka_event_error_is_fatal(event):
            raise self.fatal(code, f"the producer cannot go on: {text}")
        said = self._outage.failed(text, time.monotonic_ns()) if code in NOT_CONNECTED else text
        if said is not None:
            log.warning("producer: %s", said)

    def fatal(self, code: int, text: str) -> Exception:
        """What to raise when librdkafka says that this producer cannot go on."""
        return KafkaError(code, text)

    def queued(self) -> int:
        """Messages not yet reported, and events not yet taken."""
        return int(lib.rd_kafka_outq_len(self._handle))

    def flush(self, timeout_ms: int) -> bool:
        """Send all and collect the reports (for `deliveries`); True when nothing is left."""
        until_s = time.monotonic() + timeout_ms / 1000
        while self.queued() and time.monotonic() < until_s:
            lib.rd_kafka_flush(self._handle, 0)
            event = lib.rd_kafka_queue_poll(self._queue, 20)
            if event != ffi.NULL:
                self._take(event)
        return self.queued() == 0

    def close(self) -> None:
        """Free everything, within CLOSE_MS_MAX; what was not delivered is given up. Flush first."""
        if self._closed:
            return
        self._closed = True
        lib.rd_kafka_purge(self._handle, PURGE_QUEUE_AND_FLIGHT)
        self.deliveries()
        lib.rd_kafka_queue_io_event_enable(self._queue, -1, ffi.NULL, 0)
        lib.rd_kafka_queue_destroy(self._queue)
        for topic in self._topics.values():
            lib.rd_kafka_topic_destroy(topic)
        destroy(self._handle, 0, CLOSE_MS_MAX)


def _bytes(content: bytes | None) -> tuple[Any, Any]:
    if content is None:
        return ffi.cast("void *", 0), ffi.cast("size_t", 0)
    return ffi.new("char[]", content), ffi.cast("size_t", len(content))


_NO_DELIVERIES = Deliveries(np.empty(0, np.int64), np.empty(0, np.int32))
