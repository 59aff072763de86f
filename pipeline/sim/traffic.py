"""Simulated traffic in order: each transaction, and a week later the label of each fraud."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.sim.transactions import REPORT_DELAY_MS, Day, TransactionSource


@dataclass(frozen=True)
class Slice:
    """Events that belong together in time: int64[rows, 5] of each kind, in the order of their encoders."""

    transactions: NDArray[np.int64]
    labels: NDArray[np.int64]


def _labels_of(day: Day) -> NDArray[np.int64]:
    hit = day.fraud
    times = day.event_time_ms[hit]
    columns = (day.transaction_id[hit], times, day.terminal_id[hit], day.customer_id[hit], times + REPORT_DELAY_MS)
    return np.stack(columns, axis=1)


def traffic(source: TransactionSource, rows_max: int, first_id: int = 0) -> Iterator[Slice]:
    """Slices of at most `rows_max` transactions, with the labels reported up to the slice's last one."""
    waiting: deque[NDArray[np.int64]] = deque()
    for day in source.days(first_id):
        columns = (day.transaction_id, day.event_time_ms, day.customer_id, day.terminal_id, day.amount_cents)
        rows = np.stack(columns, axis=1)
        waiting.append(_labels_of(day))
        for first in range(0, len(rows), rows_max):
            part = rows[first : first + rows_max]
            yield Slice(np.ascontiguousarray(part), _due(waiting, int(part[-1, 1])))


def _due(waiting: deque[NDArray[np.int64]], until_ms: int) -> NDArray[np.int64]:
    due = []
    while waiting:
        ready = int(np.searchsorted(waiting[0][:, 4], until_ms, side="right"))
        due.append(waiting[0][:ready])
        if ready < len(waiting[0]):
            waiting[0] = waiting[0][ready:]
            break
        waiting.popleft()
    return np.ascontiguousarray(np.concatenate(due)) if due else np.empty((0, 5), np.int64)
