"""How far runs lie from what was expected of them: quantiles of the last ratios of observed to expected cost."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from math import inf, sqrt

HELD = 24
"""So many ratios are held back before they count: more than it takes to know a shift."""
_RANK_MIN = 3  # of the ratio promised by, counted from the largest: a single stall, or two, are no quantile
_WINDOW = 300
_SPREAD_EVERY = 16  # ratios, between two looks at their spread
_SPREAD_MIN = 32  # ratios, below which it is not known
_MARGIN = 0.1  # of the spread: what the expectation itself wanders by chance
_YOUNG_UPPER = 2.0  # while there are too few ratios for the quantile: at least this,
_YOUNG_ROOM, _YOUNG_RANK = 1.25, 2  # and so much above the second largest, since the largest may be a stall


class Residuals:
    """The quantile of the last ratios, exact, over a window long enough for it to be no outlier.

    The last `HELD` ratios do not count yet: should they turn out to belong to a shift, they say nothing of the
    noise, and `rebase` measures them against the new level first. For ratios drawn alike, the next one is above
    `upper` with the chance 1 - quantile, whatever their distribution, once the window is full. While it holds
    too few for that, `upper` is a quarter above the second largest, and at least 2.
    """

    def __init__(self, quantile: float) -> None:
        if not 0.5 <= quantile <= 0.999:
            raise ValueError(f"quantile: expected 0.5 to 0.999, found {quantile}")
        self._excess = 1.0 - quantile
        # The chance that the next of n + 1 alike is among the k largest is k / (n + 1).
        rank = max(_RANK_MIN, round(_WINDOW * self._excess))
        window = round(rank / self._excess) - 1
        self._place = window - rank
        self._size = self._room = window + HELD
        self._ring = [1.0] * self._size
        self._next = 0
        self._sorted: list[float] = []
        self.upper = _YOUNG_UPPER
        """What a ratio is promised to stay below."""
        self.high, self.low = inf, 0.0
        """About a sixth of the ratios lie above, a sixth below; never any, until enough are known."""

    def add(self, ratio: float) -> None:
        """Take in the ratio of a run; the one that came `HELD` before it starts to count."""
        at, ring = self._next, self._ring
        leaving = ring[at]
        ring[at] = ratio
        entering = ring[at - HELD]
        at += 1
        if at == self._size:
            at = 0
        self._next = at
        if self._room:
            self._grow(entering)
            return
        ordered = self._sorted
        del ordered[bisect_left(ordered, leaving)]
        insort(ordered, entering)
        self.upper = ordered[self._place]
        if not at % _SPREAD_EVERY:
            self._spread()

    def _grow(self, entering: float) -> None:
        self._room -= 1
        if self._size - self._room <= HELD:
            return
        insort(self._sorted, entering)
        count = len(self._sorted)
        rank = int((count + 1) * self._excess + 1e-9)
        if rank >= _YOUNG_RANK:
            self.upper = self._sorted[-rank]
        elif count >= _YOUNG_RANK:
            self.upper = max(_YOUNG_UPPER, _YOUNG_ROOM * self._sorted[-_YOUNG_RANK])
        if count >= _SPREAD_MIN:
            self._spread()

    def _spread(self) -> None:
        ordered, count = self._sorted, len(self._sorted)
        margin = (ordered[count * 19 // 20] / ordered[count // 20]) ** _MARGIN
        self.high = ordered[count * 3 // 4] * margin
        self.low = ordered[count // 4] / margin

    def rebase(self, runs: int) -> float:
        """The last runs, of which `HELD` count at most, are a shift: returns how many times as high the level is now.

        All ratios held back that lie nearer to it than to the old level are measured against it. The spread must
        be known.
        """
        ring, held = self._ring, [self._next - back for back in range(1, HELD + 1)]
        shift = _midmean(sorted(ring[at] for at in held[:runs])) / _midmean(self._sorted)
        halfway = sqrt(shift)
        for at in held:
            if (ring[at] > halfway) == (shift > 1.0):
                ring[at] /= shift
        return shift


def _midmean(ordered: Sequence[float]) -> float:
    """The mean of the middle half: unlike the median, it does not jump between two ways to run."""
    quarter = len(ordered) // 4
    middle = ordered[quarter : len(ordered) - quarter]
    return sum(middle) / len(middle)
