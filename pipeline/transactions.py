"""The process's transactions, one at a time: what each holds, and how it ended."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.courier import Courier
from pipeline.errors import FencedError
from pipeline.in_flight import Chunk
from pipeline.kafka.librdkafka import KafkaError
from pipeline.kafka.transactions import AbortNeededError, TransactionalProducer
from pipeline.rows import Outcome
from pipeline.telemetry.spell import Spell
from pipeline.wire.dead_letter import DeadRecord
from pipeline.wire.decision import EncodedMemory

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Parcel:
    """Outcomes that were handed over together: whole chunks, encoded once.

    The messages point into `memory`; `dead` are the dead letters with their slots.
    """

    chunks: list[Chunk]
    messages: NDArray[Any]
    dead: list[tuple[DeadRecord, int]]
    memory: EncodedMemory

    @property
    def slots(self) -> NDArray[np.int64]:
        """The slots of the decisions, in the order of `messages`."""
        slots: NDArray[np.int64] = self.messages["_private"] - 1
        return slots

    def without(self, gone: list[Chunk], outcome: NDArray[np.int8]) -> "Parcel | None":
        """What is left to publish without these chunks, the same bytes; None when nothing is.

        A decision that became a dead letter meanwhile, by `outcome[slot]`, is among the dead letters only.
        """
        chunks = [chunk for chunk in self.chunks if chunk not in gone]
        if not chunks:
            return None
        slots = self.slots
        kept = outcome[slots] != Outcome.DEAD_LETTER
        for chunk in gone:
            kept &= (slots < chunk.first) | (slots >= chunk.first + chunk.rows)
        dead = [
            (record, slot)
            for record, slot in self.dead
            if not any(chunk.first <= slot < chunk.first + chunk.rows for chunk in gone)
        ]
        return Parcel(chunks, self.messages[kept], dead, self.memory)


@dataclass(frozen=True, slots=True)
class Ended:
    """A transaction that was committed, or aborted because of `error`, whose code is 0 where only we know it."""

    parcels: list[Parcel]
    offsets: Mapping[Any, int]
    error: str | None
    code: int
    took_ns: int


class Transactions:
    """Begins a transaction with the first parcel, and has it ended on the courier's thread.

    `committed` are the offsets that the cluster has confirmed.
    """

    def __init__(self, producer: TransactionalProducer, courier: Courier[Ended]) -> None:
        self._producer = producer
        self._courier = courier
        self._trouble = Spell()
        self._parcels: list[Parcel] = []
        self.committed: dict[Any, int] = {}
        self.rows = 0
        self.spoilt: str | None = None
        self.commits = self.aborts = self.commit_ns = 0

    @property
    def busy(self) -> bool:
        """Whether one is being ended: nothing can be handed over meanwhile."""
        return self._courier.busy

    def add(self, parcel: Parcel) -> None:
        """What is produced next is this parcel's."""
        if not self._parcels:
            self._producer.begin()
        self._parcels.append(parcel)
        self.rows += sum(chunk.rows for chunk in parcel.chunks)

    def holds(self, partitions: frozenset[Any]) -> bool:
        """Whether outcomes of one of these partitions are in it."""
        return any(chunk.partition in partitions for parcel in self._parcels for chunk in parcel.chunks)

    def spoil(self, why: str) -> None:
        """It can only be aborted."""
        self.spoilt = self.spoilt or why

    def offsets(self) -> dict[Any, int]:
        """Where the next read of each of its partitions begins: all below it was handed over."""
        return {chunk.partition: chunk.span.next_offset for parcel in self._parcels for chunk in parcel.chunks}

    def commit(self, group: Any) -> None:
        """Begin to commit it, with the offsets that go with it."""
        offsets, parcels = self.offsets(), self._take()
        self._courier.start(lambda: self._commit(parcels, offsets, group))

    def abort(self, why: str) -> None:
        """Begin to abort it."""
        parcels = self._take()
        self._courier.start(lambda: self._abort(parcels, why))

    def _take(self) -> list[Parcel]:
        parcels, self._parcels, self.rows = self._parcels, [], 0
        return parcels

    def _commit(self, parcels: list[Parcel], offsets: Mapping[Any, int], group: Any) -> Ended:
        """On the courier's thread."""
        began_ns = time.monotonic_ns()
        try:
            self._producer.commit(offsets, group)
        except AbortNeededError as error:
            return self._abort(parcels, str(error), error.code)
        return Ended(parcels, offsets, None, 0, time.monotonic_ns() - began_ns)

    def _abort(self, parcels: list[Parcel], why: str, code: int = 0) -> Ended:
        began_ns = time.monotonic_ns()
        if code == 0 and (trouble := self._producer.trouble()) is not None:
            why, code = str(trouble), trouble.code
        self._producer.abort()
        return Ended(parcels, {}, why, code, time.monotonic_ns() - began_ns)

    def ended(self) -> Ended | None:
        """The transaction that has ended, once. Raises what ends the process, FencedError above all."""
        ended = self._courier.result()
        if ended is None:
            return None
        self._tell(ended, time.monotonic_ns())
        if ended.error is None:
            self.committed.update(ended.offsets)
            self.commits += 1
            self.commit_ns += ended.took_ns
        else:
            self.aborts += 1
        return ended

    def _tell(self, ended: Ended, now_ns: int) -> None:
        if ended.error is None and (told := self._trouble.over(now_ns)) is not None:
            log.info("transactions are committed again, after %d aborts in %.1f s", told.count, told.lasted_s)
        elif ended.error is not None and (told := self._trouble.happened(now_ns)) is not None:
            text = "transactions are aborted, their outcomes are published again, %d in %.1f s: %s"
            log.warning(text, told.count, told.lasted_s, ended.error)

    def close(self, timeout_s: float) -> bool:
        """Take back what was not committed, end the thread; True when that ended within the time."""
        self._producer.hurry()
        if not self._courier.close(timeout_s):
            return False
        if self._parcels:
            try:
                self._producer.abort()
            except (FencedError, KafkaError, AbortNeededError) as error:
                log.warning("the open transaction is left to its time-out: %s", error)
        return True
