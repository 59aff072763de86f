"""Who answers: every model version, and every rule, that answers in a tier has a number, and each row says which.

A tier is a rung of the ladder; who answers on it may change while the process runs (another version), and more than
one may at once (a canary beside the stable version, a cheap model before the dear one).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from models.explain import Explainer

EXPIRED = 0
"""The number in `Rows.serving` of a row that nobody answered."""
EXPIRED_TIER = "expired"


class TierLabel(NamedTuple):
    """What decisions of one tier say of it; a rule has no model, version or provider."""

    tier: str
    model: str | None
    version: str | None
    provider: str | None


NOBODY = TierLabel(EXPIRED_TIER, None, None, None)


@dataclass(frozen=True, slots=True)
class Serving:
    """One model version or rule, answering in tier `tier` of the ladder (0 is the best).

    `degraded`: its answers are worth less than what was asked for, so that their outcome is `degraded`. `thresholds`
    are where the decisions above the lowest begin in its scores, ascending; none where classes decide. `explainer`
    says why it scored a row as it did, where reasons are asked for.
    """

    label: TierLabel
    tier: int
    degraded: bool
    thresholds: tuple[float, ...] = ()
    explainer: Explainer | None = None


class Servings:
    """The servings of a process by number, 1 and up in the order they were added; none is ever taken away.

    So a number in a row, a trace or a record means the same for as long as the process lives. The first ones are
    the configured model or rule of each tier: that of tier t is number t + 1. Belongs to the loop's thread.
    """

    def __init__(self, first: Iterable[Serving] = ()) -> None:
        self._of: list[Serving] = []
        for serving in first:
            self.add(serving)

    @classmethod
    def of_ladder(cls, ladder: Sequence[tuple[TierLabel, Sequence[float]]]) -> "Servings":
        """The labels and thresholds of each tier's own, best first: only the best is not degraded."""
        return cls(
            Serving(label, tier, tier > 0, tuple(thresholds)) for tier, (label, thresholds) in enumerate(ladder)
        )

    def __len__(self) -> int:
        return len(self._of)

    def of(self, number: int) -> Serving:
        """The serving with this number, which must not be EXPIRED."""
        return self._of[number - 1]

    def all(self) -> Sequence[Serving]:
        """All of them, that with number 1 first; a view that grows."""
        return self._of

    def add(self, serving: Serving) -> int:
        """Give it a number. Raises ValueError when its thresholds cannot decide as the others' do."""
        limits, name = serving.thresholds, serving.label.tier
        if any(low > high for low, high in pairwise(limits)):
            raise ValueError(f"thresholds of tier {name} are {list(limits)}, expected in ascending order")
        if self._of and len(limits) != len(self._of[0].thresholds):
            first = self._of[0]
            raise ValueError(
                f"tier {name} has {len(limits)} thresholds, tier {first.label.tier} has {len(first.thresholds)}: "
                f"all decide between the same labels"
            )
        self._of.append(serving)
        return len(self._of)


def own_serving(tier: int) -> int:
    """The number of the configured model or rule of a tier."""
    return tier + 1
