"""The batcher and the sessions it feeds, as a configuration asks for them."""

from collections.abc import Sequence

from pipeline.batcher import Batcher
from pipeline.clock import SystemClock
from pipeline.config.model import PipelineConfig
from pipeline.decide import ByClass, Decider
from pipeline.kafka.wake import Wake
from pipeline.rows import Rows
from pipeline.scorer import InlineScorer, Scorer, ThreadScorer
from pipeline.tier import ModelTier, Tier, classes_of


def batcher_of(config: PipelineConfig, rows: Rows, tiers: Sequence[Tier]) -> Batcher:
    """A batcher over the rows' own deadlines and priorities."""
    return Batcher(
        rows.deadline_ns,
        rows.priority,
        [tier.cost if isinstance(tier, ModelTier) else None for tier in tiers],
        config.engine.buckets,
        sessions=config.engine.sessions,
        objective=config.pipeline.objective,
        deadlines=config.pipeline.mode == "live",
    )


def decider_of(config: PipelineConfig, rows: Rows, tiers: Sequence[Tier]) -> Decider:
    """What decides by the scores, or by the classes, that these tiers give."""
    decide, classes = config.decide, classes_of(tiers)
    fallback = decide.labels.index(decide.fallback)
    if not decide.classes:
        return Decider(rows, [tier.thresholds for tier in tiers], fallback)
    table = [decide.labels.index(decide.classes[name]) for name in classes]
    return Decider(rows, [()] * len(tiers), fallback, ByClass(table, decide.sure_min))


def scorer_of(config: PipelineConfig, rows: Rows, tiers: Sequence[Tier], clock: SystemClock, wake: Wake) -> Scorer:
    """Sessions in the loop, or on threads that ring `wake` when a batch is done."""
    rows_max = max(config.engine.buckets)
    if config.engine.session == "inline":
        return InlineScorer(rows, tiers, rows_max, clock.now_ns)
    return ThreadScorer(rows, tiers, rows_max, config.engine.sessions, clock.now_ns, wake.ring)


def promises(tiers: Sequence[Tier]) -> dict[str, int]:
    """Runs of all models so far, and how many took longer than promised: one in a hundred should."""
    held = [tier.cost.calibration for tier in tiers if isinstance(tier, ModelTier)]
    return {"runs": sum(each.runs for each in held), "promises_broken": sum(each.broken for each in held)}
