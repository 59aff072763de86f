"""What one pipeline's processes say, merged: which records are new, and how long events took lately."""

from collections import deque
from collections.abc import Mapping

from pipeline.telemetry.histogram import Histogram
from pipeline.wire.metrics import MetricsRecord, Sparse

SEEN_MAX = 512
"""Stretches remembered of each process: a record that was published twice comes soon after itself."""
LATELY_MS = 300_000
_STEP_MS = 10_000


class Stretches:
    """Tells records from repeated ones: a process tells of each stretch of time, known by its `from_ms`, once."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[int]] = {}

    def is_new(self, record: MetricsRecord) -> bool:
        """Take a record; False when it was taken before, or is older than all that is remembered of its process."""
        seen = self._seen.setdefault(record.instance, deque(maxlen=SEEN_MAX))
        if record.from_ms in seen or (len(seen) == SEEN_MAX and record.from_ms < min(seen)):
            return False
        seen.append(record.from_ms)
        return True

    def forget_all_but(self, instances: Mapping[str, int]) -> None:
        """Drop processes that are known no more."""
        self._seen = {name: seen for name, seen in self._seen.items() if name in instances}

    def keep(self) -> dict[str, list[int]]:
        """What a later process needs to go on."""
        return {name: list(seen) for name, seen in self._seen.items()}

    def restore(self, kept: Mapping[str, list[int]]) -> None:
        """Go on from there."""
        self._seen = {name: deque(seen, maxlen=SEEN_MAX) for name, seen in kept.items()}


class RecentAges:
    """The ages of all processes' decisions of the last five minutes, merged by addition."""

    def __init__(self) -> None:
        self._steps: dict[int, Histogram] = {}

    def add(self, at_ms: int, ages: Sparse) -> None:
        """Count the ages of a record."""
        step = at_ms // _STEP_MS
        if ages:
            self._steps.setdefault(step, Histogram()).add(Histogram.of(ages))
        newest = max(self._steps, default=step)
        self._steps = {n: ages for n, ages in self._steps.items() if n > newest - LATELY_MS // _STEP_MS}

    def merged(self, now_ms: int) -> Histogram:
        """All of them, in µs."""
        merged = Histogram()
        for step, ages in self._steps.items():
            if step > now_ms // _STEP_MS - LATELY_MS // _STEP_MS:
                merged.add(ages)
        return merged
