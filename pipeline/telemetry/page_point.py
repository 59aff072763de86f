"""What the live page draws of one metrics record: small, with the histograms' detail taken out. Pure."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.telemetry.histogram import BUCKETS, bounds_of, middle_of
from pipeline.wire.metrics import MetricsRecord, Sparse

SHOWN_OUTCOMES = ("scored", "degraded", "expired", "dead_letter", "absorbed")
QUANTILES = (0.5, 0.99, 0.999)
DRAWN = ("age", "total")
"""The histograms that are drawn over time."""


def _edges_us(first: int, octaves: int) -> list[int]:
    """Four rows a doubling, from `first` on."""
    return [first * (4 + part) // 4 << octave for octave in range(octaves) for part in range(4)]


EDGES_US = {"age": [0, 1000, 2000, 3000, *_edges_us(4000, 12)], "total": [0, *_edges_us(64, 18)]}
"""Where each row of a heat map begins. Ages are whole milliseconds, so no row there is narrower."""
_MIDDLES = np.array([middle_of(bucket) for bucket in range(BUCKETS)])
# By a bucket's last value: a whole millisecond that begins a row lies somewhere in its bucket.
_LASTS = np.array([bounds_of(bucket)[1] - 1 for bucket in range(BUCKETS)])
_ROW_OF: dict[str, NDArray[np.int64]] = {
    name: np.searchsorted(edges, _LASTS, "right") - 1 for name, edges in EDGES_US.items()
}


def quantiles_us(sparse: Sparse, fractions: Sequence[float] = QUANTILES) -> list[float] | None:
    """The histogram's quantiles, as `Histogram.quantile` has them; None when nothing was counted."""
    if not sparse:
        return None
    buckets = np.fromiter(sparse.keys(), np.int64, len(sparse))
    order = np.argsort(buckets)
    until = np.cumsum(np.fromiter(sparse.values(), np.int64, len(sparse))[order])
    ranks = np.maximum(np.ceil(np.array(fractions) * until[-1]), 1)
    found: list[float] = _MIDDLES[buckets[order][np.searchsorted(until, ranks)]].tolist()
    return found


def heat_of(name: str, sparse: Sparse) -> list[int]:
    """Pairs of a row and its count, one after the other, rows ascending."""
    rows: dict[int, int] = {}
    row_of = _ROW_OF[name]
    for bucket, count in sparse.items():
        row = int(row_of[bucket])
        rows[row] = rows.get(row, 0) + count
    return [number for row in sorted(rows) for number in (row, rows[row])]


def batches_by_size(batch_rows: Sparse, sizes: Sequence[int]) -> list[int]:
    """How many batches ran padded to each of the warmed sizes, ascending."""
    counts = [0] * len(sizes)
    for bucket, count in batch_rows.items():
        counts[min(bisect_left(sizes, bounds_of(bucket)[0]), len(sizes) - 1)] += count
    return counts


def point_of(record: MetricsRecord, tiers: Sequence[str], sizes: Sequence[int]) -> dict[str, Any]:
    """One record as the page's charts take it; lists in the order of SHOWN_OUTCOMES, `tiers` and `sizes`."""

    def by_tier(counts: Mapping[str, int]) -> list[int]:
        return [counts.get(tier, 0) for tier in tiers]

    return {
        "from_ms": record.from_ms,
        "to_ms": record.to_ms,
        "outcomes": [record.outcomes.get(name, 0) for name in SHOWN_OUTCOMES],
        "delivered": record.delivered,
        "misses": record.deadline_misses,
        "late": record.late,
        "held": record.counts.get("held", 0),
        "codes": record.dead_letter_codes,
        "quantiles_us": {name: quantiles_us(record.histograms.get(name, {})) for name in DRAWN},
        "heat": {name: heat_of(name, record.histograms.get(name, {})) for name in DRAWN},
        "batches": batches_by_size(record.batch_rows, sizes),
        "tiers": by_tier(record.tiers),
        "in_time": by_tier(record.in_time),
        "overdue": by_tier(record.overdue),
        "lag": record.lag,
    }


def totals_of(totals: MetricsRecord, tiers: Sequence[str]) -> dict[str, Any]:
    """Everything since the start, and the levels as last told."""
    return {
        "from_ms": totals.from_ms,
        "outcomes": [totals.outcomes.get(name, 0) for name in SHOWN_OUTCOMES],
        "delivered": totals.delivered,
        "misses": totals.deadline_misses,
        "late": totals.late,
        "codes": totals.dead_letter_codes,
        "tiers": [totals.tiers.get(tier, 0) for tier in tiers],
        "in_time": [totals.in_time.get(tier, 0) for tier in tiers],
        "overdue": [totals.overdue.get(tier, 0) for tier in tiers],
        "counts": totals.counts,
        "levels": totals.levels,
    }
