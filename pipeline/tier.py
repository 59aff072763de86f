"""The ways to score: a model of features, a model of images, a rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from features.model_state import ModelStatePlan
from features.rule import Rule
from models.cost import Calibration
from models.explain import Explainer
from models.manifest import ImageInput
from models.reference import Reference
from pipeline.batch import TierCost
from pipeline.servings import TierLabel


class Session(Protocol):
    """What a scorer asks of a model session."""

    def run(self, rows: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Score float32[n, features] into float32[n], or float32[n, channels, height, width] into [n, classes]."""
        ...


class StepSession(Protocol):
    """What is asked of a recurrent model's session."""

    def step(
        self,
        rows: NDArray[np.float32],
        state: NDArray[np.float32],
        out: NDArray[np.float32],
        state_next: NDArray[np.float32],
    ) -> None:
        """One event of each of n entities: float32[n, features] and [n, state] into scores [n] and next states."""
        ...


class CostModel(TierCost, Protocol):
    """What a scorer tells a tier's cost model, beside what the batcher asks of it."""

    @property
    def took_ns(self) -> int:
        """What all runs took together."""
        ...

    @property
    def expected_sum_ns(self) -> float:
        """What was expected of them, each as it stood before the run."""
        ...

    @property
    def buckets(self) -> tuple[int, ...]:
        """The sizes that it knows best."""
        ...

    def observe(self, rows: int, ns: int) -> None:
        """A run of so many rows took so long."""
        ...

    @property
    def calibration(self) -> Calibration:
        """How its promises held so far."""
        ...


@dataclass(frozen=True, slots=True)
class ImageView:
    """What a model sees of an image, and what it tells of it.

    `crop` is left, top, right, bottom as fractions; `clean` is the index of the class that is no defect.
    """

    input: ImageInput
    crop: tuple[float, float, float, float]
    pixels_max: int
    classes: tuple[str, ...]
    clean: int | None


@dataclass(frozen=True, slots=True)
class Recurrent:
    """What a recurrent model remembers, and the session that goes a step on."""

    plan: ModelStatePlan
    session: StepSession


@dataclass(frozen=True, slots=True)
class ModelTier:
    """A way to score that needs a session, and what is known of its cost. Without a `view` it takes features."""

    name: str
    session: Session
    cost: CostModel
    label: TierLabel
    thresholds: Sequence[float]
    view: ImageView | None = None
    sha256: str = ""
    """Of the model's file."""
    explainer: Explainer | None = None
    """Where reasons are asked for."""
    reference: Reference | None = None
    """Of the first tier, where drift is looked for."""
    recurrent: Recurrent | None = None
    """Of a model with state."""


@dataclass(frozen=True, slots=True)
class RuleTier:
    """A way to score that needs none: arithmetic on the features."""

    name: str
    rule: Rule
    label: TierLabel
    thresholds: Sequence[float]


Tier = ModelTier | RuleTier


def classes_of(tiers: Sequence[Tier]) -> tuple[str, ...]:
    """What the tiers' models tell apart, all of them the same; nothing where they take features."""
    return next((tier.view.classes for tier in tiers if isinstance(tier, ModelTier) and tier.view), ())
