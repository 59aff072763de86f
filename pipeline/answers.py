"""Which rows of a scored batch have their answer, and how good it is, where there is more than one ladder."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.batch import Batch, Ladder
from pipeline.cascade import Cascade
from pipeline.rows import Rows
from pipeline.standing import Standing


class Answers:
    """Looks at each scored batch before its rows are decided. Belongs to the loop's thread.

    `asked` has, for each ladder whose best tier is not the pipeline's, that tier and what its answers are then: not
    degraded, since no more was asked for. A cascade's first stage is `stages[0]`, its second `stages[1]`.
    """

    def __init__(
        self,
        rows: Rows,
        asked: Mapping[int, tuple[int, Standing]],
        cascade: Cascade | None = None,
        stages: tuple[Ladder, Ladder] | None = None,
    ) -> None:
        self._rows = rows
        self._asked = asked
        self.cascade = cascade
        self._stages = stages

    def of(self, batch: Batch, slots: NDArray[np.int32]) -> NDArray[np.int32]:
        """The rows of a scored batch, `slots` of which are alive, that have their answer; the others get another."""
        if self.cascade is not None and self._stages is not None:
            first, second = self._stages
            if batch.ladder == second.number:
                self.cascade.second(slots, batch.tier)
            elif batch.ladder == first.number and batch.tier == first.tiers[0]:
                return self.cascade.first(slots)
        if batch.ladder in self._asked:
            tier, standing = self._asked[batch.ladder]
            if batch.tier == tier:
                self._rows.serving[slots] = standing.of(self._rows.serving[slots])
        return slots

    def kept(self, slots: NDArray[np.int32], now_ns: int) -> int:
        """These rows keep the score that they have, as nothing better can answer them in time; returns its tier."""
        assert self.cascade is not None
        assert self._stages is not None
        self.cascade.kept(slots, now_ns)
        return self._stages[0].tiers[0]

    def counts(self) -> Mapping[str, int]:
        """Running totals for the metrics."""
        return {} if self.cascade is None else self.cascade.counts()

    def levels(self) -> Mapping[str, float]:
        """What is as it is now, for the metrics."""
        return {} if self.cascade is None else self.cascade.watch.levels()
