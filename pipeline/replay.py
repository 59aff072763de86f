"""Replaying topics: all partitions merged by the time events came to be known, up to the ends seen at the start.

No clock and no idle time-out: a lane that has nothing buffered and has not ended is waited for. So features have the
same bits whatever the partitions are and whoever reads faster.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.catalog import InputSpec
from features.columns import Columns
from features.merge import merge_runs, run_bounds
from features.state import FeatureState
from pipeline.batch import Batching
from pipeline.bill.biller import Biller
from pipeline.clock import SystemClock
from pipeline.decode import key_disagreements
from pipeline.decoders import decoder_of
from pipeline.in_flight import InFlight
from pipeline.intake import GOOD, IntakeCounts, Rejected
from pipeline.kafka.consumer import Lane, TopicPartition
from pipeline.kafka.messages import Messages
from pipeline.replay_group import DeadOfState
from pipeline.router import Router
from pipeline.rows import Outcome, Rows
from pipeline.wire.dead_letter import DeadRecord

MERGED = TopicPartition("merged", 0)
NO_DEADLINE_NS = 2**61
_BEFORE_ALL_MS = -(2**62)
ROW_FIELDS = ("offset", "timestamp_ms", "payload_address", "payload_length", "key_address", "key_length")


class _Held:
    """One read's messages, freed when they are used up and nothing in flight points into them."""

    def __init__(self, messages: Messages, keep: list[bytes]) -> None:
        self._messages = messages
        self._keep = keep
        self.users = 1

    def release(self) -> None:
        self.users -= 1
        if self.users == 0:
            self._messages.free()


class _Shared:
    """What a run of merged rows points into: several reads' messages."""

    def __init__(self, held: Sequence[_Held], pointers: NDArray[np.int64]) -> None:
        self._held = held
        self.pointers = pointers
        for one in held:
            one.users += 1

    def free(self) -> None:
        for one in self._held:
            one.release()


class _Source:
    """One partition being replayed, a read at a time, decoded into columns of its own."""

    def __init__(self, name: str, spec: InputSpec, partition: TopicPartition, end: int, rows: int, bytes_max: int):
        self.name = name
        self.spec = spec
        self.partition = partition
        self.end = end
        self.columns = Columns(spec.schema_, rows)
        self.decoder = decoder_of(spec, bytes_max)
        self.payload_address = np.zeros(rows, np.int64)
        self.payload_length = np.zeros(rows, np.int64)
        self.offset = np.zeros(rows, np.int64)
        self.timestamp_ms = np.zeros(rows, np.int64)
        self.key_address = np.zeros(rows, np.int64)
        self.key_length = np.zeros(rows, np.int32)
        self.good = np.zeros(0, np.int32)
        self.pointers = np.zeros(0, np.int64)
        self.held: _Held | None = None

    def take(self, messages: Messages) -> list[Any]:
        """Decode a read; `good` are its events up to the end. Returns the rejects up to the end."""
        n = messages.count
        address, length = self.payload_address, self.payload_length
        messages.extract(0, address, length, self.key_address, self.key_length, self.offset, self.timestamp_ms)
        wanted = int(np.searchsorted(self.offset[:n], self.end))
        decoded = self.decoder.decode(address, length, self.columns, 0, n, messages.pointers)
        self.good = np.flatnonzero(decoded.status[:wanted] == GOOD).astype(np.int32)
        self.pointers = messages.pointers
        self.held = _Held(messages, decoded.keep)
        return [reject for reject in decoded.rejects if reject.index < wanted]

    def times(self) -> NDArray[np.int64]:
        """When each good event came to be known."""
        times: NDArray[np.int64] = self.columns.value[self.spec.schema_.index(self.spec.order_time), self.good]
        return times


class ReplayIntake:
    """The intake of a replay: reads lanes into buffers, makes rows of them in the one order.

    `finished` when every lane has been read to the end that it had at the start.
    """

    def __init__(
        self,
        inputs: Mapping[str, InputSpec],
        ends: Mapping[TopicPartition, int],
        rows: Rows,
        in_flight: InFlight,
        batcher: Batching,
        state: FeatureState,
        rows_max: int,
        value_bytes_max: int,
        biller: Biller,
    ) -> None:
        by_topic = {spec.topic: (name, spec) for name, spec in inputs.items()}
        self._sources = [
            _Source(*by_topic[partition.topic], partition, ends[partition], rows_max, value_bytes_max)
            for partition in sorted(ends)
        ]
        count = len(self._sources)
        self._rows, self._in_flight, self._batcher, self._state = rows, in_flight, batcher, state
        self._biller = biller
        self._deciding = next(name for name, spec in inputs.items() if spec.role == "decide")
        spec = inputs[self._deciding]
        self._spec = spec
        self.columns = Columns(spec.schema_, rows.capacity_rows)
        self._rows_max = rows_max
        self._time_ms = np.zeros((count, rows_max), np.int64)
        self._start, self._stop = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self._ended = np.array([source.end == 0 for source in self._sources], np.bool_)
        self._newest_ms = np.full(count, _BEFORE_ALL_MS, np.int64)
        self._merged_rows = 0
        self.counts = IntakeCounts()
        self.absorbed = 0
        self.dead = DeadOfState()
        self.router: Router | None = None

    @property
    def finished(self) -> bool:
        """Whether everything has been read and merged."""
        return bool(self._ended.all() and (self._start == self._stop).all())

    def poll(self, lanes: Sequence[Lane], clock: SystemClock) -> list[Rejected]:
        """Refill what ran out, then make rows of all that may be merged now. Returns the bad records."""
        by_partition = {lane.key: lane for lane in lanes}
        rejected: list[Rejected] = []
        for number, source in enumerate(self._sources):
            if self._start[number] == self._stop[number] and not self._ended[number]:
                rejected += self._refill(number, source, by_partition[source.partition], clock)
        room = min(self._rows_max, self._in_flight.room())
        lane_out, row_out = np.zeros(room, np.int32), np.zeros(room, np.int32)
        merged = merge_runs(self._time_ms, self._start, self._stop, self._ended, self._newest_ms, lane_out, row_out)
        names = np.array([source.name == self._deciding for source in self._sources])
        kinds = names[lane_out[:merged]].astype(np.int32)
        for first, stop in run_bounds(kinds):
            if kinds[first]:
                self._decide(lane_out[first:stop], row_out[first:stop], clock)
            else:
                self._absorb(lane_out[first:stop], row_out[first:stop])
        self._release_used()
        return rejected

    def _refill(self, number: int, source: _Source, lane: Lane, clock: SystemClock) -> list[Rejected]:
        if self._in_flight.room() < self._rows_max:
            return []
        messages = lane.read(self._rows_max)
        if max(messages.end_offset, messages.next_offset) >= source.end:
            self._ended[number] = True
        if not messages.count:
            messages.free()
            return []
        rejects = source.take(messages)
        self._start[number], self._stop[number] = 0, len(source.good)
        self._time_ms[number, : len(source.good)] = source.times()
        self.counts.read += len(source.good) + len(rejects)
        if source.name != self._deciding:
            self.dead.records += [DeadRecord.copied(messages, reject, source.partition.topic) for reject in rejects]
            return []
        return self._reject(source, rejects, clock)

    def _open(self, source_rows: int, shared: _Shared, clock: SystemClock) -> slice:
        self._merged_rows += source_rows
        chunk = self._in_flight.open(MERGED, shared, source_rows, self._merged_rows)
        run = slice(chunk.first, chunk.first + source_rows)
        self._rows.arrival_ns[run] = clock.now_ns()
        self._rows.deadline_ns[run] = NO_DEADLINE_NS
        return run

    def _reject(self, source: _Source, rejects: list[Any], clock: SystemClock) -> list[Rejected]:
        if not rejects:
            return []
        assert source.held is not None
        at = np.array([reject.index for reject in rejects])
        run = self._open(len(rejects), _Shared([source.held], source.pointers[at]), clock)
        self._copy(run, source, at)
        return [
            Rejected(run.start + index, reject, int(source.pointers[reject.index]))
            for index, reject in enumerate(rejects)
        ]

    def _copy(self, slots: Any, source: _Source, at: NDArray[Any]) -> None:
        self._rows.partition[slots] = source.partition.partition
        for name in ROW_FIELDS:
            getattr(self._rows, name)[slots] = getattr(source, name)[at]

    def _decide(self, lane: NDArray[np.int32], row: NDArray[np.int32], clock: SystemClock) -> None:
        """Give merged events slots of their own, in merged order; then features, then the batcher."""
        used = [self._sources[number] for number in np.unique(lane).tolist()]
        pointers = np.zeros(len(lane), np.int64)
        held = [source.held for source in used if source.held is not None]
        shared = _Shared(held, pointers)
        run = self._open(len(lane), shared, clock)
        slots = np.arange(run.start, run.stop, dtype=np.int32)
        for number in np.unique(lane).tolist():
            source, mine = self._sources[number], np.flatnonzero(lane == number)
            at, to = source.good[row[mine]], slots[mine]
            pointers[mine] = source.pointers[at]
            self._copy(to, source, at)
            self.columns.value[:, to] = source.columns.value[:, at]
            self.columns.length[:, to] = source.columns.length[:, at]
        self._biller.read(self.columns, run.start, run.stop)
        self._features(slots, clock)
        if self.router is not None:
            self.router.by_fields(slots)
            self.router.by_features(slots)
        self._fill(run)
        self._batcher.offer(slots)

    def _features(self, slots: NDArray[np.int32], clock: SystemClock) -> None:
        rows, started_ns = self._rows, clock.now_ns()
        applied = self._state.apply(
            self._deciding,
            self.columns,
            slots,
            rows.partition[slots],
            rows.offset[slots],
            out64=rows.features64,
            out32=rows.features32,
        )
        self.counts.late += applied.late
        self.counts.disordered += applied.disordered
        rows.features_ns[slots] = clock.now_ns() - started_ns

    def _fill(self, run: slice) -> None:
        rows, columns, schema = self._rows, self.columns, self._spec.schema_
        rows.id_value[run] = columns.value[schema.index(self._spec.id), run]
        rows.id_length[run] = columns.length[schema.index(self._spec.id), run]
        rows.event_time_ms[run] = columns.value[schema.index(self._spec.event_time), run]
        rows.outcome[run] = Outcome.PENDING
        slots = np.arange(run.start, run.stop, dtype=np.int32)
        key = schema.index(self._spec.key)
        differs = key_disagreements(columns, key, slots, rows.key_address, rows.key_length)
        self.counts.key_disagreements += int(differs.sum())

    def _absorb(self, lane: NDArray[np.int32], row: NDArray[np.int32]) -> None:
        for first, stop in run_bounds(lane):
            source = self._sources[int(lane[first])]
            at = source.good[row[first:stop]]
            partition = np.full(len(at), source.partition.partition, np.int32)
            applied = self._state.apply(source.name, source.columns, at, partition, source.offset[at])
            self.counts.disordered += applied.disordered
            self.absorbed += len(at)

    def _release_used(self) -> None:
        for number, source in enumerate(self._sources):
            if self._start[number] == self._stop[number] and source.held is not None:
                source.held.release()
                source.held = None

    def forget(self, partition: Any) -> None:
        """A replay gives no partition up."""
