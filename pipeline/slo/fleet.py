"""What one pipeline's processes say, merged: which records are new, and how long events took lately."""

from collections import deque
from collections.abc import Collection, Mapping

from pipeline.telemetry.histogram import Histogram
from pipeline.wire.metrics import MetricsRecord, Sparse

SEEN_MAX = 512
"""Stretches remembered of each process: a record that was published twice comes soon after itself."""
LATELY_MS = 300_000
_STEP_MS = 10_000
_STEPS = LATELY_MS // _STEP_MS


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

    def forget_all_but(self, instances: Collection[str]) -> None:
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
        self._steps: dict[int, dict[int, int]] = {}

    def add(self, at_ms: int, ages: Sparse) -> None:
        """Count the ages of a record."""
        step = at_ms // _STEP_MS
        if step not in self._steps:
            newest = max([step, *self._steps])
            self._steps = {n: held for n, held in self._steps.items() if n > newest - _STEPS}
            if step <= newest - _STEPS:
                return
        held = self._steps.setdefault(step, {})
        for bucket, count in ages.items():
            held[bucket] = held.get(bucket, 0) + count

    def merged(self, now_ms: int) -> Histogram:
        """All of them, in µs."""
        merged = Histogram()
        for step, ages in self._steps.items():
            if step > now_ms // _STEP_MS - _STEPS:
                merged.add(Histogram.of(ages))
        return merged
