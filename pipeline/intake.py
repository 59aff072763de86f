"""Poll, decode, features, offer: from one lane's read to rows that wait for a score."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.catalog import InputSpec
from features.columns import Columns
from features.state import FeatureState
from pipeline.backpressure import Backpressure
from pipeline.batch import NEVER_NS, Batching
from pipeline.bill.biller import Biller
from pipeline.clock import NS_PER_MS, Instant, SystemClock
from pipeline.deadlines import mark_future, own_deadlines, set_deadlines
from pipeline.decode import Reject, key_disagreements
from pipeline.decoders import decoder_of
from pipeline.delivery_time import DeliveryTime
from pipeline.in_flight import Chunk, InFlight
from pipeline.kafka.consumer import Lane
from pipeline.kafka.messages import Messages, headers_at
from pipeline.router import Router
from pipeline.rows import Outcome, Rows
from pipeline.runs import Run, runs_of
from pipeline.state.positions import Positions
from pipeline.trace.reader import TraceReader

GOOD = 0


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that cannot become an event, and where its dead letter gets key, value and headers from."""

    slot: int
    reject: Reject
    pointer: int


@dataclass(slots=True)
class IntakeCounts:
    """What intake counts beside outcomes."""

    read: int = 0
    late: int = 0
    disordered: int = 0
    key_disagreements: int = 0
    unreadable_deadlines: int = 0
    held: int = 0
    ahead_ms: int = 0
    """How far the timestamp of a record was ahead of our clock at most, since it was last taken."""

    def take_ahead_ms(self) -> int:
        """`ahead_ms`, which begins anew: 0 where no record came from the future."""
        ahead_ms, self.ahead_ms = self.ahead_ms, 0
        return ahead_ms


@dataclass(frozen=True)
class IntakeLimits:
    """The numbers of intake that a configuration sets."""

    budget_ms: int
    budget_ms_max: int
    deadline_header: str
    poll_rows_max: int
    future_ms_max: int
    value_bytes_max: int
    features_published: bool


class Intake:
    """Reads the deciding input's lanes into `rows` and `columns`, whose slots are the same.

    `positions` says up to which offset the global entities have taken a partition already (by another lane), so that
    no event enters their state twice.
    """

    def __init__(
        self,
        name: str,
        spec: InputSpec,
        limits: IntakeLimits,
        rows: Rows,
        in_flight: InFlight,
        batcher: Batching,
        state: FeatureState,
        positions: Positions,
        delivery_time: DeliveryTime,
        biller: Biller,
        traces: TraceReader | None = None,
    ) -> None:
        self._name = name
        self._limits = limits
        self._rows = rows
        self._in_flight = in_flight
        self._batcher = batcher
        self._state = state
        self._positions = positions
        self._delivery_time = delivery_time
        self._biller = biller
        self._traces = traces
        self.columns = Columns(spec.schema_, rows.capacity_rows)
        self._decoder = decoder_of(spec, limits.value_bytes_max)
        self._id = spec.schema_.index(spec.id)
        self._key = spec.schema_.index(spec.key)
        self._event_time = spec.schema_.index(spec.event_time)
        self._priority = spec.schema_.index(spec.priority) if spec.priority else None
        n = rows.capacity_rows
        self._pointer = np.zeros(n, np.int64)
        self._future = np.zeros(n, np.int8)
        self._turn = 0
        self._pressure = Backpressure(max(1, n // 4))
        self.counts = IntakeCounts()
        self.router: Router | None = None

    def poll(self, lanes: Sequence[Lane], clock: SystemClock) -> list[Rejected]:
        """One turn over the lanes, each with its share of what there is room for; returns the bad records.

        Reading stops, which is the back-pressure of a partition, while `rows` has too little room.
        """
        if not lanes:
            return []
        self._turn = (self._turn + 1) % len(lanes)
        left = self._limits.poll_rows_max
        chunks: list[Chunk] = []
        for lane in (*lanes[self._turn :], *lanes[: self._turn]):
            rows_max = min(left, self._pressure.rows_allowed(self._in_flight.room()))
            if rows_max == 0:
                break
            messages = lane.read(rows_max)
            if messages.count:
                left -= messages.count
                chunks.append(self._claim(lane.key, messages))
        self.counts.held = self._pressure.held
        return [item for run in runs_of(chunks) for item in self._make_rows(run, clock)]

    def _claim(self, partition: Any, messages: Messages) -> Chunk:
        """Slots for one read's records, and where their bytes lie."""
        chunk = self._in_flight.open(partition, messages, messages.count, messages.next_offset)
        rows = self._rows
        messages.extract(
            chunk.first,
            rows.payload_address,
            rows.payload_length,
            rows.key_address,
            rows.key_length,
            rows.offset,
            rows.timestamp_ms,
        )
        self._pointer[chunk.first : chunk.first + chunk.rows] = messages.pointers
        if self._traces is not None:
            self._traces.take(chunk.first, messages.pointers)
        return chunk

    def _make_rows(self, run: Run, clock: SystemClock) -> list[Rejected]:
        """Make rows of what was claimed: decoded, given features and offered. Returns the bad records."""
        now = clock.instant()
        set_deadlines(
            self._rows.timestamp_ms,
            self._rows.arrival_ns,
            self._rows.deadline_ns,
            run.first,
            run.rows,
            now.mono_ns,
            now.wall_ms,
            self._limits.budget_ms * NS_PER_MS,
        )
        self.counts.read += run.rows
        newest_ms = int(self._rows.timestamp_ms[run.first : run.stop].max())
        self.counts.ahead_ms = max(self.counts.ahead_ms, newest_ms - now.wall_ms)
        good, rejected = self._decode(run, now)
        self._biller.read(self.columns, run.first, run.stop)
        if self.router is not None:
            self.router.by_fields(good)
        if self._limits.deadline_header:
            for chunk in run.chunks:
                self._own_deadlines(chunk, now)
        lost_before_ns = self._lost_before_ns(now)
        parts = []
        for chunk in run.chunks:
            start, stop = np.searchsorted(good, (chunk.first, chunk.first + chunk.rows))
            slots = good[start:stop]
            lost = int(np.argmax(np.append(self._rows.deadline_ns[slots] >= lost_before_ns, True)))
            self._apply(chunk, slots[:lost], wanted=False)
            self._apply(chunk, slots[lost:], wanted=True)
            self._positions.take_local(chunk.partition, chunk.span.next_offset)
            self._positions.take_shared(chunk.partition, chunk.span.next_offset)
            parts.append((slots[:lost], slots[lost:]))
        self._rows.features_ns[run.first : run.stop] = clock.now_ns() - now.mono_ns
        self._describe(run, good)
        for lost_slots, slots in parts:
            if self.router is not None:
                self.router.by_features(slots)
            self._batcher.give_up(lost_slots)
            self._batcher.offer(slots)
        return rejected

    def _own_deadlines(self, chunk: Chunk, now: Instant) -> None:
        """Headers cost a look into each record, so they are read only where the configuration names one."""
        name = self._limits.deadline_header
        texts = [dict(headers_at(int(pointer))).get(name) for pointer in chunk.messages.pointers]
        self.counts.unreadable_deadlines += own_deadlines(
            self._rows.deadline_ns,
            chunk.first,
            texts,
            now.mono_ns,
            now.wall_ms,
            self._limits.budget_ms_max * NS_PER_MS,
        )

    def _decode(self, run: Run, now: Instant) -> tuple[NDArray[np.int32], list[Rejected]]:
        first, n, stop, rows = run.first, run.rows, run.stop, self._rows
        decoded = self._decoder.decode(
            rows.payload_address[first:stop],
            rows.payload_length[first:stop],
            self.columns,
            first,
            n,
            self._pointer[first:stop],
        )
        # The run's last chunk is the last to be freed, so what strings point to outlives all of its rows.
        run.chunks[-1].keep = decoded.keep
        rejects = list(decoded.rejects)
        status = decoded.status
        rows.event_time_ms[first:stop] = self.columns.value[self._event_time, first:stop]
        future = self._future[:n]
        if mark_future(
            self._rows.event_time_ms,
            self._rows.timestamp_ms,
            first,
            n,
            now.wall_ms,
            self._limits.future_ms_max,
            future,
        ):
            ahead = np.flatnonzero((future == 1) & (status == GOOD))
            rejects += [self._future_reject(first, int(row)) for row in ahead]
            status = np.where((future == 1) & (status == GOOD), np.int8(1), status)
        rejected = [
            Rejected(first + reject.index, reject, int(self._pointer[first + reject.index])) for reject in rejects
        ]
        return (np.flatnonzero(status == GOOD) + first).astype(np.int32), rejected

    def _future_reject(self, first: int, row: int) -> Reject:
        limit = self._limits.future_ms_max
        return Reject(
            row,
            "bad-time",
            f"event_time {int(self._rows.event_time_ms[first + row])} lies more than {limit} ms after the "
            f"record's timestamp {int(self._rows.timestamp_ms[first + row])}",
        )

    def _lost_before_ns(self, now: Instant) -> int:
        """Rows due before this will expire: they enter the windows, nobody asks for their features."""
        if self._limits.features_published:
            return -NEVER_NS
        return self._batcher.lost_before_ns(now.mono_ns, self._delivery_time.learned)

    def _apply(self, chunk: Chunk, good: NDArray[np.int32], *, wanted: bool) -> None:
        """Update windows and write features; what the global entities have already is not given them again."""
        if not len(good):
            return
        applied = self._state.apply(
            self._name,
            self.columns,
            good,
            self._rows.partition[good],
            self._rows.offset[good],
            slice_id=chunk.partition.partition,
            shared_from=self._positions.shared_from(chunk.partition),
            out64=self._rows.features64 if wanted else None,
            out32=self._rows.features32 if wanted else None,
        )
        self.counts.late += applied.late
        self.counts.disordered += applied.disordered

    def forget(self, partition: Any) -> None:
        """The partition is another process's now: its own entities' state goes with it."""
        self._state.drop_slice(partition.partition)
        self._positions.local.pop(partition, None)

    def _describe(self, run: Run, good: NDArray[np.int32]) -> None:
        rows, columns = self._rows, self.columns
        slots = slice(run.first, run.stop)
        rows.id_value[slots] = columns.value[self._id, slots]
        rows.id_length[slots] = columns.length[self._id, slots]
        if self._priority is not None:
            rows.priority[slots] = columns.value[self._priority, slots]
        rows.outcome[slots] = Outcome.PENDING
        differs = key_disagreements(columns, self._key, good, rows.key_address, rows.key_length)
        self.counts.key_disagreements += int(differs.sum())
