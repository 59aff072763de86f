"""Feature rows of which those that came before, to the last bit, are not asked about again."""

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.answering import Answerers
from pipeline.clock import NS_PER_MS
from pipeline.config.model import PipelineConfig
from pipeline.image_rows import Told
from pipeline.row_cache import RowCache
from pipeline.rows import Rows
from pipeline.tier import Session


class CachedRows:
    """Gathers the rows of a batch that the cache does not know, has them scored, and remembers what was told.

    `cache` belongs to this session's model version and may be shared by those who run it; all else is one thread's.
    """

    def __init__(
        self, rows: Rows, session: Session, rows_max: int, cache: RowCache, now_ns: Callable[[], int]
    ) -> None:
        self._rows = rows
        self._session = session
        self._cache = cache
        self._now_ns = now_ns
        self._input = np.zeros((rows_max, rows.features32.shape[1]), np.float32)
        self._scores = np.zeros(rows_max, np.float32)
        self._missed = np.zeros(rows_max, np.int32)
        self._codes = np.zeros(rows_max, np.int64)

    def score(self, slots: NDArray[np.int32]) -> Told:
        """Write the score of each slot; the cost that is told is that of the rows that were run."""
        rows, cache, now_ns = self._rows, self._cache, self._now_ns
        began_ns = now_ns()
        misses = cache.look_up(slots, rows.features32, began_ns, rows.score, self._missed, self._codes)
        spent_ns = now_ns() - began_ns
        if misses:
            missed, inputs, scores = self._missed[:misses], self._input[:misses], self._scores[:misses]
            np.take(rows.features32, missed, axis=0, out=inputs, mode="clip")
            self._session.run(inputs, scores)
            rows.score[missed] = scores
            ran_ns = now_ns()
            cache.keep(missed, self._codes[:misses], rows.features32, ran_ns, rows.score)
            spent_ns += now_ns() - ran_ns
        return Told(slots, [], misses, spent_ns, spent_ns)


class RowCaches:
    """A cache for each answerer, made when it is first asked for; those of who answers no more are let go then."""

    def __init__(self, features: int, rows: int, age_ns_max: int, alive: Callable[[], frozenset[int]]) -> None:
        self._features = features
        self._rows = rows
        self._age_ns_max = age_ns_max
        self._alive = alive
        self._lock = threading.Lock()
        self._of: dict[int, RowCache] = {}

    def of(self, number: int) -> RowCache:
        """The one of this answerer's number; any thread may ask."""
        with self._lock:
            if number not in self._of:
                alive = self._alive()
                self._of = {other: cache for other, cache in self._of.items() if other in alive}
                self._of[number] = RowCache(self._features, self._rows, self._age_ns_max)
            return self._of[number]


def row_caches_of(config: PipelineConfig, rows: Rows, answerers: Answerers) -> Callable[[int], RowCache] | None:
    """The caches of the models that take feature rows, by answerers' numbers; None where none are asked for."""
    reuse = config.reuse
    if not reuse.exact_rows:
        return None
    return RowCaches(rows.features32.shape[1], reuse.exact_rows, reuse.age_ms_max * NS_PER_MS, answerers.alive).of
