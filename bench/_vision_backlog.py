"""The vision pipeline over frames that are there, in this process: how fast, and at what price.

The budget is an hour, so that a backlog is scored rather than expired, and answers are not used again unless told
so: the frames come round, and the cache would answer most of them.
"""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench._pipeline import profiled
from bench._vision_frames import HOUR_MS, SHIPPED, configured
from pipeline.assembly import Assembly
from pipeline.clock import NS_PER_MS, SystemClock
from pipeline.readings import health_of
from pipeline.row_layout import features_of
from pipeline.telemetry.histogram import middle_of
from pipeline.tiers import open_tiers
from pipeline.wire.metrics import MetricsRecord

DRAIN_MS = 5_000
STALL_S = 60.0


class Marks:
    """When rows were decided, and what CPU the process had used by then."""

    def __init__(self, assembly: Assembly) -> None:
        self.rows = 0
        self._first: tuple[int, float, int] | None = None
        self._last = (0, 0.0)
        self._inner = assembly.meter.decided
        setattr(assembly.meter, "decided", self._decided)  # noqa: B010  mypy takes no assignment to a method

    def _decided(self, slots: NDArray[np.int32], now_ns: int) -> None:
        self._inner(slots, now_ns)
        self.rows += len(slots)
        self._last = now_ns, time.process_time()
        if self._first is None:
            self._first = (*self._last, len(slots))

    def between(self) -> tuple[int, float, float]:
        """Rows after the first decisions, and the seconds of wall clock and of CPU that they took."""
        assert self._first is not None
        first_ns, first_s, first_rows = self._first
        return self.rows - first_rows, (self._last[0] - first_ns) / 1e9, self._last[1] - first_s


def backlog(
    bootstrap: str,
    suffix: str,
    frames: int,
    models: Path | None,
    settings: Sequence[str],
    *,
    profile: bool = False,
    source: str = SHIPPED,
) -> dict[str, Any]:
    """Decide on the first so many frames of the topic, from its beginning; raises SystemExit when that stalls."""
    patience = (
        "kafka.consumer.auto.offset.reset=earliest",
        f"pipeline.budget_ms_max={HOUR_MS}",
        f"pipeline.budget_ms={HOUR_MS}",
        "reuse.exact_rows=0",
    )
    config = configured(bootstrap, suffix, models, (*patience, *settings), source)
    features = features_of(config)
    clock = SystemClock()
    tiers = open_tiers(config, features.names)
    assembly = Assembly(config, tiers, features, [], clock, health_of(config, clock.instant()))
    spent = profiled(assembly) if profile else Counter[str]()
    marks = Marks(assembly)
    try:
        assembly.start()
        _decide(assembly, marks, frames, spent)
        assembly.engine.drain(clock.now_ns() + DRAIN_MS * NS_PER_MS)
        totals = assembly.meter.finish(clock.instant())
    finally:
        assembly.close()
    rows, seconds, cpu_s = marks.between()
    return {
        "frames_s": rows / seconds,
        "cpu_s_a_thousand": 1000 * cpu_s / rows,
        "batch_rows": mean_batch(totals),
        "outcomes": totals.outcomes,
        "us_a_frame": {name: ns / frames / 1000 for name, ns in spent.most_common()},
    }


def _decide(assembly: Assembly, marks: Marks, frames: int, spent: Counter[str]) -> None:
    engine, until = assembly.engine, time.perf_counter() + STALL_S
    read = 0
    while assembly.intake.counts.read < frames or assembly.in_flight.used_rows:
        if not engine.turn():
            assembly.wake.wait(10)
        if assembly.intake.counts.read != read:
            if not read:
                spent.clear()
            read, until = assembly.intake.counts.read, time.perf_counter() + STALL_S
        if time.perf_counter() > until:
            raise SystemExit(f"{read} of {frames} frames were read, {marks.rows} decided, then nothing came")


def mean_batch(totals: MetricsRecord) -> int:
    """Rows of a batch on average, as rows see it: a row is in a large batch more often than in a small one."""
    sizes = np.array([middle_of(bucket) for bucket in totals.batch_rows])
    counts = np.array(list(totals.batch_rows.values()))
    return max(1, round(float((sizes * sizes * counts).sum() / (sizes * counts).sum())))
