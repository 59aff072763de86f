"""Who answers in each tier now: the stable version of a model, and for a share of the keys a candidate beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.servings import own_serving
from pipeline.tier import Tier

Choose = Callable[[NDArray[np.int32]], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Answerer:
    """A way to score, made ready, under its number in `Rows.serving`."""

    number: int
    tier: Tier


@dataclass(frozen=True, slots=True)
class Answering:
    """Of one tier: who answers. `choose` says of slots which of them are the candidate's."""

    stable: Answerer
    candidate: Answerer | None = None
    choose: Choose | None = None


class Answerers:
    """Who answers in which tier. The loop changes it between batches; whoever scores a batch looks once.

    So a batch ends with those that it began with, and `alive` says which of them a later batch may still need.
    """

    def __init__(self, tiers: Sequence[Tier]) -> None:
        self._of = [Answering(Answerer(own_serving(number), tier)) for number, tier in enumerate(tiers)]
        self.changes = 0
        """How often something was changed."""

    def of(self, tier: int) -> Answering:
        """Who answers in this tier."""
        return self._of[tier]

    def change(self, tier: int, answering: Answering) -> None:
        """From the next batch on these answer."""
        self._of[tier] = answering
        self.changes += 1

    def alive(self) -> frozenset[int]:
        """The numbers of all that answer now."""
        both = [each for now in self._of for each in (now.stable, now.candidate)]
        return frozenset(each.number for each in both if each is not None)
