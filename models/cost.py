"""What a batch costs, learned: seeded by the warm-up, updated by each run. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from models.cost_curve import CostCurve
from models.cost_residuals import Residuals

_GAIN = 1 / 32  # of the slowdown
_SHIFT_GAIN = 1 / 8  # while a shift cannot be told from noise, and after one, whose size is known from few runs
_SURPRISE_MIN, _SURPRISE_MAX = -0.5, 1.0  # a stall counts as a run of twice the expected cost
_LEAN_DOUBT = 2  # beyond it nothing is learned until it is known whether this is a shift
_LEAN_SHIFT = 7  # further than lognormal noise leans in 100,000 runs


@dataclass(frozen=True, slots=True)
class Calibration:
    """How many runs there were, and how many took longer than was promised before they were learned."""

    runs: int
    broken: int
    target_share: float

    @property
    def share(self) -> float:
        """Of the runs, how many were broken promises; 0 without runs."""
        return self.broken / self.runs if self.runs else 0.0

    def since(self, earlier: "Calibration") -> "Calibration":
        """What came after an earlier reading of the same model."""
        return Calibration(self.runs - earlier.runs, self.broken - earlier.broken, self.target_share)


class CostModel:
    """The cost of a run of one tier: a slow curve over sizes, times a fast slowdown that all sizes share.

    What is promised is the `quantile` of what was observed over what was expected, times what is expected. A
    throttled CPU or a busy neighbour shows in runs of which seven more lie in the upper part of the noise than
    not: the slowdown then moves to where they are, for sizes that were not run, too, and back in the same way. A
    single stall moves a promise by a few per cent. Noise is taken to be relative and alike for all sizes.

    One thread observes; others may ask meanwhile. `rows` is from 1 to the largest bucket. `padded`: a batch runs
    at the size of the smallest bucket that holds it.
    """

    def __init__(self, buckets: Sequence[int], quantile: float = 0.99, *, padded: bool = False) -> None:
        self._curve = CostCurve(buckets, padded=padded)
        self._residuals = Residuals(quantile)
        self._target_share = 1.0 - quantile
        self._slowdown = 1.0
        self._gain = _SHIFT_GAIN
        self._lean = 0  # towards a slowdown, or below zero towards its end: a walk that noise draws back to zero
        self._doubted_runs = 0  # since it was last so near to zero that runs were learned
        self._runs = 0
        self._broken = 0
        self.took_ns = 0
        """What all runs took together."""
        self.expected_sum_ns = 0.0
        """What was expected of them, each as it stood before the run."""

    @property
    def buckets(self) -> tuple[int, ...]:
        """The sizes whose costs are known, from runs or from each other."""
        return self._curve.buckets

    def seed(self, bucket: int, runs_ns: Sequence[int]) -> None:
        """The warm-up's runs of a bucket: its cost is their median. ValueError for a size that is no bucket."""
        if bucket not in self._curve.buckets:
            raise ValueError(f"bucket: expected one of {list(self._curve.buckets)}, found {bucket}")
        if runs_ns:
            self._curve.set(bucket, median(runs_ns) / self._slowdown)

    def observe(self, rows: int, ns: int) -> None:
        """A run of so many rows took so long."""
        curve, residuals, slowdown = self._curve, self._residuals, self._slowdown
        curve_ns = curve.at(rows)
        self._runs += 1
        self.took_ns += ns
        self.expected_sum_ns += curve_ns * slowdown
        if ns > curve_ns * (slowdown * residuals.upper):
            self._broken += 1
        if curve.unmet and curve.meet(rows, ns / slowdown):
            return
        ratio = (ns or 1) / (curve_ns * slowdown)
        lean = self._lean
        if ratio > residuals.high:
            self._lean = lean = lean + 1
        elif ratio < residuals.low:
            self._lean = lean = lean - 1
        elif lean:
            self._lean = lean = lean - 1 if lean > 0 else lean + 1
        residuals.add(ratio)
        if -_LEAN_DOUBT <= lean <= _LEAN_DOUBT:
            self._doubted_runs = 0
            surprise = ratio - 1.0
            if surprise > _SURPRISE_MAX:
                surprise = _SURPRISE_MAX
            elif surprise < _SURPRISE_MIN:
                surprise = _SURPRISE_MIN
            gain = self._gain
            self._slowdown = slowdown * (1.0 + gain * surprise)
            if gain > _GAIN and residuals.low:
                self._gain = gain / (1.0 + gain)
            curve.learn(rows, surprise)
        else:
            self._doubted_runs += 1
            if lean in (-_LEAN_SHIFT, _LEAN_SHIFT):
                self._shift()

    def _shift(self) -> None:
        self._slowdown *= self._residuals.rebase(self._doubted_runs)
        self._gain = _SHIFT_GAIN
        self._lean = self._doubted_runs = 0

    def expected_ns(self, rows: int) -> int:
        """How long a run takes on average, where a stall counts as twice the average."""
        return int(self._curve.at(rows) * self._slowdown)

    def promised_ns(self, rows: int) -> int:
        """How long a run takes at most, as often as `quantile` says. May be less for more rows."""
        return int(self._curve.at(rows) * (self._slowdown * self._residuals.upper))

    def rows_within(self, slack_ns: int, rows_max: int) -> int:
        """The largest number of rows, up to `rows_max` and the largest bucket, promised within the slack, or 0."""
        return self._curve.rows_below(slack_ns + 1, self._slowdown * self._residuals.upper, rows_max)

    def efficient_rows(self, rows_max: int) -> int:
        """The bucket, up to `rows_max`, that costs least a row; the smallest of those within 2 % of it.

        `rows_max` itself when every bucket is larger.
        """
        return self._curve.efficient_rows(rows_max)

    @property
    def calibration(self) -> Calibration:
        """How the promises have been kept so far."""
        broken = self._broken  # first: a run observed in between must not make more broken than run
        return Calibration(self._runs, broken, self._target_share)
