"""Cost curves of the configured models, measured here and now on their own warmed sessions."""

import time
from collections.abc import Callable
from functools import cache

import numpy as np

from pipeline.answering import Answerers
from pipeline.batch import Batch
from pipeline.config.model import PipelineConfig
from pipeline.image.measures import MEASURES
from pipeline.rows import Rows
from pipeline.runner import Runner
from pipeline.sim.curves import Costs, TierCurve, padded
from pipeline.sim.frames import Belt
from pipeline.tier import ModelTier, Session, classes_of
from pipeline.tiers import open_tiers

SECONDS_A_SIZE = 0.1
RUNS_MIN = 5
POOL_ROWS = 1 << 15
FEATURE_MAX = 60.0


def measure_costs(config: PipelineConfig, tell: Callable[[str], None]) -> Costs:
    """Load, check and warm every tier's model, then time runs of each size up to the largest bucket.

    The rows are many and different ones, uniform in [0, 60): a few that come again are learned by the branch
    predictor and look too cheap. Those of a model of images are the simulator's frames, and are decoded as well.
    Raises ModelError as a start of the pipeline would.
    """
    tiers = open_tiers(config, tuple(config.features))
    curves: list[TierCurve | None] = []
    for spec, tier in zip(config.tiers, tiers, strict=True):
        if not isinstance(tier, ModelTier):
            curves.append(None)
            continue
        buckets, whole = set(config.engine.buckets), padded(spec)
        sizes = buckets if whole else buckets | {1 << power for power in range(max(buckets).bit_length())}
        taken: dict[int, list[int]] = {}
        for rows in sorted(sizes):
            tell(f"measuring {spec.model}/{spec.version}: {rows} rows a run")
            if tier.view is None:
                taken[rows] = _runs_ns(tier.session, rows, len(config.features))
            else:
                taken[rows] = _frame_runs_ns(tier, rows)
        curves.append(_curve(taken, padded=whole))
    return Costs(tuple(curves))


def _runs_ns(session: Session, rows: int, width: int) -> list[int]:
    pool_rows = max(POOL_ROWS, 2 * rows)
    pool = np.random.default_rng(0).uniform(0.0, FEATURE_MAX, (pool_rows, width)).astype(np.float32)
    out = np.zeros(rows, np.float32)
    taken: list[int] = []
    until_s = time.perf_counter() + SECONDS_A_SIZE
    while len(taken) < RUNS_MIN or time.perf_counter() < until_s:
        first = len(taken) * rows % (pool_rows - rows)
        began_ns = time.perf_counter_ns()
        session.run(pool[first : first + rows], out)
        taken.append(time.perf_counter_ns() - began_ns)
    return taken


def _frame_runs_ns(tier: ModelTier, count: int) -> list[int]:
    """Batches of frames, each decoded and classified as the pipeline does it."""
    held = [np.frombuffer(frame, np.uint8) for frame in _frames()]
    rows = Rows(count, 0, classes=len(classes_of([tier])), measures=len(MEASURES))
    for slot in range(count):
        frame = held[slot % len(held)]
        rows.payload_address[slot], rows.payload_length[slot] = frame.ctypes.data, len(frame)
    runner, batch = (
        Runner(rows, Answerers([tier]), count, time.perf_counter_ns),
        Batch(0, np.arange(count, dtype=np.int32)),
    )
    taken: list[int] = []
    until_s = time.perf_counter() + SECONDS_A_SIZE
    while len(taken) <= RUNS_MIN or time.perf_counter() < until_s:
        taken.append(runner.run(batch).cost_ns)
    return taken[1:]


@cache
def _frames() -> list[bytes]:
    return Belt(pictures=32).frames()


def _curve(taken: dict[int, list[int]], *, padded: bool) -> TierCurve:
    """The median of each size; the spread is that of a middling size, between its 16th and 84th percentile."""
    medians = {rows: float(np.median(runs)) for rows, runs in taken.items()}
    spreads = [np.log(np.quantile(runs, 0.84) / np.quantile(runs, 0.16)) / 2 for runs in taken.values()]
    return TierCurve(medians, float(np.median(spreads)), padded)
