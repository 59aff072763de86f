"""How far two samples are apart, by their counts in the same bins."""

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
PRIOR = 0.5
"""Added to each bin of both, so that one that is empty on one side is not infinitely far (Jeffreys' prior)."""


def psi(left: Counts, right: Counts) -> float:
    """The population stability index: the sum over bins of (p - q) ln(p / q), also known as Jeffreys' divergence.

    0 for equal shares and the same both ways round. Of two samples of n and m rows from one source it is (1/n + 1/m)
    times a chi-squared of bins - 1 degrees of freedom, so about (bins - 1) (1/n + 1/m).
    """
    p, q = ((counts + PRIOR) / (counts.sum() + PRIOR * len(counts)) for counts in (left, right))
    return float(((p - q) * np.log(p / q)).sum())


def ks(left: Counts, right: Counts) -> float:
    """The Kolmogorov-Smirnov distance at the edges of the bins: the largest difference of the shares below an edge.

    At most the distance of the samples themselves, so the same bound on chance holds: a sample of n rows is more than
    d from its source with a probability of at most 2 exp(-2 n d**2) (Dvoretzky, Kiefer and Wolfowitz; Massart 1990).
    """
    below = [np.cumsum(counts) / counts.sum() for counts in (left, right)]
    return float(np.abs(below[0] - below[1]).max())
