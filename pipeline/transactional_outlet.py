"""Publish in transactions: outcomes go with the offsets below which they are all there is."""

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clock import Instant
from pipeline.decode import Reject
from pipeline.delivery_time import DeliveryTime
from pipeline.errors import RefusedError, UndeliverableError
from pipeline.hand_over import HandOver
from pipeline.in_flight import Chunk, InFlight
from pipeline.intake import Rejected
from pipeline.kafka.librdkafka import ERR_FATAL, ERR_PURGE_QUEUE, ERR_STATE, OF_THE_RECORD, error_text
from pipeline.kafka.producer import ANY_PARTITION
from pipeline.kafka.transactions import TransactionalProducer
from pipeline.outlet import DEAD_LETTER_BIT, OnEncoded, OutletTopics, slot_of
from pipeline.plain_letters import PlainLetters
from pipeline.refusals import NEVER_TAKEN, REFUSALS, guilty
from pipeline.rows import Outcome, Rows
from pipeline.transactions import Ended, Parcel, Transactions
from pipeline.wire.dead_letter import DeadRecord, headers_of
from pipeline.wire.decision import DecisionEncoder, EncodedMemory

POOL_BYTES_MAX = 64 << 20
NOT_IN_A_TRANSACTION = frozenset({ERR_STATE, ERR_FATAL, ERR_PURGE_QUEUE})
"""What the producer says of any message once its transaction cannot be committed."""


class TransactionalOutlet:
    """Encodes outcomes once, hands them over chunk by chunk, settles their rows when they are committed.

    A chunk is handed over when all its rows are decided and all of its partition before it was. What an
    aborted transaction held is handed over again, the same bytes, except for partitions given up meanwhile.
    """

    def __init__(
        self,
        producer: TransactionalProducer,
        transactions: Transactions,
        encoder: DecisionEncoder,
        rows: Rows,
        in_flight: InFlight,
        topics: OutletTopics,
        input_topic: str,
        delivery_time: DeliveryTime,
        letters: PlainLetters,
    ) -> None:
        self._producer = producer
        self._transactions = transactions
        self._encoder = encoder
        self._rows = rows
        self._in_flight = in_flight
        self._topics = topics
        self._input_topic = input_topic
        self._letters = letters
        self._hand_over: HandOver[Chunk] = HandOver(self._decided)
        in_flight.on_open = self._hand_over.opened
        self._dead: dict[int, DeadRecord] = {}
        self._again: deque[Parcel] = deque()
        self._unsent: deque[tuple[Parcel, NDArray[Any]]] = deque()
        self._unsent_dead: deque[tuple[DeadRecord, int]] = deque()
        self._refused: dict[int, int] = {}
        self._settled: list[NDArray[np.int64]] = []
        self._pool: list[EncodedMemory] = []
        self.delivery_time = delivery_time
        self.on_bury: Callable[[int], None] = lambda slot: None
        self.on_encoded: OnEncoded = lambda rows, messages, now_ns, now_ms: None
        self.buried = 0

    def _decided(self, chunk: Chunk) -> bool:
        return bool(self._rows.outcome[chunk.first : chunk.first + chunk.rows].all())  # PENDING is 0

    def counts(self) -> dict[str, int]:
        """Running totals for the metrics."""
        done = self._transactions
        return {
            "undeliverable": self.buried,
            "transactions": done.commits,
            "aborted": done.aborts,
            "commit_us": done.commit_ns // 1000,
        }

    def blocked(self) -> bool:
        """Whether a producer's queue is full: nothing new is read until it is not."""
        return self.unsent or self._letters.blocked()

    @property
    def unsent(self) -> bool:
        """Whether some of what the transaction holds is not the producer's yet."""
        return bool(self._unsent or self._unsent_dead)

    def publish(self, slots: NDArray[np.int32], now: Instant) -> None:
        """These rows are decided. They are handed over by `settle`, when their whole chunk is."""

    def dead_letters(self, rejected: list[Rejected], _now: Instant) -> None:
        """Records that could not become events; they go with their chunk, as they came."""
        for item in rejected:
            self._rows.outcome[item.slot] = Outcome.DEAD_LETTER
            self._dead[item.slot] = DeadRecord.at(item.pointer, item.reject, self._input_topic)

    def state_dead_letters(self, records: list[DeadRecord]) -> None:
        """The same for records of state lanes: their offsets are not committed, they belong to no transaction."""
        self._letters.publish(records)

    def settle(self, now: Instant) -> NDArray[np.int64]:
        """Take in what was committed or aborted, hand over what may be; returns the slots that were committed."""
        self.take_reports()
        self.take_end(now)
        self._letters.serve()
        if not self._transactions.busy and self._transactions.spoilt is None:
            self._fill(now)
        if not self._settled:
            return np.empty(0, np.int64)
        slots = np.concatenate(self._settled)
        self._settled = []
        return slots

    def _fill(self, now: Instant) -> None:
        self.retry()
        while self._again and not self.unsent:
            self._send(self._again.popleft())
        if not self.unsent and (chunks := self._hand_over.ready()):
            self._send(self._parcel(chunks, now))

    def _parcel(self, chunks: list[Chunk], now: Instant) -> Parcel:
        """Encode the outcomes of whole chunks, once."""
        slots = np.concatenate([np.arange(c.first, c.first + c.rows, dtype=np.int32) for c in chunks])
        self._rows.handed_ns[slots] = now.mono_ns
        dead = self._rows.outcome[slots] == Outcome.DEAD_LETTER
        memory = self._pool.pop() if self._pool else EncodedMemory()
        messages = self._encoder.encode(
            self._rows,
            slots[~dead],
            now_ns=now.mono_ns,
            now_ms=now.wall_ms,
            delivery_ns=self.delivery_time.learned.promised_ns,
            partitions=self._topics.decisions_partitions,
            memory=memory,
        )
        self.on_encoded(self._rows, messages, now.mono_ns, now.wall_ms)
        return Parcel(chunks, messages, [(self._dead.pop(slot), slot) for slot in slots[dead].tolist()], memory)

    def _send(self, parcel: Parcel) -> None:
        self._transactions.add(parcel)
        self._unsent_dead.extend(parcel.dead)
        self._unsent.append((parcel, parcel.messages))
        self.retry()

    def retry(self) -> None:
        """Offer what the producer has not taken yet."""
        while self._unsent and self._transactions.spoilt is None:
            parcel, messages = self._unsent.popleft()
            if (full := self._offer(parcel, messages)) is not None:
                self._unsent.appendleft((parcel, full))
                break
        while self._unsent_dead and self._transactions.spoilt is None:
            record, slot = self._unsent_dead[0]
            if not self._offer_dead(record, slot):
                break
            self._unsent_dead.popleft()
        self._letters.retry()

    def _offer(self, parcel: Parcel, messages: NDArray[Any]) -> NDArray[Any] | None:
        """Produce decisions; returns those that found no room. What can never be taken becomes a dead letter."""
        errors = self._producer.produce_batch(self._topics.decisions, messages, self._topics.headers)
        if errors is None:
            return None
        full = errors == self._producer.QUEUE_FULL
        for index in np.flatnonzero((errors != 0) & ~full):
            code = int(errors[index])
            if code in NOT_IN_A_TRANSACTION:
                self._transactions.spoil(error_text(code))
                break
            self._unsent_dead.append(self._bury(parcel, int(messages["_private"][index]) - 1, code))
        return messages[full].copy() if full.any() else None

    def _offer_dead(self, record: DeadRecord, slot: int) -> bool:
        code = self._producer.produce(
            self._topics.dead_letters,
            ANY_PARTITION,
            record.key,
            record.value,
            headers_of(record),
            DEAD_LETTER_BIT | (slot + 1),
        )
        if code in NOT_IN_A_TRANSACTION:
            self._transactions.spoil(error_text(code))
        elif code and code != self._producer.QUEUE_FULL:
            raise UndeliverableError(record.topic, record.partition, record.offset, error_text(code))
        return code == 0

    def _bury(self, parcel: Parcel, slot: int, code: int) -> tuple[DeadRecord, int]:
        """A decision that can never be delivered becomes a dead letter that says so.

        Raises RefusedError where it is the topic that takes nothing: another time it may.
        """
        if code not in OF_THE_RECORD:
            raise RefusedError(self._topics.decisions, error_text(code))
        self.on_bury(slot)
        self._rows.outcome[slot] = Outcome.DEAD_LETTER
        self.buried += 1
        reject = Reject(0, "undeliverable", f"its decision could not be delivered: {error_text(code)}")
        letter = DeadRecord.at(self._in_flight.pointer_of(slot), reject, self._input_topic), slot
        parcel.dead.append(letter)
        return letter

    def take_reports(self) -> None:
        """Take in what failed: its transaction can only be aborted."""
        reports = self._producer.deliveries()
        for opaque, code in zip(reports.opaque.tolist(), reports.error.tolist(), strict=True):
            if code:
                self._transactions.spoil(error_text(code))
                if code in REFUSALS:
                    self._refused[opaque] = code

    def take_end(self, now: Instant) -> None:
        """Take in how the transaction ended, if it has. Raises FencedError and what else ends the process."""
        ended = self._transactions.ended()
        if ended is None:
            return
        self.take_reports()  # of messages that an abort took back
        self._transactions.spoilt = None
        if ended.error is None:
            self._committed(ended, now)
        else:
            if ended.code in NEVER_TAKEN:
                raise RefusedError(self._topics.decisions, ended.error)
            self._aborted(ended)

    def _committed(self, ended: Ended, now: Instant) -> None:
        rows = self._rows
        for parcel in ended.parcels:
            self.delivery_time.observe(parcel.slots, rows.dispatch_ns, rows.score_ns, now.mono_ns)
            for chunk in parcel.chunks:
                self._in_flight.settle_chunk(chunk)
                self._settled.append(np.arange(chunk.first, chunk.first + chunk.rows))
            self._take_back(parcel.memory)

    def _aborted(self, ended: Ended) -> None:
        self._unsent.clear()
        self._unsent_dead.clear()
        refused, self._refused = self._refused, {}
        living = {slot_of(opaque): code for opaque, code in refused.items() if self._may_end(opaque, code)}
        length_of = {
            slot: length
            for parcel in (ended.parcels if living else [])
            for slot, length in zip(parcel.slots.tolist(), parcel.messages["len"].tolist(), strict=True)
        }
        buried = guilty(living, length_of)
        for parcel in ended.parcels if buried else []:
            for slot in parcel.slots[np.isin(parcel.slots, list(buried))].tolist():
                self._bury(parcel, slot, buried[slot])
        self._again.extendleft(reversed(ended.parcels))
        self.drop_abandoned()

    def _may_end(self, opaque: int, code: int) -> bool:
        """Whether a refused outcome is still ours to end. Raises UndeliverableError when it was a dead letter."""
        slot = slot_of(opaque)
        if self._in_flight.abandoned_slot(slot):
            return False
        if opaque & DEAD_LETTER_BIT:
            partition, offset = int(self._rows.partition[slot]), int(self._rows.offset[slot])
            raise UndeliverableError(self._input_topic, partition, offset, error_text(code))
        return True

    def drop_abandoned(self) -> None:
        """Forget the outcomes of partitions that were given up, and settle their rows; the undecided settle later."""
        for chunk in self._hand_over.drop(self._in_flight.abandoned):
            slots = np.arange(chunk.first, chunk.first + chunk.rows)
            self._in_flight.settle(slots[self._rows.outcome[slots] != Outcome.PENDING])
            for slot in slots[self._rows.outcome[slots] == Outcome.DEAD_LETTER].tolist():
                self._dead.pop(slot, None)
        again, self._again = self._again, deque()
        for parcel in again:
            if (left := self._living(parcel)) is not None:
                self._again.append(left)

    def _living(self, parcel: Parcel) -> Parcel | None:
        """What is left of a parcel whose transaction was aborted; None when nothing is."""
        gone = [chunk for chunk in parcel.chunks if self._in_flight.abandoned(chunk)]
        for chunk in gone:
            self._in_flight.settle_chunk(chunk)
        left = parcel.without(gone, self._rows.outcome)
        if left is None:
            self._take_back(parcel.memory)
        return left

    def _take_back(self, memory: EncodedMemory) -> None:
        """Memory is written again when what it held is committed; more than a bound is given back."""
        if sum(len(kept.payloads) for kept in self._pool) + len(memory.payloads) <= POOL_BYTES_MAX:
            self._pool.append(memory)
