"""What a process told of itself lately, for those who ask from other threads."""

import threading
from collections import deque
from dataclasses import dataclass

from pipeline.wire.metrics import MetricsRecord


@dataclass(frozen=True)
class Told:
    """One metrics record, and all up to it merged."""

    record: MetricsRecord
    totals: MetricsRecord


class Board:
    """The last `records_max` metrics records. `tell` is a sink of the meter; any thread may read."""

    def __init__(self, records_max: int = 900) -> None:
        self.records_max = records_max
        self._lock = threading.Lock()
        self._told: deque[Told] = deque(maxlen=records_max)
        self._count = 0

    def tell(self, record: MetricsRecord, totals: MetricsRecord) -> None:
        """Take one more; the oldest goes when there are too many."""
        with self._lock:
            self._told.append(Told(record, totals))
            self._count += 1

    def last(self) -> Told | None:
        """The newest; None before the first."""
        with self._lock:
            return self._told[-1] if self._told else None

    def since(self, ms: int) -> list[MetricsRecord]:
        """Those that ended after this wall time, oldest first."""
        with self._lock:
            return [told.record for told in self._told if told.record.to_ms > ms]

    def after(self, number: int) -> tuple[int, list[Told]]:
        """How many were told so far, and what of those after the first `number` is still held, oldest first."""
        with self._lock:
            fresh = min(max(self._count - number, 0), len(self._told))
            return self._count, list(self._told)[len(self._told) - fresh :]
