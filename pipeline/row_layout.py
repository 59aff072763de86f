"""What the rows of a pipeline hold beside times and scores: which columns there are, and what they are called."""

from collections.abc import Sequence
from dataclasses import dataclass

from features.outcome_state import OutcomePlan, plan_outcomes
from features.state import FeatureSet
from pipeline.config.model import PipelineConfig
from pipeline.config.problems import ConfigError, Problem, near
from pipeline.image.measures import MEASURES
from pipeline.overrides import Override, Place
from pipeline.rows import Rows
from pipeline.tier import Tier, classes_of

SAME, LIKE, SUPERSEDED = "same_frame", "like_frame", "superseded"
"""Reasons that the engine gives: the frame's bytes were seen before; a like one of the camera was (in so many bits it
differs); a newer one of the key was waiting."""
NONE = -1


@dataclass(frozen=True)
class RowLayout:
    """Names in the order of their columns. `overrides` are numbered as `reasons`, which begin with theirs."""

    features: tuple[str, ...]
    measures: tuple[str, ...]
    outcomes: tuple[str, ...]
    classes: tuple[str, ...]
    reasons: tuple[str, ...]
    overrides: tuple[Override, ...]
    traced: bool = False
    explained: int = 0
    """How many features may be told as reasons of a row."""

    @property
    def published(self) -> tuple[str, ...]:
        """The numbers that a decision can carry."""
        return self.features + self.measures + self.outcomes

    def reason(self, name: str) -> int:
        """The column of one of the engine's own reasons, NONE where it is never given."""
        return self.reasons.index(name) if name in self.reasons else NONE

    def new_rows(self, capacity_rows: int) -> Rows:
        """Empty rows with these columns."""
        return Rows(
            capacity_rows,
            len(self.features),
            classes=len(self.classes),
            measures=len(self.measures),
            outcomes=len(self.outcomes),
            reasons=len(self.reasons),
            explained=self.explained,
            traced=self.traced,
        )


def measures_of(config: PipelineConfig) -> tuple[str, ...]:
    """What is measured of each event's pixels: nothing where it has none."""
    return MEASURES if config.catalog.decided.format == "image" else ()


def features_of(config: PipelineConfig) -> FeatureSet:
    """The features of a pipeline and what it keeps of outcomes. Raises ValueError that names what does not fit."""
    plans: list[OutcomePlan] = []
    for name, spec in config.outcome_state.items():
        first = sum(len(plan.names) for plan in plans)
        plans.append(plan_outcomes(name, spec, config.catalog.decided.schema_, measures_of(config), first))
    return FeatureSet(config.catalog, plans)


def layout_of(config: PipelineConfig, features: FeatureSet, tiers: Sequence[Tier]) -> RowLayout:
    """The columns that this configuration asks for. Raises ConfigError when it overrides by what there is not."""
    outcomes = tuple(name for plan in features.outcomes for name in plan.names)
    sources = (features.names, measures_of(config), outcomes)
    reasons = [override.reason for override in config.overrides]
    reasons += [SAME] if config.reuse.exact_rows and measures_of(config) else []
    reasons += [LIKE] if config.reuse.near_bits >= 0 else []
    reasons += [SUPERSEDED] if config.pipeline.coalesce else []
    overrides = tuple(_override(config, number, sources) for number in range(len(config.overrides)))
    explained = min(config.explain.top, len(features.names)) if config.explain.decisions else 0
    return RowLayout(*sources, classes_of(tiers), tuple(reasons), overrides, config.trace.reads_headers, explained)


def _override(config: PipelineConfig, number: int, sources: Sequence[tuple[str, ...]]) -> Override:
    spec = config.overrides[number]
    for source, names in enumerate(sources):
        if spec.feature in names:
            limit = spec.below if spec.below is not None else spec.above
            assert limit is not None
            place, decision = Place(source, names.index(spec.feature)), config.decide.labels.index(spec.decision)
            return Override(place, limit, spec.above is not None, decision)
    known = [name for names in sources for name in names]
    text = f"{spec.feature!r} is known of no row{near(spec.feature, known)}"
    raise ConfigError("", [Problem(f"overrides.{number}.feature", text)])
