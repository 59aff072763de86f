"""From a metrics record to events that kept an SLO's promise and events that broke it.

What each kind of SLO counts:

| kind | all | bad |
| --- | --- | --- |
| `latency` | events whose age at delivery is known: every decision, expired ones too | older than `threshold_ms` |
| `deadlines` | decisions, expired ones too | delivered after their own deadline, or expired |
| `outcomes` | outcomes delivered, dead letters too | none: what has no outcome is found by `pipeline.slo.expected` |
| `dead_letters` | outcomes decided | dead letters |
| `degraded` | outcomes decided but dead letters | scored by a lower tier, or expired |

Ages are counted in log-linear buckets. A bucket counts as good only if every age it can hold is within the threshold;
ages are whole milliseconds, so up to 131 ms, where buckets hold one each, the threshold is exact. Above that an SLO
may be judged up to 1/64 more strictly than written, never less.
"""

from collections.abc import Mapping
from functools import cache
from typing import Literal

from pipeline.slo.windows import Counts
from pipeline.telemetry.histogram import bounds_of
from pipeline.wire.metrics import MetricsRecord, Sparse

Kind = Literal["latency", "deadlines", "outcomes", "dead_letters", "degraded"]
OWED: frozenset[Kind] = frozenset({"latency", "deadlines", "outcomes"})
"""Kinds for which an event that never gets an outcome is bad."""
_DECIDED = ("scored", "degraded", "expired")
_US_PER_MS = 1000


@cache
def _oldest_ms(bucket: int) -> int:
    """The oldest age that a bucket of µs can hold, in whole ms."""
    return (bounds_of(bucket)[1] - 1) // _US_PER_MS


def older_than(ages: Sparse, threshold_ms: int) -> int:
    """How many of these ages are, or may be, above the threshold."""
    return sum(count for bucket, count in ages.items() if _oldest_ms(bucket) > threshold_ms)


def counts_of(record: MetricsRecord, kind: Kind, threshold_ms: int, settled: int) -> Counts:
    """What one record says about an SLO, `settled` of its late answers having been counted as bad before."""
    outcomes = record.outcomes
    decided = sum(outcomes.get(name, 0) for name in _DECIDED)
    if kind == "latency":
        ages = record.histograms.get("age", {})
        total, bad = sum(ages.values()), older_than(ages, threshold_ms)
        return Counts(total - bad, max(0, bad - settled))
    if kind == "deadlines":
        return Counts(sum(record.in_time.values()), max(0, record.deadline_misses - settled))
    if kind == "outcomes":
        return Counts(max(0, record.delivered - settled), 0)
    if kind == "dead_letters":
        return Counts(decided, record.dead_letters)
    return Counts(outcomes.get("scored", 0), outcomes.get("degraded", 0) + outcomes.get("expired", 0))


def counts_owed(kind: Kind, unanswered: int) -> Counts:
    """What events without an outcome mean for an SLO."""
    return Counts(0, unanswered if kind in OWED else 0)


def late_answers(ages: Mapping[int, int], overdue_ms: int) -> int:
    """How many of these answers may be to events that were counted as unanswered.

    Whoever counted them was `overdue_ms` behind the topic, by another clock: half of that is old enough.
    """
    return older_than(dict(ages), overdue_ms // 2)
