"""The transactional calls of a producer: what they answer, as return values and three kinds of error."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.errors import FencedError
from pipeline.kafka.consumer import TopicPartition, list_of
from pipeline.kafka.librdkafka import (
    ERR_FENCED,
    ERR_INVALID_PRODUCER_EPOCH,
    ERR_PRODUCER_FENCED,
    ERR_TIMED_OUT,
    ERROR_TEXT_BYTES,
    KafkaError,
    error_text,
    ffi,
    lib,
)
from pipeline.kafka.producer import DEFAULTS, LaneProducer
from pipeline.kafka.wake import Wake

TRANSACTIONAL_DEFAULTS = {
    **{name: value for name, value in DEFAULTS.items() if name != "message.timeout.ms"},
    "retry.backoff.ms": "1",
    "delivery.report.only.error": "true",
}
"""A transaction's first request often comes while the one before is still being written: with librdkafka's own 100 ms
of patience each commit takes as long. That all is delivered the commit says, so only failures are reported."""
CALL_MS_MAX = 1_000
"""How long one call may block; it is made again for as long as librdkafka says that this helps."""
_FENCED = frozenset({ERR_FENCED, ERR_PRODUCER_FENCED, ERR_INVALID_PRODUCER_EPOCH})


class AbortNeededError(Exception):
    """The open transaction cannot be committed; once it is aborted, a next one can. `code` is the first error's."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(text)


class TransactionalProducer(LaneProducer):
    """A producer whose messages are seen when their transaction commits, or never.

    One transaction at a time: `begin`, produce, then `commit` or `abort`. These two block and may be called from
    another thread, while the first one goes on taking `deliveries`. All raise FencedError when another
    process has taken the transactional id.
    """

    def __init__(self, settings: Mapping[str, str], transactional_id: str, wake: Wake | None = None) -> None:
        super().__init__({**settings, "transactional.id": transactional_id}, wake, TRANSACTIONAL_DEFAULTS)
        self.transactional_id = transactional_id
        self._closing = threading.Event()

    def take_over(self, timeout_ms: int) -> None:
        """End what an earlier process of this id left open, and fence that process. Once, before anything else.

        Raises KafkaError naming the address when the cluster does not serve within the time.
        """
        try:
            self._call(
                lambda: lib.rd_kafka_init_transactions(self._handle, timeout_ms), "begin transactions", once=True
            )
        except KafkaError as error:
            text = f"transactional.id {self.transactional_id!r} at {self._address}: {error}"
            raise KafkaError(error.code, text) from None

    def begin(self) -> None:
        """Begin a transaction; what is produced from now on belongs to it."""
        self._call(lambda: lib.rd_kafka_begin_transaction(self._handle), "begin a transaction")

    def commit(self, offsets: Mapping[TopicPartition, int], group: Any) -> None:
        """Commit what was produced and the offsets together. Blocks until all is written, however long.

        `group` is the consumer's metadata: offsets of a member or a generation that the group has replaced are
        refused. Raises AbortNeededError when it cannot be committed.
        """
        listed = list_of(offsets)
        self._call(
            lambda: lib.rd_kafka_send_offsets_to_transaction(self._handle, listed, group, CALL_MS_MAX), "send offsets"
        )
        self._call(lambda: lib.rd_kafka_commit_transaction(self._handle, CALL_MS_MAX), "commit a transaction")

    def trouble(self) -> AbortNeededError | None:
        """Why the open transaction cannot be committed, by librdkafka's word; None when it knows of nothing."""
        try:
            self.begin()  # refused either way, since one is open: with its error where it has one
        except AbortNeededError as error:
            return error
        except KafkaError:
            return None
        return None

    def abort(self) -> None:
        """Take back what was produced. Blocks until the cluster has it, however long."""
        self._call(lambda: lib.rd_kafka_abort_transaction(self._handle, CALL_MS_MAX), "abort a transaction")

    def _call(self, call: Callable[[], Any], doing: str, *, once: bool = False) -> None:
        """Make a call, again while librdkafka says that this helps and nobody closes us."""
        while (error := call()) != ffi.NULL:
            code = lib.rd_kafka_error_code(error)
            text = f"{doing}: {ffi.string(lib.rd_kafka_error_string(error)).decode(errors='replace')}"
            fatal, abort = lib.rd_kafka_error_is_fatal(error), lib.rd_kafka_error_txn_requires_abort(error)
            again = lib.rd_kafka_error_is_retriable(error)
            lib.rd_kafka_error_destroy(error)
            if fatal:
                raise self.fatal(code, text)
            if abort:
                raise AbortNeededError(code, text)
            if not again or once:
                raise KafkaError(code, text)
            if self._closing.wait(0.01):
                raise KafkaError(ERR_TIMED_OUT, text)

    def fatal(self, code: int, text: str) -> Exception:
        """The error that stands behind librdkafka's word that this producer cannot go on."""
        buffer = ffi.new("char[]", ERROR_TEXT_BYTES)
        first = lib.rd_kafka_fatal_error(self._handle, buffer, ERROR_TEXT_BYTES) or code
        if first in _FENCED:
            return FencedError(f"transactional.id {self.transactional_id!r}", error_text(first))
        return KafkaError(first, text)

    def hurry(self) -> None:
        """Give up calls that would be made again; a call under way ends within CALL_MS_MAX."""
        self._closing.set()
