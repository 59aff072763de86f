"""What a process counts: called once a batch, turned into one metrics record a second."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from pipeline.clock import NS_PER_MS, Instant
from pipeline.rows import NO_TIMESTAMP, OUTCOMES, Outcome, Rows
from pipeline.telemetry.histogram import BUCKETS, Histogram, bucket_of, sparse_of
from pipeline.wire.metrics import MetricsRecord, merged

HISTOGRAMS = ("queue", "features", "score", "total", "delivery", "age")
_QUEUE, _FEATURES, _SCORE, _TOTAL, _DELIVERY, _AGE = range(len(HISTOGRAMS))
_EXPIRED, _DEAD_LETTER = int(Outcome.EXPIRED), int(Outcome.DEAD_LETTER)
_NO_TIMESTAMP = NO_TIMESTAMP
_IN_TIME, _OVERDUE = 0, 1
UNDELIVERABLE = "undeliverable"
"""The code of a dead letter that takes the place of a decision."""


@kernel(
    "void(int32[::1], int64, int64[::1], int64[::1], int64[::1], int64[::1], int8[::1], int8[::1], int64[:, ::1],"
    " int64[::1], int64[::1])"
)
def _count_decided(
    slots: Any,
    now_ns: int,
    arrival_ns: Any,
    dispatch_ns: Any,
    features_ns: Any,
    score_ns: Any,
    outcome: Any,
    tier: Any,
    histograms: Any,
    outcomes: Any,
    tiers: Any,
) -> None:
    for index in range(len(slots)):
        slot = slots[index]
        outcomes[outcome[slot]] += 1
        total_ns = now_ns - arrival_ns[slot]
        waited_ns = total_ns - features_ns[slot]
        if outcome[slot] != _EXPIRED:
            tiers[tier[slot]] += 1
            waited_ns = dispatch_ns[slot] - arrival_ns[slot] - features_ns[slot]
            histograms[_SCORE, bucket_of(score_ns[slot] // 1000)] += 1
        histograms[_QUEUE, bucket_of(waited_ns // 1000)] += 1
        histograms[_FEATURES, bucket_of(features_ns[slot] // 1000)] += 1
        histograms[_TOTAL, bucket_of(total_ns // 1000)] += 1


@kernel(
    "int64(int64[::1], int64, int64, int64[::1], int64[::1], int64[::1], int8[::1], int8[::1], int64[:, ::1],"
    "int64[:, ::1])"
)
def _count_delivered(
    slots: Any,
    now_ns: int,
    now_ms: int,
    handed_ns: Any,
    deadline_ns: Any,
    timestamp_ms: Any,
    outcome: Any,
    tier: Any,
    histograms: Any,
    answered: Any,
) -> int:
    misses = 0
    for index in range(len(slots)):
        slot = slots[index]
        if outcome[slot] == _DEAD_LETTER:
            continue
        in_time = now_ns <= deadline_ns[slot]
        if outcome[slot] != _EXPIRED:
            answered[_IN_TIME if in_time else _OVERDUE, tier[slot]] += 1
        if outcome[slot] == _EXPIRED or not in_time:
            misses += 1
        histograms[_DELIVERY, bucket_of((now_ns - handed_ns[slot]) // 1000)] += 1
        if timestamp_ms[slot] != _NO_TIMESTAMP:
            histograms[_AGE, bucket_of((now_ms - timestamp_ms[slot]) * 1000)] += 1
    return misses


class Meter:
    """Counters of one process. Everything is told to it, time included; it calls its sinks when due.

    `counts` returns what others count, as running totals by name (`read`, `absorbed`, `late`, ...): records
    hold their increase. `absorbed` is the outcome of that name, `late` the field of that name. `lag` returns
    the level by "topic/partition", `levels` others by name; `event_time_delay_ms` is the meter's own. Each sink is
    given each record and all so far merged, from the thread that calls `tick`.
    """

    def __init__(
        self,
        rows: Rows,
        *,
        pipeline: str,
        instance: str,
        tiers: Sequence[str],
        interval_ms: int,
        started: Instant,
        counts: Callable[[], Mapping[str, int]],
        lag: Callable[[], Mapping[str, int]],
        levels: Callable[[], Mapping[str, float]],
        sinks: Sequence[Callable[[MetricsRecord, MetricsRecord], None]],
    ) -> None:
        self._rows = rows
        self._pipeline = pipeline
        self._instance = instance
        self._tiers = tiers
        self._interval_ns = interval_ms * NS_PER_MS
        self._counts = counts
        self._lag = lag
        self._levels = levels
        self._sinks = sinks
        self._from_ms = started.wall_ms
        self._due_ns = started.mono_ns + self._interval_ns
        self._counted: dict[str, int] = {}
        self._newest_event_ms: int | None = None
        self._newest_before_ms: int | None = None
        self._histograms: NDArray[np.int64] = np.zeros((len(HISTOGRAMS), BUCKETS), np.int64)
        self._batch_rows = Histogram()
        self._clear()
        self._totals: MetricsRecord | None = None

    def _clear(self) -> None:
        self._histograms[:] = 0
        self._batch_rows.clear()
        self._outcomes: NDArray[np.int64] = np.zeros(len(OUTCOMES), np.int64)
        self._tier_rows: NDArray[np.int64] = np.zeros(len(self._tiers), np.int64)
        self._answered: NDArray[np.int64] = np.zeros((2, len(self._tiers)), np.int64)
        self._dead_letters: dict[str, int] = {}
        self._delivered = 0
        self._misses = 0

    def batch(self, rows: int) -> None:
        """A batch of so many rows was scored."""
        self._batch_rows.counts[bucket_of(rows)] += 1

    def decided(self, slots: NDArray[np.int32], now_ns: int) -> None:
        """These rows have their outcome (scored, degraded or expired) and are handed to the producer now."""
        rows = self._rows
        if len(slots):
            newest_ms = int(rows.event_time_ms[slots].max())
            self._newest_event_ms = max(newest_ms, self._newest_event_ms or newest_ms)
        _count_decided(
            slots,
            now_ns,
            rows.arrival_ns,
            rows.dispatch_ns,
            rows.features_ns,
            rows.score_ns,
            rows.outcome,
            rows.tier,
            self._histograms,
            self._outcomes,
            self._tier_rows,
        )

    def dead_letter(self, code: str) -> None:
        """A record could not become an event, for the reason that the code names."""
        self._outcomes[Outcome.DEAD_LETTER] += 1
        self._dead_letters[code] = self._dead_letters.get(code, 0) + 1

    def buried(self, slot: int) -> None:
        """A decision that was counted by its outcome can never be delivered: a dead letter takes its place."""
        self._outcomes[self._rows.outcome[slot]] -= 1
        self.dead_letter(UNDELIVERABLE)

    def delivered(self, slots: NDArray[np.int64], now: Instant) -> None:
        """The outcomes of these rows, dead letters among them, are on their topics; call before freeing."""
        rows = self._rows
        self._delivered += len(slots)
        self._misses += _count_delivered(
            slots,
            now.mono_ns,
            now.wall_ms,
            rows.handed_ns,
            rows.deadline_ns,
            rows.timestamp_ms,
            rows.outcome,
            rows.tier,
            self._histograms,
            self._answered,
        )

    def due_ns(self) -> int:
        """When `tick` next has something to do."""
        return self._due_ns

    def tick(self, now: Instant) -> None:
        """Give the sinks a record if one is due; after a stall one longer record, not several."""
        if now.mono_ns < self._due_ns:
            return
        late_by_ns = (now.mono_ns - self._due_ns) % self._interval_ns
        self.finish(now)
        self._due_ns = now.mono_ns - late_by_ns + self._interval_ns

    def finish(self, now: Instant, *, ended: bool = False) -> MetricsRecord:
        """Give the sinks what was counted since the last record, due or not; returns everything so far.

        `ended`: the process was told to stop, and this is the last it says.
        """
        record = self._record(now, ended)
        self._totals = record if self._totals is None else merged(self._totals, record)
        self._clear()
        self._from_ms = now.wall_ms
        for sink in self._sinks:
            sink(record, self._totals)
        return self._totals

    def _record(self, now: Instant, ended: bool) -> MetricsRecord:
        running = dict(self._counts())
        counts = {name: value - self._counted.get(name, 0) for name, value in running.items()}
        self._counted = running
        outcomes = {
            name: int(self._outcomes[index]) for index, name in enumerate(OUTCOMES) if index != Outcome.PENDING
        }
        outcomes["absorbed"] += counts.pop("absorbed", 0)
        return MetricsRecord(
            pipeline=self._pipeline,
            instance=self._instance,
            from_ms=self._from_ms,
            to_ms=now.wall_ms,
            outcomes=outcomes,
            delivered=self._delivered,
            dead_letters=outcomes["dead_letter"],
            dead_letter_codes=self._dead_letters,
            deadline_misses=self._misses,
            late=counts.pop("late", 0),
            lag=dict(self._lag()),
            batch_rows=self._batch_rows.sparse(),
            tiers=dict(zip(self._tiers, self._tier_rows.tolist(), strict=True)),
            in_time=dict(zip(self._tiers, self._answered[_IN_TIME].tolist(), strict=True)),
            overdue=dict(zip(self._tiers, self._answered[_OVERDUE].tolist(), strict=True)),
            histograms={name: sparse_of(self._histograms[index]) for index, name in enumerate(HISTOGRAMS)},
            counts=counts,
            levels={**self._levels(), **self._event_time_delay(now)},
            ended=ended,
        )

    def _event_time_delay(self, now: Instant) -> dict[str, float]:
        """How far behind the clock the newest event is that was decided, in this record or the last that had any.

        One that is dated into the future so hides the others for one record only.
        """
        newest_ms = self._newest_before_ms if self._newest_event_ms is None else self._newest_event_ms
        self._newest_event_ms, self._newest_before_ms = None, newest_ms
        return {} if newest_ms is None else {"event_time_delay_ms": now.wall_ms - newest_ms}
