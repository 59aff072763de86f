"""Whether a candidate must go, by what was seen of it beside the stable version. Pure.

Looked at often, a test finds something in the end. So there are looks at numbers of rows that grow by half each, the
k-th of which may err with 6/(pi k)^2 of the stated false-alarm rate, shared out evenly between all that is compared:
together they err no more often than stated, however long it goes on.
"""

from dataclasses import dataclass
from math import log, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from pipeline.rollout.evidence import CANDIDATE, STABLE, Evidence
from pipeline.rollout.quantile import t_quantile

GROUPS_MIN = 8
"""Groups of keys with rows on both sides, as many as rows are spread over: of fewer, chance cannot be told."""
LOOK_ROWS = 100
_GROWTH = 1.5


@dataclass(frozen=True, slots=True)
class Rules:
    """What is allowed of a candidate. Differences are those that are surely there, not those that were seen."""

    false_alarm: float
    score_ks_max: float
    decision_share_max: float
    cost_ratio_max: float
    not_finite_max: int
    errors_max: int


class Looks:
    """When to look, by the candidate's rows, and with which part of the false-alarm rate."""

    def __init__(self) -> None:
        self._number = 0
        self._next_rows = LOOK_ROWS

    def due(self, rows: int) -> float:
        """The part for this look, 0 when it is none; each look is had once."""
        if rows < self._next_rows:
            return 0.0
        while self._next_rows <= rows:
            self._next_rows = int(self._next_rows * _GROWTH) + 1
        self._number += 1
        return 6.0 / (pi * self._number) ** 2


def failed(evidence: Evidence, rules: Rules) -> str | None:
    """What needs no statistics: scores that are no numbers, runs that raised. Why it must go, or None."""
    if evidence.not_finite > rules.not_finite_max:
        return f"{evidence.not_finite} scores were no finite number, {rules.not_finite_max} are allowed"
    if evidence.errors > rules.errors_max:
        return f"{evidence.errors} runs of its session failed, {rules.errors_max} are allowed"
    return None


def judged(evidence: Evidence, rules: Rules, part: float, *, paired: bool = False) -> str | None:
    """Why it must go by what was seen so far, None when it need not; `part` is of the false-alarm rate.

    `paired`: both sides' rows are the same ones.
    """
    cuts, labels = evidence.bins.shape[2] - 1, evidence.labels.shape[2]
    alpha = rules.false_alarm * part / 3.0
    if _surely_slow(evidence, alpha) > 0.5:
        return (
            f"{evidence.slow_runs} of {evidence.runs} runs took more than {rules.cost_ratio_max:g} times "
            f"what the stable version takes"
        )
    compared = (
        ("score distributions", np.cumsum(evidence.bins, axis=2)[:, :, :-1], alpha / cuts, rules.score_ks_max),
        ("shares of a decision", evidence.labels, alpha / labels, rules.decision_share_max),
    )
    rows = evidence.labels.sum(axis=2)
    for what, counts, tail, allowed in compared:
        found = _differences(counts, rows, tail, paired=paired)
        if found is not None and found[1] > allowed:
            seen = f"{evidence.candidate_rows} rows {'of both' if paired else f'beside {evidence.stable_rows}'}"
            return f"{what} differ by {found[0]:.3f}, surely by {found[1]:.3f}, {allowed:g} is allowed ({seen})"
    return None


def _surely_slow(evidence: Evidence, alpha: float) -> float:
    """The share of slow runs that is surely exceeded (Hoeffding, 1963): above one half, the median run is slow."""
    if not evidence.runs:
        return 0.0
    return evidence.slow_runs / evidence.runs - sqrt(-log(alpha) / (2.0 * evidence.runs))


def _differences(
    counts: NDArray[np.int64], rows: NDArray[np.int64], alpha: float, *, paired: bool
) -> tuple[float, float] | None:
    """How far the two sides' shares are apart in the column where that is surest: as seen and as is sure.

    `counts` is int64[2, groups, columns], of `rows` int64[2, groups]. Rows of a key are alike, so what a share varies
    by is taken from the groups: the ratio estimator of cluster sampling (Cochran, Sampling Techniques, 6.3), and no
    less than independent rows would vary. Of sides with rows of their own nothing can be said (None) while few groups
    have most of the rows. Pairs need no such care: whatever the keys are, both versions were asked about the same.
    """
    total = rows.sum(axis=1)
    if not total.all():
        return None
    groups = float((total**2 / (rows.astype(np.float64) ** 2).sum(axis=1)).min())
    if groups < GROUPS_MIN and not paired:
        return None
    share = counts.sum(axis=1) / total[:, None]
    seen = share[CANDIDATE] - share[STABLE]
    # A share seen as 0 or 1 may be a little off: a row more of either kind (Agresti and Coull, 1998).
    near = (counts.sum(axis=1) + 1.0) / (total[:, None] + 2.0)
    if paired:
        apart = counts[CANDIDATE] - counts[STABLE] - seen * rows[CANDIDATE, :, None]
        between = (apart**2).sum(axis=0) / total[0] ** 2
        # A pair differs in no more rows than are on either side of the cut.
        differing = np.minimum(near.sum(axis=0), 2.0 - near.sum(axis=0))
        alone = differing / total[0]
    else:
        apart = counts - share[:, None, :] * rows[:, :, None]
        between = ((apart**2).sum(axis=1) / total[:, None] ** 2).sum(axis=0)
        alone = (near * (1.0 - near) / total[:, None]).sum(axis=0)
    freedom = max(3.0, groups - 1.0)
    variance = np.maximum(between * (1.0 + 1.0 / freedom), alone)
    surely = np.abs(seen) - t_quantile(alpha / 2.0, freedom) * np.sqrt(variance)
    worst = int(surely.argmax())
    return float(abs(seen[worst])), float(surely[worst])


def psi(evidence: Evidence) -> float:
    """The population stability index between both sides' scores: the symmetric Kullback-Leibler divergence.

    Half a row is added to each bin, so that an empty one is finite.
    """
    rows = evidence.bins.sum(axis=1) + 0.5
    share = rows / rows.sum(axis=1)[:, None]
    return float(((share[CANDIDATE] - share[STABLE]) * np.log(share[CANDIDATE] / share[STABLE])).sum())


def ks(evidence: Evidence) -> float:
    """How far the distributions of both sides' scores are apart at most, as seen; 0 while one side has none."""
    rows = evidence.bins.sum(axis=1)
    total = rows.sum(axis=1)
    if not total.all():
        return 0.0
    share = np.cumsum(rows, axis=1) / total[:, None]
    return float(np.abs(share[CANDIDATE] - share[STABLE]).max())
