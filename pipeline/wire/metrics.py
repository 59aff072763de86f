"""Metrics as JSON, version 1: what one process did in one stretch of time, mergeable by addition."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from pipeline.wire.versioned import decode_versioned

METRICS_VERSION = 1
Sparse = dict[int, int]
Key = TypeVar("Key", str, int)


class MetricsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of [from_ms, to_ms) (wall time), never averages; `lag` and `levels` alone are
    levels, as of `to_ms`.

    `outcomes` are rows by outcome as decided (one whose decision can never be delivered moves to `dead_letter` when
    that is known, so a count can be below 0), `delivered` those whose delivery was reported (dead letters too);
    `deadline_misses` are decisions delivered after their deadline or expired before it could be met.
    `tiers` are rows answered by tier, `in_time` those of them whose delivery was reported inside their deadline (of
    the best tier, that is goodput) and `overdue` those where it was reported after it. `histograms` are sparse
    (bucket -> count, see `pipeline.telemetry.histogram`) in µs: `queue`, `features`, `score` and `total` as in a
    decision's `latency_us`, `delivery` from hand-over to the delivery report, `age` from the record's timestamp to
    it. `batch_rows` is one too, of rows a batch. `counts` holds what has no field of its own. `ended` is set in the
    last record of a process that was told to stop: nothing more is to be expected from it.
    """

    pipeline: str
    instance: str
    from_ms: int
    to_ms: int
    v: int = METRICS_VERSION
    outcomes: dict[str, int] = {}
    delivered: int = 0
    dead_letters: int = 0
    dead_letter_codes: dict[str, int] = {}
    deadline_misses: int = 0
    late: int = 0
    lag: dict[str, int] = {}
    batch_rows: Sparse = {}
    tiers: dict[str, int] = {}
    in_time: dict[str, int] = {}
    overdue: dict[str, int] = {}
    histograms: dict[str, Sparse] = {}
    counts: dict[str, int] = {}
    levels: dict[str, float] = {}
    ended: bool = False

    def encode(self) -> bytes:
        """The record's value on the metrics topic."""
        return msgspec.json.encode(self)


def decode_metrics(value: bytes) -> MetricsRecord:
    """Read a record back; fields added later are passed over. Raises ValueError saying what is wrong."""
    return decode_versioned(value, MetricsRecord, METRICS_VERSION, "metrics record")


def added(parts: Iterable[Mapping[Key, int]]) -> dict[Key, int]:
    """The sum of each name or bucket over tables of counts."""
    total: dict[Key, int] = {}
    for part in parts:
        for name, count in part.items():
            total[name] = total.get(name, 0) + count
    return total


def merged(left: MetricsRecord, right: MetricsRecord) -> MetricsRecord:
    """Both together: counts added, the stretch from the first to the last, each level as last seen.

    Of one process this gives a longer stretch, of several the fleet; `instance` is kept if it is the same.
    """
    newer, older = (left, right) if left.to_ms >= right.to_ms else (right, left)
    names = {**left.histograms, **right.histograms}
    return MetricsRecord(
        pipeline=left.pipeline,
        instance=left.instance if left.instance == right.instance else "",
        from_ms=min(left.from_ms, right.from_ms),
        to_ms=newer.to_ms,
        outcomes=added((left.outcomes, right.outcomes)),
        delivered=left.delivered + right.delivered,
        dead_letters=left.dead_letters + right.dead_letters,
        dead_letter_codes=added((left.dead_letter_codes, right.dead_letter_codes)),
        deadline_misses=left.deadline_misses + right.deadline_misses,
        late=left.late + right.late,
        lag={**older.lag, **newer.lag},
        batch_rows=added((left.batch_rows, right.batch_rows)),
        tiers=added((left.tiers, right.tiers)),
        in_time=added((left.in_time, right.in_time)),
        overdue=added((left.overdue, right.overdue)),
        histograms={name: added((left.histograms.get(name, {}), right.histograms.get(name, {}))) for name in names},
        counts=added((left.counts, right.counts)),
        levels={**older.levels, **newer.levels},
        ended=left.ended or right.ended,
    )
