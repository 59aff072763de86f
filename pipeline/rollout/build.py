"""Rollouts as a configuration asks for them, put together."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256

from features.columns import Columns
from pipeline.answering import Answerers
from pipeline.clock import SystemClock
from pipeline.config.model import PipelineConfig
from pipeline.instance import instance_name
from pipeline.rollout.control_topic import TopicReader
from pipeline.rollout.follower import Follower, TierFollow
from pipeline.rollout.keys import KeyPlaces
from pipeline.rollout.rollouts import Rollouts
from pipeline.rollout.standing_cost import StandingCost
from pipeline.rollout.tier_rollout import LoopParts, TierRollout
from pipeline.rollout.writer import RolloutWriter
from pipeline.rows import Rows
from pipeline.servings import Servings
from pipeline.tier import ModelTier, Tier
from pipeline.tiers import open_version
from pipeline.wire.rollout import ModelRef, RolloutRecord

CONFIGURED = "configured"
"""The name of the rollout that a configuration is."""


def config_sha256(config: PipelineConfig) -> str:
    """What tells one configuration from another, wherever it runs: addresses and ports are left out."""
    return sha256(config.model_dump_json(exclude={"kafka", "http"}).encode()).hexdigest()


def configured_record(config: PipelineConfig, tier: int, sha256: str = "") -> RolloutRecord:
    """What is in force for a tier while the control topic says nothing."""
    spec = config.tiers[tier]
    return RolloutRecord(
        pipeline=config.pipeline.name,
        tier=spec.name,
        rollout=CONFIGURED,
        event="rolled_back",
        stable=ModelRef(spec.model, spec.version, sha256),
        at_ms=0,
        by=CONFIGURED,
        config_sha256=config_sha256(config),
    )


def with_standing_costs(config: PipelineConfig, tiers: Sequence[Tier]) -> list[Tier]:
    """The tiers of a process: where versions may change, with costs that outlive each of them."""
    if not rolls_out(config):
        return list(tiers)
    return [replace(tier, cost=StandingCost(tier.cost)) if isinstance(tier, ModelTier) else tier for tier in tiers]


def rolls_out(config: PipelineConfig) -> bool:
    """Whether versions may change while it runs; a replay answers by what is configured."""
    return config.rollout.enabled and config.pipeline.mode == "live"


def rollouts_of(
    config: PipelineConfig,
    opened: Sequence[Tier],
    parts: tuple[Rows, list[Tier], Servings, Answerers, Columns],
    clock: SystemClock,
    wake: Callable[[], None],
    offsets: Callable[[], dict[str, tuple[int, int]]],
) -> Rollouts | None:
    """Versions beside each other, None where the configuration does not let them change.

    `opened` are the configured tiers as they were opened, the list in `parts` those with standing costs.

    Reads the control topic to its end and loads what is in force. Raises KafkaError naming the topic or the address.
    """
    if not rolls_out(config):
        return None
    rows, tiers, servings, answerers, columns = parts
    instance = instance_name()
    spec, digest = config.catalog.decided, config_sha256(config)
    places = KeyPlaces(columns, spec.schema_.index(spec.key))
    loop = LoopParts(rows, tiers, servings, answerers, places, len(config.decide.labels))
    models = {number: tier for number, tier in enumerate(opened) if isinstance(tier, ModelTier)}
    records = {number: configured_record(config, number, tier.sha256) for number, tier in models.items()}
    follower = Follower(
        TopicReader(config.kafka.consumer_settings(), config.topics.rollouts, config.engine.request_ms_max),
        RolloutWriter(config.kafka.plain_producer_settings(), config.topics.rollouts, config.topics.audit),
        [TierFollow(number, records[number], tier) for number, tier in models.items()],
        lambda number, wanted: open_version(config, tiers, number, wanted.model, wanted.version, wanted.sha256),
        instance=instance,
        config_sha256=digest,
        wall_ms=lambda: clock.instant().wall_ms,
        wake=wake,
    )
    made = {
        number: TierRollout(number, tier, records[number], config.rollout, loop) for number, tier in models.items()
    }
    follower.begin(config.engine.request_ms_max)
    rollouts = Rollouts(made, follower, clock, instance, digest, offsets)
    rollouts.begin()
    return rollouts
