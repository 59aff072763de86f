"""The configured tiers made ready: models loaded and checked, sessions warmed, costs seeded."""

from collections.abc import Sequence
from pathlib import Path

from models.cost import CostModel
from models.repository import Repository
from models.session import CUDA, ModelSession
from pipeline.config.model import PipelineConfig
from pipeline.scorer import Tier
from pipeline.wire.decision import TierLabel


def open_tiers(config: PipelineConfig, feature_names: Sequence[str]) -> list[Tier]:
    """One tier for each that is configured, best first.

    Raises ValueError or FileNotFoundError naming the model and what does not fit: hash, inputs, provider.
    """
    folder = config.models.folder
    repository = Repository(Path(folder)) if folder else Repository.shipped()
    tiers = []
    for spec in config.tiers:
        entry = repository.load(spec.model, spec.version)
        session = ModelSession(
            entry, providers=spec.providers, buckets=config.engine.buckets, feature_names=feature_names
        )
        cost = CostModel(config.engine.buckets, padded=session.provider == CUDA)
        for bucket, runs_ns in session.warm().items():
            cost.seed(bucket, runs_ns)
        label = TierLabel(spec.name, spec.model, spec.version, session.provider)
        tiers.append(Tier(spec.name, session, cost, label, config.decide.thresholds))
    return tiers
