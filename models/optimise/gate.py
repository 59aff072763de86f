"""The gate: what a variant has to be to be registered, and what is said of one that is not."""

from dataclasses import dataclass

import numpy as np

from models.bootstrap import Interval
from models.manifest import ModelError
from models.optimise.measure import Cost, Floats, Likeness


class GateError(ModelError):
    """A variant that may not be registered: its name, what was found and the limit, one line a finding."""


@dataclass(frozen=True)
class Limits:
    """How far a variant may be from the model it was made of."""

    quality_drop_max: float = 0.005
    """Of accuracy or average precision, absolute; the upper end of its interval is held to this."""
    agreement_min: float = 0.98
    """The share of held-out rows that both decide alike."""
    cost_ratio_max: float = 0.95
    """CPU time a row over the original's; one that saves less than this is not worth a version."""


def not_finite(name: str, answers: Floats) -> str:
    """What is wrong with answers that hold NaN or infinities; empty where they do not."""
    odd = ~np.isfinite(answers)
    rows = int(odd.reshape(len(answers), -1).any(axis=1).sum())
    return f"{name}: {rows} of {len(answers)} answers are not finite, expected none" if rows else ""


def refusals(
    name: str, of: str, measure: str, likeness: Likeness, drop: Interval, cost: Cost, limits: Limits
) -> list[str]:
    """Why a variant may not be registered, a line a limit that it is beyond; none where it may."""
    found = []
    if likeness.agreement < limits.agreement_min:
        found.append(
            f"{name}: decides {likeness.agreement:.2%} of {likeness.rows} held-out rows as {of} does, "
            f"expected at least {limits.agreement_min:.2%}"
        )
    if drop.high > limits.quality_drop_max + 1e-9:
        found.append(
            f"{name}: loses {drop.value:.4f} of {measure}, and it may be {drop.high:.4f} (95 % confidence), "
            f"expected at most {limits.quality_drop_max:g}"
        )
    if cost.ratio > limits.cost_ratio_max:
        found.append(
            f"{name}: takes {cost.ratio:.3f} of the CPU time of {of}, expected at most {limits.cost_ratio_max:g}"
        )
    return found
