"""Records that only feed state: labels, partitions of other processes, and what came before the first decision.

Global entities (those whose key is not the topic's) need the whole of an input, however partitions move
between processes; so each process reads it here, outside the group, and publishes nothing for it. The same
lanes rebuild the windows of a partition's own entities up to the offset where deciding begins.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.catalog import InputSpec
from features.columns import Columns
from features.state import FeatureState
from pipeline.decoders import decoder_of
from pipeline.kafka.consumer import ConsumerError, Lane, LaneConsumer
from pipeline.kafka.consumer_trouble import ConsumerTrouble
from pipeline.kafka.messages import Messages
from pipeline.recurrence import Rescorer
from pipeline.state.positions import Positions
from pipeline.wire.dead_letter import DeadRecord

GOOD = 0


@dataclass(slots=True)
class _Follow:
    """One partition being read.

    Up to `until` (None: for ever), for local entities too or only global ones; deciding on what depends on it
    waits until `next_offset` has reached `barrier`.
    """

    next_offset: int
    until: int | None
    local: bool
    barrier: int

    def passed(self, offset: int | None) -> bool:
        return offset is not None and self.next_offset >= offset


@dataclass(slots=True)
class StateCounts:
    """What state lanes count: every record read is absorbed or a dead letter."""

    read: int = 0
    absorbed: int = 0
    dead_letter: int = 0
    rebuilt: int = 0
    late: int = 0
    disordered: int = 0


class _Input:
    """Decoding of one input's records into columns of its own."""

    def __init__(self, name: str, spec: InputSpec, rows_max: int, value_bytes_max: int) -> None:
        self.name = name
        self.spec = spec
        self.columns = Columns(spec.schema_, rows_max)
        self.decoder = decoder_of(spec, value_bytes_max)


class StateLanes:
    """The partitions that feed state only, and how far each has been taken.

    `positions` is shared with the deciding lanes: the next offset of each partition that the global entities
    have not taken. An event enters the global state once, whichever lane brought it. With a `rescorer`, events that
    are read again for a partition's own entities are scored again, for what models remember of them.
    """

    def __init__(
        self,
        consumer: LaneConsumer,
        inputs: Mapping[str, InputSpec],
        state: FeatureState,
        positions: Positions,
        rows_max: int,
        value_bytes_max: int,
        deciding: Iterable[Any],
        rescorer: Rescorer | None = None,
    ) -> None:
        self._consumer = consumer
        self._trouble = ConsumerTrouble("consumer of state inputs", consumer.address)
        self._state = state
        self._positions = positions
        self._rows_max = rows_max
        self._inputs = {spec.topic: _Input(name, spec, rows_max, value_bytes_max) for name, spec in inputs.items()}
        self.deciding = tuple(deciding)
        self.rescorer = rescorer
        self._follows: dict[Any, _Follow] = {}
        self._payload = np.zeros((2, rows_max), np.int64)
        self._key_address = np.zeros(rows_max, np.int64)
        self._key_length = np.zeros(rows_max, np.int32)
        self._offset = np.zeros(rows_max, np.int64)
        self._timestamp_ms = np.zeros(rows_max, np.int64)
        self.counts = StateCounts()

    def rebuild(self, starts: Mapping[Any, tuple[int, int]]) -> None:
        """Read partition -> [from, until) for all entities, then stop; `ready` says when it is done."""
        follows = {}
        for partition, (start, until) in starts.items():
            self._state.open_slice(partition.partition)
            if start < until:
                follows[partition] = _Follow(start, until, local=True, barrier=until)
        self._read(follows)

    def catch_up(self, starts: Mapping[Any, tuple[int, int]]) -> None:
        """Read partition -> [from, until) for global entities, then stop; `ready` says when it is done."""
        self._read(
            {
                partition: _Follow(start, until, local=False, barrier=until)
                for partition, (start, until) in starts.items()
                if start < until
            }
        )

    def follow(self, starts: Mapping[Any, tuple[int, int]]) -> None:
        """Read partition -> (from, barrier) for global entities for ever."""
        self._read(
            {at: _Follow(start, None, local=False, barrier=barrier) for at, (start, barrier) in starts.items()}
        )

    def partitions_elsewhere(self, owned: Iterable[Any]) -> list[Any]:
        """Partitions of deciding inputs that are neither owned nor followed yet."""
        known = set(owned) | set(self._follows)
        return [partition for partition in self.deciding if partition not in known]

    def leave(self, partitions: Iterable[Any]) -> None:
        """Stop reading these partitions."""
        left = [partition for partition in partitions if partition in self._follows]
        if left:
            self._consumer.stop_reading(left)
        for partition in left:
            del self._follows[partition]

    def _read(self, follows: Mapping[Any, _Follow]) -> None:
        self.leave(follows)
        self._follows.update(follows)
        if follows:
            self._consumer.also_read({partition: follow.next_offset for partition, follow in follows.items()})

    def ready(self, partition: Any) -> bool:
        """Whether deciding may begin: the partition is rebuilt, and what its features ask for is where it must be.

        Those of global entities ask for what other partitions and the state inputs held when their lanes were opened.
        """
        return partition not in self._follows and all(
            self._whole(other, follow) for other, follow in self._follows.items()
        )

    def _whole(self, partition: Any, follow: _Follow) -> bool:
        if self._inputs[partition.topic].spec.role == "state":
            return follow.passed(follow.barrier)
        return not self.deciding or self._positions.shared_from(partition) >= follow.barrier

    def behind_rows(self) -> int:
        """Offsets still to be read before every barrier is reached."""
        return sum(max(0, follow.barrier - follow.next_offset) for follow in self._follows.values())

    def poll(self) -> tuple[int, list[DeadRecord]]:
        """One turn over all lanes; returns the records read and those that cannot become events.

        Raises KafkaError for what cannot be recovered.
        """
        read, dead, finished = 0, [], []
        for event in self._consumer.control():
            if isinstance(event, ConsumerError):
                self._trouble.heard(event, time.monotonic_ns())
        for partition, follow in list(self._follows.items()):
            lane = self._consumer.lanes.get(partition)
            if lane is None:
                continue
            messages = lane.read(self._rows_max)
            try:
                if messages.count:
                    read += messages.count
                    dead += self._take(lane, follow, messages)
                self._reached(partition, follow, messages.end_offset)
            finally:
                messages.free()
            if follow.passed(follow.until):
                finished.append(partition)
        self.leave(finished)
        if read:
            self._trouble.reached(time.monotonic_ns())
        return read, dead

    def _reached(self, partition: Any, follow: _Follow, offset: int) -> None:
        """Nothing of the partition before the offset is left to take; offsets have gaps, so its end counts too."""
        follow.next_offset = max(follow.next_offset, offset)
        taken = follow.next_offset if follow.until is None else min(follow.next_offset, follow.until)
        self._positions.take_shared(partition, taken)
        if follow.local:
            self._positions.take_local(partition, taken)

    def _take(self, lane: Lane, follow: _Follow, messages: Messages) -> list[DeadRecord]:
        source = self._inputs[lane.topic]
        n = messages.count
        messages.extract(
            0,
            self._payload[0],
            self._payload[1],
            self._key_address,
            self._key_length,
            self._offset,
            self._timestamp_ms,
        )
        wanted = n if follow.until is None else int(np.searchsorted(self._offset[:n], follow.until))
        decoded = source.decoder.decode(
            self._payload[0, :n], self._payload[1, :n], source.columns, 0, n, messages.pointers
        )
        good = np.flatnonzero(decoded.status[:wanted] == GOOD).astype(np.int32)
        self._apply(source, lane, follow, good)
        self._reached(lane.key, follow, messages.next_offset)
        if source.spec.role == "decide":
            self.counts.rebuilt += wanted
            return []
        self.counts.read += n
        self.counts.absorbed += len(good)
        self.counts.dead_letter += len(decoded.rejects)
        return [DeadRecord.copied(messages, reject, lane.topic) for reject in decoded.rejects]

    def _apply(self, source: _Input, lane: Lane, follow: _Follow, good: NDArray[np.int32]) -> None:
        if not len(good):
            return
        again = self.rescorer if follow.local else None
        applied = self._state.apply(
            source.name,
            source.columns,
            good,
            np.full(len(good), lane.partition, np.int32),
            self._offset[good],
            slice_id=lane.partition,
            update_local=follow.local,
            shared_from=self._positions.shared_from(lane.key),
            out64=None if again is None else again.out64,
            out32=None if again is None else again.out32,
        )
        if again is not None:
            again.take(source.columns, good, lane.partition, self._offset[good])
        self.counts.late += applied.late
        self.counts.disordered += applied.disordered
