"""The cost of a tier, whichever version answers in it: what the batcher and the metrics ask, and what is swapped."""

from models.cost import Calibration
from pipeline.tier import CostModel


class StandingCost:
    """The cost model of the version that answers now, with the sums of those before it.

    Belongs to the loop's thread. `now` is the version's own model, which is what it is compared by.
    """

    def __init__(self, first: CostModel) -> None:
        self.now = first
        self._before = Calibration(0, 0, first.calibration.target_share)
        self._took_ns = 0
        self._expected_ns = 0.0

    def become(self, cost: CostModel) -> None:
        """Another version answers from now on."""
        so_far, held = self.calibration, cost.calibration
        self._before = Calibration(so_far.runs - held.runs, so_far.broken - held.broken, held.target_share)
        self._took_ns = self.took_ns - cost.took_ns
        self._expected_ns = self.expected_sum_ns - cost.expected_sum_ns
        self.now = cost

    @property
    def took_ns(self) -> int:
        """What all runs took together, of all versions."""
        return self._took_ns + self.now.took_ns

    @property
    def expected_sum_ns(self) -> float:
        """What was expected of them."""
        return self._expected_ns + self.now.expected_sum_ns

    @property
    def buckets(self) -> tuple[int, ...]:
        """The sizes that the version's model knows best."""
        return self.now.buckets

    @property
    def calibration(self) -> Calibration:
        """How promises held so far, of all versions."""
        held = self.now.calibration
        return Calibration(self._before.runs + held.runs, self._before.broken + held.broken, held.target_share)

    def observe(self, rows: int, ns: int) -> None:
        """A run of so many rows took so long."""
        self.now.observe(rows, ns)

    def promised_ns(self, rows: int) -> int:
        """How long a run of so many rows takes, as an upper quantile."""
        return self.now.promised_ns(rows)

    def expected_ns(self, rows: int) -> int:
        """How long it takes on average."""
        return self.now.expected_ns(rows)
