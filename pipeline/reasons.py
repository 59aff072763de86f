"""Reasons of the decisions that need them: after the score, before the decision is written, where there is time."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from pipeline.batch import NEVER_NS, Batching
from pipeline.clock import SystemClock
from pipeline.config.model import PipelineConfig
from pipeline.outlet import Publisher
from pipeline.reason_budget import ReasonBudget
from pipeline.row_layout import RowLayout
from pipeline.rows import Outcome, Rows
from pipeline.servings import Servings

WARM_ROWS = 64
_EXPIRED = int(Outcome.EXPIRED)
_NEVER_NS = NEVER_NS


@kernel(
    "int64(int32[::1], int64, int8[::1], int32[::1], int8[::1], float32[::1], int64[::1], int8[::1], int8[::1],"
    " int32[::1], int64[::1])"
)
def _choose(
    slots: Any,
    ready_ns: int,
    outcome: Any,
    serving: Any,
    decision: Any,
    score: Any,
    deadline_ns: Any,
    explains: Any,
    ranks: Any,
    chosen: Any,
    due: Any,
) -> int:
    """Which rows need reasons, those of the most important decision first; returns how many.

    `due[0]` becomes the first deadline, of any row, that can still be met when handed over at `ready_ns`.
    """
    due[0] = _NEVER_NS
    most = -1
    for index in range(len(slots)):
        slot = slots[index]
        if ready_ns <= deadline_ns[slot] < due[0]:
            due[0] = deadline_ns[slot]
        most = max(most, ranks[decision[slot]])
    count = 0
    for rank in range(most + 1):
        for index in range(len(slots)):
            slot = slots[index]
            if ranks[decision[slot]] != rank or outcome[slot] == _EXPIRED or not np.isfinite(score[slot]):
                continue
            if explains[serving[slot]]:
                chosen[count] = slot
                count += 1
    return count


class Reasons:
    """Writes `rows.explained` and `rows.attributions` of decided rows that need reasons; others' are left as claimed.

    Whom `servings` has an explainer for is explained, one that is added later too. `ranks` has for each decision its
    place among those that need reasons, -1 for one that does not. `share` is that of the loop's time which they may
    take, None for all that it takes and whatever the deadlines. `typical_ns` says how long a delivery takes and
    `wake_ns` when the batcher needs the loop again: reasons are done before. Rows that need reasons and got none are
    counted in `skipped`. Belongs to the loop's thread.
    """

    def __init__(
        self,
        rows: Rows,
        servings: Servings,
        ranks: Sequence[int],
        share: float | None,
        now_ns: Callable[[], int],
        typical_ns: Callable[[], int],
        wake_ns: Callable[[], int],
    ) -> None:
        self._rows = rows
        self._servings = servings
        self._ranks = np.array(ranks, np.int8)
        self._now_ns, self._typical_ns, self._wake_ns = now_ns, typical_ns, wake_ns
        self._chosen: NDArray[np.int32] = np.zeros(rows.capacity_rows, np.int32)
        self._due: NDArray[np.int64] = np.zeros(1, np.int64)
        self.given = self.skipped = self.took_ns = 0
        self._know()
        self._budget = None if share is None else ReasonBudget(share, now_ns(), self._warm())

    def _know(self) -> None:
        """Take in the servings that there are by now: number 0 is nobody's."""
        every = self._servings.all()
        self._known = len(every)
        self._explainers = {n: each.explainer for n, each in enumerate(every, 1) if each.explainer is not None}
        self._explains = np.array([n in self._explainers for n in range(self._known + 1)], np.int8)

    def _warm(self) -> float:
        """What a row takes of the explainer that takes longest; written over by whoever claims the rows."""
        slots, found = np.zeros(WARM_ROWS, np.int32), 1.0
        for explainer in self._explainers.values():
            for _ in range(2):
                began_ns = time.perf_counter_ns()
                explainer.largest(slots, self._rows.features32, self._rows.explained, self._rows.attributions)
                took_ns = time.perf_counter_ns() - began_ns
            found = max(found, took_ns / WARM_ROWS)
        self._rows.attributions[0] = np.nan
        return found

    def explain(self, decided: NDArray[np.int32]) -> None:
        """Give these rows, whose decisions are about to be written, their reasons."""
        if self._known != len(self._servings):
            self._know()
        rows, now_ns = self._rows, self._now_ns()
        typical_ns = self._typical_ns()
        wanted = _choose(
            decided,
            now_ns + typical_ns,
            rows.outcome,
            rows.serving,
            rows.decision,
            rows.score,
            rows.deadline_ns,
            self._explains,
            self._ranks,
            self._chosen,
            self._due,
        )
        if not wanted:
            return
        chosen = self._chosen[:wanted]
        if self._budget is not None:
            until_ns = min(int(self._due[0]) - typical_ns, self._wake_ns())
            chosen = chosen[: self._budget.rows(wanted, now_ns, until_ns)]
        self.skipped += wanted - len(chosen)
        if len(chosen):
            self._give(chosen)
            took_ns = self._now_ns() - now_ns
            self.given += len(chosen)
            self.took_ns += took_ns
            if self._budget is not None:
                self._budget.spent(len(chosen), took_ns)

    def _give(self, slots: NDArray[np.int32]) -> None:
        rows = self._rows
        serving = rows.serving[slots]
        for number in np.unique(serving).tolist():
            self._explainers[number].largest(
                slots[serving == number], rows.features32, rows.explained, rows.attributions
            )

    def counts(self) -> dict[str, int]:
        """Running totals by name."""
        return {"reasons": self.given, "reasons_skipped": self.skipped, "reasons_us": self.took_ns // 1000}


def reasons_of(
    config: PipelineConfig,
    layout: RowLayout,
    rows: Rows,
    servings: Servings,
    outlet: Publisher,
    batcher: Batching,
    clock: SystemClock,
) -> Reasons | None:
    """Reasons as the configuration asks for them, None where it does not; a replay, without deadlines, gives all."""
    if not layout.explained:
        return None
    asked = config.explain.decisions
    return Reasons(
        rows,
        servings,
        [asked.index(label) if label in asked else -1 for label in config.decide.labels],
        config.explain.budget_share if config.pipeline.mode == "live" else None,
        clock.now_ns,
        lambda: outlet.delivery_time.learned.typical_ns,
        batcher.next_wake_ns,
    )
