"""The configured tiers made ready: models loaded and checked, sessions warmed, costs seeded; rules compiled."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from features.rule import Rule
from models.buckets import worthwhile_buckets
from models.cost import CostModel
from models.repository import Repository
from models.session import CUDA, ModelSession
from pipeline.config.model import PipelineConfig
from pipeline.config.sections import TierSection
from pipeline.scorer import ModelTier, RuleTier, Tier
from pipeline.wire.decision import TierLabel


def open_tiers(config: PipelineConfig, feature_names: Sequence[str]) -> list[Tier]:
    """One tier for each that is configured, best first.

    Raises ValueError or FileNotFoundError naming the model and what does not fit: hash, inputs, provider; or the
    rule and the feature that is not there.
    """
    folder = config.models.folder
    repository = Repository(Path(folder)) if folder else Repository.shipped()
    return [
        _rule(config, spec, feature_names) if spec.rule else _model(config, spec, feature_names, repository)
        for spec in config.tiers
    ]


def _rule(config: PipelineConfig, spec: TierSection, feature_names: Sequence[str]) -> RuleTier:
    rule = Rule(f"tiers: {spec.name}: rule", spec.rule, feature_names)
    return RuleTier(spec.name, rule, TierLabel(spec.name, None, None, None), _thresholds(config, spec))


def _model(
    config: PipelineConfig, spec: TierSection, feature_names: Sequence[str], repository: Repository
) -> ModelTier:
    entry = repository.load(spec.model, spec.version)
    session = ModelSession(
        entry, providers=spec.providers, buckets=config.engine.buckets, feature_names=feature_names
    )
    runs_ns = session.warm()
    if session.provider == CUDA:
        # There a batch is padded to a warmed size: one that saves nothing would only hold memory.
        curve = {bucket: median(runs) for bucket, runs in runs_ns.items()}
        kept = {*worthwhile_buckets(curve, max(curve)), max(curve)}
        runs_ns = {bucket: runs for bucket, runs in runs_ns.items() if bucket in kept}
        session.keep(kept)
    cost = CostModel(sorted(runs_ns), padded=session.provider == CUDA)
    for bucket, runs in runs_ns.items():
        cost.seed(bucket, runs)
    label = TierLabel(spec.name, spec.model, spec.version, session.provider)
    return ModelTier(spec.name, session, cost, label, _thresholds(config, spec))


def _thresholds(config: PipelineConfig, spec: TierSection) -> Sequence[float]:
    return config.decide.thresholds if spec.thresholds is None else spec.thresholds
