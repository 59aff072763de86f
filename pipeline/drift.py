"""Whether the stream still is what the model was made with: a sample of rows in bins, held against its reference."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.duration import in_words
from features.kernel import kernel
from models.divergence import ks, psi
from models.reference import SCORE, Reference
from pipeline.clock import NS_PER_MS, SystemClock
from pipeline.config.drift_section import DriftSection
from pipeline.config.model import PipelineConfig
from pipeline.drift_window import Crossings, Distance, PaneCounts
from pipeline.rows import Rows
from pipeline.servings import EXPIRED, own_serving
from pipeline.tier import ModelTier, Tier

log = logging.getLogger(__name__)


@kernel()
def _count(number: float, edges: Any, first: int, last: int, counts: Any, at: int) -> None:
    """Add to the bin of one number: edges[first:last] are its column's, its counts begin at `at`."""
    if np.isnan(number):
        counts[at + last - first + 1] += 1
        return
    low, high = first, last
    while low < high:
        middle = (low + high) // 2
        if number <= edges[middle]:
            high = middle
        else:
            low = middle + 1
    counts[at + low - first] += 1


@kernel(
    "void(int32[::1], int64, int64, float32[:, ::1], float32[::1], int32[::1], int64, float32[::1], int64[::1],"
    " int64[::1])"
)
def _sample(
    slots: Any,
    begin: int,
    every: int,
    features: Any,
    score: Any,
    serving: Any,
    watched: int,
    edges: Any,
    first: Any,
    counts: Any,
) -> None:
    """Count the features of every so many of the slots, and the scores of those that serving `watched` gave.

    Column n has edges[first[n]:first[n + 1]]; of the counts, which are two more a column, it has those from
    `first[n] + 2 * n` on. The score's column is the last one.
    """
    columns = features.shape[1]
    for index in range(begin, len(slots), every):
        slot = slots[index]
        for column in range(columns):
            at = first[column] + 2 * column
            _count(features[slot, column], edges, first[column], first[column + 1], counts, at)
        if watched and serving[slot] == watched:
            _count(score[slot], edges, first[columns], first[columns + 1], counts, first[columns] + 2 * columns)


class Drift:
    """Samples decided rows and compares the last window of them with the reference, once a pane.

    Of the features every row counts, whatever became of it; of scores those that the first tier's own model gave, and
    none where `scores` is false. Belongs to the loop's thread.
    """

    def __init__(
        self,
        section: DriftSection,
        rows: Rows,
        reference: Reference,
        model: str,
        now_ns: Callable[[], int],
        *,
        scores: bool = True,
    ) -> None:
        self._section = section
        self._rows = rows
        self._model = model
        self._now_ns = now_ns
        self._watched = own_serving(0) if scores else EXPIRED
        bins = [*reference.features.values(), reference.score]
        self._names = [*reference.features, SCORE]
        self._expected = [each.counts for each in bins]
        self._edges: NDArray[np.float32] = np.concatenate([each.edges for each in bins])
        self._first = np.concatenate(([0], np.cumsum([len(each.edges) for each in bins]))).astype(np.int64)
        counted = len(self._edges) + 2 * len(bins)
        pane_ns = section.window * NS_PER_MS // section.panes
        self._counts = PaneCounts(counted, section.panes, pane_ns, now_ns())
        self._crossings = Crossings(Distance(section.psi_max, section.ks_max))
        self._skip = 0
        self._levels: dict[str, float] = {}

    def sample(self, decided: NDArray[np.int32]) -> None:
        """These rows are decided: count those whose turn it is."""
        skip, rows, every = self._skip, len(decided), self._section.every_rows
        if skip >= rows:
            self._skip = skip - rows
            return
        self._skip = (skip - rows) % every
        of = self._rows
        _sample(
            decided,
            skip,
            every,
            of.features32,
            of.score,
            of.serving,
            self._watched,
            self._edges,
            self._first,
            self._counts.running,
        )

    def levels(self) -> dict[str, float]:
        """What was found when the last pane ended, by name; nothing before the first window is whole."""
        counts = self._counts.turn(self._now_ns())
        if counts is not None:
            self._compare(counts)
        return self._levels

    def _compare(self, counts: NDArray[np.int64]) -> None:
        found: dict[str, Distance] = {}
        self._levels = {}
        for column, name in enumerate(self._names):
            at = self._first[column] + 2 * column
            own = counts[at : at + len(self._expected[column])]
            if column == 0:
                self._levels["drift_rows"] = int(own.sum())
            if own.sum() >= self._section.rows_min:
                expected = self._expected[column]
                found[name] = Distance(psi(expected, own), ks(expected, own))
        self._tell(found)
        for name, distance in found.items():
            self._levels[f"drift_psi/{name}"] = distance.psi
            self._levels[f"drift_ks/{name}"] = distance.ks
            self._levels[f"drift_found/{name}"] = int(name in self._crossings.found)

    def _tell(self, found: dict[str, Distance]) -> None:
        begun, back = self._crossings.take(found)
        limits, window = self._crossings.limits, in_words(self._section.window)
        for name in begun:
            log.warning(
                "%s is not what %s was made with: PSI %.3f (limit %s), KS %.3f (limit %s) over %s",
                name,
                self._model,
                found[name].psi,
                limits.psi,
                found[name].ks,
                limits.ks,
                window,
            )
        for name in back:
            log.info("%s is as when %s was made again", name, self._model)


def drift_of(config: PipelineConfig, rows: Rows, tiers: Sequence[Tier], clock: SystemClock) -> Drift | None:
    """Drift as the configuration asks for it; None where it does not.

    With a cascade or routes the first tier sees a chosen part alone, whose scores are no sample of all.
    """
    first = tiers[0]
    if not isinstance(first, ModelTier) or first.reference is None:
        return None
    model = f"{first.label.model}/{first.label.version}"
    everything = not config.cascade.first and not config.routes
    return Drift(config.drift, rows, first.reference, model, clock.now_ns, scores=everything)
