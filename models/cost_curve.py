"""What a run costs by its size: a line through the buckets' costs, of any shape, moved a little by every run."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from operator import truediv

UNKNOWN_NS = 1_000_000.0
"""What any size is taken to cost before the first run."""
_GAIN = 1 / 32  # of a bucket's cost, once many runs were seen; before that it is about the mean of those seen
_TIE = 1.02  # sizes whose cost a row differs by less are equally efficient


class CostCurve:
    """The cost of 1 to `buckets[-1]` rows; nothing is assumed of its shape, a larger run may cost less.

    Between two buckets the cost lies on the line between theirs, since a batch runs at its own size; with
    `padded` it is that of the larger one. Every run teaches the bucket nearest to it (with `padded`, the one it
    was padded to). A bucket that has neither been set nor run takes its cost from those that have: from the line
    between its neighbours, in proportion to its rows above the largest of them, and as much as the smallest of
    them below it.
    """

    def __init__(self, buckets: Sequence[int], *, padded: bool = False) -> None:
        if not buckets or buckets[0] < 1 or any(low >= high for low, high in pairwise(buckets)):
            raise ValueError(f"buckets: expected rising sizes from 1 on, found {list(buckets)}")
        self.buckets = tuple(buckets)
        self.rows_max = self.buckets[-1]
        self.unmet = len(self.buckets)
        """How many buckets have neither been set nor run."""
        self._padded = padded
        self._met = [False] * len(self.buckets)
        self._ns = [UNKNOWN_NS] * len(self.buckets)
        self._gain = [0.5] * len(self.buckets)
        # By rows: the smallest bucket that holds them, how much of their cost is its own and not the one's below,
        # and the bucket they teach.
        sizes = range(self.rows_max + 1)
        self._above = [bisect_left(self.buckets, rows) for rows in sizes]
        self._share = [self._share_of(rows) for rows in sizes]
        self._nearest = [above - (share < 0.5) for above, share in zip(self._above, self._share, strict=True)]

    def _share_of(self, rows: int) -> float:
        above = self._above[rows]
        if above == 0 or self._padded:
            return 1.0
        below_rows = self.buckets[above - 1]
        return (rows - below_rows) / (self.buckets[above] - below_rows)

    def at(self, rows: int) -> float:
        """The cost of a run in ns; above the largest bucket in proportion to it."""
        if rows > self.rows_max:
            return self._ns[-1] * rows / self.rows_max
        above, share = self._above[rows], self._share[rows]
        if share == 1.0:
            return self._ns[above]
        below_ns = self._ns[above - 1]
        return below_ns + share * (self._ns[above] - below_ns)

    def learn(self, rows: int, surprise: float) -> None:
        """A run cost 1 + `surprise` times what `at` says."""
        nearest = self._nearest[rows] if rows <= self.rows_max else -1
        gain = self._gain[nearest]
        self._ns[nearest] *= 1.0 + gain * surprise
        if gain > _GAIN:
            self._gain[nearest] = gain / (1.0 + gain)

    def meet(self, rows: int, ns: float) -> bool:
        """Take a run for the first of its bucket; False when that has been met before."""
        nearest = self._nearest[min(rows, self.rows_max)]
        if self._met[nearest]:
            return False
        self.set(self.buckets[nearest], ns, gain=0.5)
        return True

    def set(self, bucket: int, ns: float, gain: float = _GAIN) -> None:
        """The cost of the bucket is known; the next run of it moves it by `gain`, the ones after it by less."""
        index = self.buckets.index(bucket)
        self._ns[index] = max(1.0, ns)
        self._gain[index] = gain
        self._met[index] = True
        self.unmet = self._met.count(False)
        self._fill()

    def _fill(self) -> None:
        met = [index for index, is_met in enumerate(self._met) if is_met]
        for index, rows in enumerate(self.buckets):
            if self._met[index]:
                continue
            place = bisect_left(met, index)
            if place == 0:
                self._ns[index] = self._ns[met[0]]
                continue
            low = met[place - 1]
            low_rows, low_ns = self.buckets[low], self._ns[low]
            if place == len(met):
                self._ns[index] = low_ns * rows / low_rows
            else:
                high = met[place]
                share = (rows - low_rows) / (self.buckets[high] - low_rows)
                self._ns[index] = low_ns + share * (self._ns[high] - low_ns)

    def rows_below(self, limit: float, scale: float, rows_max: int) -> int:
        """The largest number of rows, up to `rows_max` and the largest bucket, with `at(rows) * scale < limit`, or 0.

        A larger number may cost less than a smaller one: the search is from above, line by line.
        """
        top = min(rows_max, self.rows_max)
        if top < 1:
            return 0
        top_ns = self.at(top)
        if top_ns * scale < limit:
            return top
        for below in range(self._above[top] - 1, -1, -1):
            below_ns, rows = self._ns[below], self.buckets[below]
            if below_ns * scale < limit:
                if self._padded:
                    return rows
                rows += int((top - rows) * (limit / scale - below_ns) / (top_ns - below_ns))
                # The line rises here, so that rounding is all that can be left to put right.
                while rows < top and self.at(rows + 1) * scale < limit:
                    rows += 1
                while rows > self.buckets[below] and self.at(rows) * scale >= limit:
                    rows -= 1
                return rows
            top, top_ns = rows, below_ns
        return 0

    def efficient_rows(self, rows_max: int) -> int:
        """The bucket, up to `rows_max`, that costs least a row; the smallest of those within 2 % of it.

        `rows_max` itself when every bucket is larger.
        """
        a_row = list(map(truediv, self._ns, self.buckets[: bisect_right(self.buckets, rows_max)]))
        if not a_row:
            return rows_max
        enough = _TIE * min(a_row)
        return next(rows for rows, ns in zip(self.buckets, a_row, strict=False) if ns <= enough)
