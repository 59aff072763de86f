"""Publish, and know what was delivered: outcomes to their topics, deliveries to the watermarks."""

import logging
from collections import deque
from collections.abc import Callable
from ctypes import string_at
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.clock import Instant
from pipeline.decode import Reject
from pipeline.delivery_time import DeliveryTime
from pipeline.errors import RefusedError, UndeliverableError
from pipeline.in_flight import InFlight
from pipeline.intake import Rejected
from pipeline.kafka.headed import RowHeaders
from pipeline.kafka.librdkafka import OF_THE_RECORD, error_text
from pipeline.kafka.producer import ANY_PARTITION, LaneProducer
from pipeline.rows import Outcome, Rows
from pipeline.wire.dead_letter import DeadRecord, headers_of
from pipeline.wire.decision import DecisionEncoder

OnEncoded = Callable[[Rows, NDArray[Any], int, int], None]
log = logging.getLogger(__name__)
DEAD_LETTER_BIT = 1 << 40
"""Set in the opaque of a dead letter, so that its failure is told from a decision's."""
NO_OPAQUE = 0


@dataclass(frozen=True)
class OutletTopics:
    """Where outcomes go."""

    decisions: str
    decisions_partitions: int
    dead_letters: str
    headers: RowHeaders | None = None
    """Those that decisions are given."""


class Publisher(Protocol):
    """What the engine asks of an outlet, whatever it guarantees."""

    on_bury: Callable[[int], None]
    """Called with the slot of a decision that can never be delivered, before its outcome is that of a dead letter."""
    on_encoded: OnEncoded
    """Called with the rows, a batch's messages, and the time as monotonic ns and wall ms; whole until it returns."""

    @property
    def delivery_time(self) -> DeliveryTime:
        """How long outcomes take to be delivered, learned."""
        ...

    def counts(self) -> dict[str, int]:
        """Running totals for the metrics."""
        ...

    def blocked(self) -> bool:
        """Whether nothing new may be read: what is decided finds no room."""
        ...

    def retry(self) -> None:
        """Offer again what found no room."""
        ...

    def publish(self, slots: NDArray[np.int32], now: Instant) -> None:
        """These rows are decided."""
        ...

    def dead_letters(self, rejected: list[Rejected], now: Instant) -> None:
        """These records could not become events."""
        ...

    def state_dead_letters(self, records: list[DeadRecord]) -> None:
        """The same for records of state lanes."""
        ...

    def settle(self, now: Instant) -> NDArray[np.int64]:
        """The slots whose outcome is delivered for good since the last call; their rows are settled."""
        ...

    def drop_abandoned(self) -> None:
        """Forget what was not handed over for partitions that were given up."""
        ...


class Outlet:
    """Encodes outcomes once and hands them to the producer; settles rows when delivery is reported."""

    def __init__(
        self,
        producer: LaneProducer,
        encoder: DecisionEncoder,
        rows: Rows,
        in_flight: InFlight,
        topics: OutletTopics,
        input_topic: str,
        delivery_time: DeliveryTime,
    ) -> None:
        self._producer = producer
        self._encoder = encoder
        self._rows = rows
        self._in_flight = in_flight
        self._topics = topics
        self._input_topic = input_topic
        self._unsent: deque[tuple[NDArray[Any], NDArray[np.uint8]]] = deque()
        self._unsent_dead: deque[tuple[DeadRecord, int]] = deque()
        self.delivery_time = delivery_time
        self.on_bury: Callable[[int], None] = lambda slot: None
        self.on_encoded: OnEncoded = lambda rows, messages, now_ns, now_ms: None
        self.buried = 0

    def counts(self) -> dict[str, int]:
        """Running totals for the metrics."""
        return {"undeliverable": self.buried}

    def blocked(self) -> bool:
        """Whether the producer's queue is full: nothing new is read until it is not."""
        return bool(self._unsent or self._unsent_dead)

    def publish(self, slots: NDArray[np.int32], now: Instant) -> None:
        """Hand these rows' decisions over. The bytes are made once; what the producer cannot take yet waits."""
        if not len(slots):
            return
        self._rows.handed_ns[slots] = now.mono_ns
        messages = self._encoder.encode(
            self._rows,
            slots,
            now_ns=now.mono_ns,
            now_ms=now.wall_ms,
            delivery_ns=self.delivery_time.learned.promised_ns,
            partitions=self._topics.decisions_partitions,
        )
        self.on_encoded(self._rows, messages, now.mono_ns, now.wall_ms)
        self._send(messages)

    def _send(self, messages: NDArray[Any]) -> None:
        errors = self._producer.produce_batch(self._topics.decisions, messages, self._topics.headers)
        if errors is None:
            return
        full = errors == self._producer.QUEUE_FULL
        for index in np.flatnonzero((errors != 0) & ~full):
            self._bury(int(messages["_private"][index]) - 1, int(errors[index]))
        if full.any():
            self._unsent.append(_detached(messages[full]))

    def retry(self) -> None:
        """Offer again what the producer's queue had no room for, the same bytes."""
        for _ in range(len(self._unsent)):
            messages, _owner = self._unsent.popleft()
            self._send(messages)
        for _ in range(len(self._unsent_dead)):
            self._produce_dead(*self._unsent_dead.popleft())

    def drop_abandoned(self) -> None:
        """Forget what waits to be handed over for partitions that were given up; its rows are settled.

        Dead letters of state inputs belong to no assignment and stay.
        """
        unsent, self._unsent = self._unsent, deque()
        for messages, owner in unsent:
            kept = self._living(messages["_private"] - 1)
            if kept.any():
                self._unsent.append((messages[kept], owner))
        dead, self._unsent_dead = self._unsent_dead, deque()
        for record, opaque in dead:
            if opaque == NO_OPAQUE or self._living(np.array([slot_of(opaque)]))[0]:
                self._unsent_dead.append((record, opaque))

    def _living(self, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the slots may still be handed over; the others, whose partition was given up, are settled."""
        living = self._in_flight.living(slots.astype(np.int32))
        return np.isin(slots, living)

    def dead_letters(self, rejected: list[Rejected], now: Instant) -> None:
        """Publish records that could not become events, with key, value and headers as they came."""
        for item in rejected:
            self._rows.outcome[item.slot] = Outcome.DEAD_LETTER
            self._rows.handed_ns[item.slot] = now.mono_ns
            record = DeadRecord.at(item.pointer, item.reject, self._input_topic)
            self._produce_dead(record, DEAD_LETTER_BIT | (item.slot + 1))

    def state_dead_letters(self, records: list[DeadRecord]) -> None:
        """The same for records of state lanes, whose offsets are not committed."""
        for record in records:
            self._produce_dead(record, NO_OPAQUE)

    def _produce_dead(self, record: DeadRecord, opaque: int) -> None:
        code = self._producer.produce(
            self._topics.dead_letters, ANY_PARTITION, record.key, record.value, headers_of(record), opaque
        )
        if code == self._producer.QUEUE_FULL:
            self._unsent_dead.append((record, opaque))
        elif code:
            raise UndeliverableError(record.topic, record.partition, record.offset, error_text(code))

    def _bury(self, slot: int, code: int) -> None:
        """A decision that can never be delivered becomes a dead letter that says so.

        Raises RefusedError where it is the topic that takes nothing: another time it may.
        """
        if code not in OF_THE_RECORD:
            raise RefusedError(self._topics.decisions, error_text(code))
        self.on_bury(slot)
        self._rows.outcome[slot] = Outcome.DEAD_LETTER
        self.buried += 1
        reject = Reject(0, "undeliverable", f"its decision could not be delivered: {error_text(code)}")
        pointer = self._in_flight.pointer_of(slot)
        self._produce_dead(DeadRecord.at(pointer, reject, self._input_topic), DEAD_LETTER_BIT | (slot + 1))

    def _failed(self, opaque: int, code: int) -> None:
        if opaque == NO_OPAQUE:
            log.error("a dead letter of a state input could not be delivered: %s", error_text(code))
            return
        slot = slot_of(opaque)
        if not self._living(np.array([slot]))[0]:
            return  # its next owner decides it again
        if opaque & DEAD_LETTER_BIT:
            partition, offset = int(self._rows.partition[slot]), int(self._rows.offset[slot])
            raise UndeliverableError(self._input_topic, partition, offset, error_text(code))
        self._bury(slot, code)

    def settle(self, now: Instant) -> NDArray[np.int64]:
        """Take in delivery reports, offer again what waits; returns the slots whose outcome the broker has."""
        reports = self._producer.deliveries()
        if self.blocked():
            self.retry()
        count = len(reports.opaque)
        if not count:
            return reports.opaque
        failed = np.flatnonzero(reports.error)
        for index in failed:
            self._failed(int(reports.opaque[index]), int(reports.error[index]))
        good = reports.opaque[reports.error == 0] if len(failed) else reports.opaque
        good = good[good != NO_OPAQUE]
        slots: NDArray[np.int64] = (good & (DEAD_LETTER_BIT - 1)) - 1
        if len(slots):
            decided = slots[good < DEAD_LETTER_BIT]
            self.delivery_time.observe(decided, self._rows.dispatch_ns, self._rows.score_ns, now.mono_ns)
            self._in_flight.settle(slots)
        return slots


def slot_of(opaque: int) -> int:
    """The slot that a decision's or a dead letter's opaque stands for."""
    return (opaque & (DEAD_LETTER_BIT - 1)) - 1


def _detached(messages: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Messages whose payloads no longer lie in the encoder's buffer, and the buffer they lie in."""
    total = int(messages["len"].sum())
    owner = np.empty(total, np.uint8)
    moved, at = messages.copy(), 0
    for index in range(len(moved)):
        length = int(moved["len"][index])
        target = owner[at : at + length]
        target[:] = np.frombuffer(string_at(int(moved["payload"][index]), length), np.uint8)
        moved["payload"][index] = target.ctypes.data
        at += length
    return moved, owner
