"""How large a share may be that was counted in so many trials."""

import math


def upper_bound(hits: int, trials: int, doubt: float) -> float:
    """The one-sided upper limit of a share at confidence 1 - doubt (Clopper and Pearson 1934); 1 without a trial."""
    if hits >= trials:
        return 1.0
    low, high = hits / trials, 1.0
    for _ in range(60):
        share = (low + high) / 2
        low, high = (share, high) if _at_most(hits, trials, share) > doubt else (low, share)
    return high


def _at_most(hits: int, trials: int, share: float) -> float:
    """How likely at most so many of the trials are hits when each is with this probability."""
    if share >= 1.0:
        return 0.0
    ways = math.lgamma(trials + 1)
    return sum(
        math.exp(
            ways
            - math.lgamma(k + 1)
            - math.lgamma(trials - k + 1)
            + (k * math.log(share) if k else 0.0)
            + (trials - k) * math.log1p(-share)
        )
        for k in range(hits + 1)
    )
