"""The batcher and the sessions it feeds, as a configuration asks for them."""

from collections.abc import Sequence

from pipeline.answering import Answerers
from pipeline.batch import Batching
from pipeline.batcher import Batcher
from pipeline.clock import NS_PER_MS, SystemClock
from pipeline.config.model import PipelineConfig
from pipeline.decide import ByClass, Decider
from pipeline.kafka.wake import Wake
from pipeline.ladder_build import ladders_of
from pipeline.reuse import Reuse, ReuseLimits
from pipeline.row_layout import LIKE, SAME, RowLayout
from pipeline.rows import Rows
from pipeline.scorer import InlineScorer, Scorer, ThreadScorer
from pipeline.servings import Serving, Servings
from pipeline.tier import ModelTier, Tier
from pipeline.ways import Remembered


def batcher_of(config: PipelineConfig, rows: Rows, tiers: Sequence[Tier]) -> Batching:
    """A batcher over the rows' own deadlines and priorities; several where a cascade or routes ask for them."""
    if config.cascade.first or config.routes:
        return ladders_of(config, rows, tiers)
    return Batcher(
        rows.deadline_ns,
        rows.priority,
        [tier.cost if isinstance(tier, ModelTier) else None for tier in tiers],
        config.engine.buckets,
        sessions=config.engine.sessions,
        objective=config.pipeline.objective,
        deadlines=config.pipeline.mode == "live",
    )


def servings_of(tiers: Sequence[Tier]) -> Servings:
    """Who answers in each tier to begin with."""
    return Servings(
        Serving(
            tier.label,
            number,
            number > 0,
            tuple(tier.thresholds),
            tier.explainer if isinstance(tier, ModelTier) else None,
        )
        for number, tier in enumerate(tiers)
    )


def decider_of(config: PipelineConfig, rows: Rows, servings: Servings, layout: RowLayout) -> Decider:
    """What decides by the scores, or by the classes, that these servings give."""
    decide, classes = config.decide, layout.classes
    fallback = decide.labels.index(decide.fallback)
    if not decide.classes:
        return Decider(rows, servings, fallback, None, layout.overrides)
    table = [decide.labels.index(decide.classes[name]) for name in classes]
    return Decider(rows, servings, fallback, ByClass(table, decide.sure_min), layout.overrides)


def reuse_of(config: PipelineConfig, layout: RowLayout, clock: SystemClock) -> Reuse | None:
    """The answers that are kept for frames that come again, None where none are."""
    reuse = config.reuse
    if not layout.classes or (not reuse.exact_rows and reuse.near_bits < 0):
        return None
    limits = ReuseLimits(reuse.exact_rows, reuse.near_rows, reuse.near_bits, reuse.age_ms_max * NS_PER_MS)
    return Reuse(limits, clock.now_ns, layout.reason(SAME), layout.reason(LIKE))


def scorer_of(
    config: PipelineConfig,
    rows: Rows,
    tiers: Sequence[Tier],
    remembered: Remembered,
    clock: SystemClock,
    wake: Wake,
    answerers: Answerers,
) -> Scorer:
    """Sessions in the loop, or on threads that ring `wake` when a batch is done."""
    rows_max = max(config.engine.buckets)
    if config.engine.session == "inline":
        return InlineScorer(rows, tiers, rows_max, clock.now_ns, remembered, answerers)
    return ThreadScorer(rows, tiers, rows_max, config.engine.sessions, clock.now_ns, wake.ring, remembered, answerers)


def promises(tiers: Sequence[Tier]) -> dict[str, int]:
    """Runs of all models so far, and how many took longer than promised: one in a hundred should; of each tier too.

    Of each tier also what its runs took, and what was expected of them.
    """
    counts = {"runs": 0, "promises_broken": 0}
    for tier in tiers:
        if isinstance(tier, ModelTier):
            held = tier.cost.calibration
            counts["runs"] += held.runs
            counts["promises_broken"] += held.broken
            counts[f"runs/{tier.name}"] = held.runs
            counts[f"promises_broken/{tier.name}"] = held.broken
            counts[f"run_us/{tier.name}"] = tier.cost.took_ns // 1000
            counts[f"run_expected_us/{tier.name}"] = int(tier.cost.expected_sum_ns) // 1000
    return counts


def costs(tiers: Sequence[Tier]) -> dict[str, float]:
    """What a run of each size is expected to take now, and what is promised of it, by tier and rows."""
    levels = {}
    for tier in tiers:
        if isinstance(tier, ModelTier):
            for rows in tier.cost.buckets:
                levels[f"cost_expected_us/{tier.name}/{rows}"] = tier.cost.expected_ns(rows) / 1000
                levels[f"cost_promised_us/{tier.name}/{rows}"] = tier.cost.promised_ns(rows) / 1000
    return levels
