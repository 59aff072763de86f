"""From wall time to deadlines, for a run of rows at once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from features.kernel import kernel
from pipeline.rows import NO_TIMESTAMP

_NO_TIMESTAMP = NO_TIMESTAMP
_NS_PER_MS = 1_000_000


@kernel("void(int64[::1], int64[::1], int64[::1], int64, int64, int64, int64, int64)")
def set_deadlines(
    timestamp_ms: Any,
    arrival_ns: Any,
    deadline_ns: Any,
    first: int,
    rows: int,
    now_ns: int,
    now_wall_ms: int,
    budget_ns: int,
) -> None:
    """Set arrival and deadline of slots [first, first + rows) that arrived now.

    deadline = min(record timestamp, arrival) + budget, in ns of the monotonic clock; a record without a
    timestamp counts from its arrival, and so does one whose producer's clock runs ahead.
    """
    for slot in range(first, first + rows):
        start_ns = now_ns
        stamp_ms = timestamp_ms[slot]
        if stamp_ms != _NO_TIMESTAMP and stamp_ms < now_wall_ms:
            start_ns = now_ns - (now_wall_ms - stamp_ms) * _NS_PER_MS
        arrival_ns[slot] = now_ns
        deadline_ns[slot] = start_ns + budget_ns


@kernel("int64(int64[::1], int64[::1], int64, int64, int64, int64, int8[::1])")
def mark_future(
    event_time_ms: Any,
    timestamp_ms: Any,
    first: int,
    rows: int,
    now_wall_ms: int,
    future_ms_max: int,
    future: Any,
) -> int:
    """Mark with 1 the rows whose event time lies more than `future_ms_max` after their record's timestamp.

    Such an event would make every later one of its entity look late. The record's own timestamp is the
    measure, not the clock, so that a replay decides the same. Returns how many; `future` has a cell a row.
    """
    found = 0
    for row in range(rows):
        known_ms = timestamp_ms[first + row]
        if known_ms == _NO_TIMESTAMP:
            known_ms = now_wall_ms
        ahead = event_time_ms[first + row] - known_ms > future_ms_max
        future[row] = 1 if ahead else 0
        found += ahead
    return found


def own_deadlines(
    deadline_ns: Any, first: int, texts: Sequence[bytes | None], now_ns: int, now_wall_ms: int, budget_ns_max: int
) -> int:
    """Set the deadlines of rows that name their own (CloudEvents' `expirytime`, RFC 3339), at most the longest.

    Returns how many named one that cannot be read; those keep the pipeline's budget.
    """
    unreadable = 0
    for row, text in enumerate(texts):
        if text is None:
            continue
        try:
            at = datetime.fromisoformat(text.decode("ascii"))
            if at.tzinfo is None:
                raise ValueError("no offset")
        except ValueError:
            unreadable += 1
            continue
        asked_ns = now_ns + int((at.timestamp() * 1000 - now_wall_ms) * _NS_PER_MS)
        deadline_ns[first + row] = min(asked_ns, now_ns + budget_ns_max)
    return unreadable
