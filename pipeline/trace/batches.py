"""The loop's side of spans: which batches are told of, which contexts they link to, what their decisions carry."""

import os
import random
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.batch import Batch
from pipeline.rows import Rows
from pipeline.runner import Scored
from pipeline.tier import ModelTier, Tier
from pipeline.trace.told import BatchTold, EventsTold
from pipeline.wire.trace_context import FLAGS, PARENT_ID

EXPIRED = -1
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_FLAG = FLAGS.stop - 1


@dataclass(frozen=True, slots=True)
class SpanLimits:
    """The numbers of spans that a configuration sets."""

    ratio: float
    links_max: int


@dataclass(frozen=True, slots=True)
class _Open:
    expected_ns: int
    promised_ns: int


def new_span_ids(count: int) -> NDArray[np.uint8]:
    """So many ids as hex digits, uint8[count, 16], none all zero."""
    drawn = np.frombuffer(os.urandom(8 * count), np.uint8).reshape(count, 8).copy()
    drawn[:, 0] |= 1
    return np.stack((_HEX[drawn >> 4], _HEX[drawn & 15]), axis=2).reshape(count, 16)


class BatchSpans:
    """Told of batches as they are dispatched and scored; hands what spans are made of to `give`, which never waits.

    A sampled event among the first `links_max` of its batch gets a span of its own, and its decision has that as
    parent: a parent that nobody was told of would tear the trace. All others pass on what they came with.
    """

    def __init__(
        self,
        rows: Rows,
        tiers: Sequence[Tier],
        buckets: Sequence[int],
        limits: SpanLimits,
        give: Callable[[BatchTold], None],
        *,
        draw: Callable[[], float] = random.random,
        now_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._rows = rows
        self._tiers = tiers
        self._buckets = sorted(buckets)
        self._limits = limits
        self._give = give
        self._draw = draw
        self._now_ns = now_ns
        self._wall_ns = wall_ns
        self._open: dict[int, _Open] = {}
        self._expired_rows = 0

    def dispatched(self, batch: Batch) -> None:
        """A batch is about to be scored: what it should cost is asked before it is known."""
        if self._draw() >= self._limits.ratio:
            return
        tier, rows = self._tiers[batch.tier], len(batch.slots)
        costs = (tier.cost.expected_ns(rows), tier.cost.promised_ns(rows)) if isinstance(tier, ModelTier) else (0, 0)
        self._open[id(batch)] = _Open(*costs)

    def scored(self, done: Scored, slots: NDArray[np.int32]) -> None:
        """It was scored, these rows of it are decided; call before their decisions are encoded."""
        opened = self._open.pop(id(done.batch), None)
        if opened is not None and len(slots):
            self._tell(slots, done.batch.tier, opened, done.cost_ns)

    def expired(self, slots: NDArray[np.int32]) -> None:
        """The deadline of these rows passed before they were scored."""
        self._expired_rows += len(slots)
        if self._draw() < self._limits.ratio:
            self._tell(slots, EXPIRED, _Open(0, 0), 0)

    def _tell(self, slots: NDArray[np.int32], tier: int, opened: _Open, cost_ns: int) -> None:
        rows, now_ns = self._rows, self._now_ns()
        expired_rows, self._expired_rows = self._expired_rows, 0
        scored = tier != EXPIRED
        at = bisect_left(self._buckets, len(slots))
        self._give(
            BatchTold(
                tier=tier,
                rows=len(slots),
                bucket=self._buckets[min(at, len(self._buckets) - 1)] if scored else 0,
                expired_rows=expired_rows,
                first_arrival_ns=int(rows.arrival_ns[slots].min()),
                dispatch_ns=int(rows.dispatch_ns[slots[0]]) if scored else now_ns,
                score_ns=int(rows.score_ns[slots[0]]) if scored else 0,
                end_ns=now_ns,
                expected_ns=opened.expected_ns,
                promised_ns=opened.promised_ns,
                cost_ns=cost_ns,
                epoch_ns=self._wall_ns() - now_ns,
                events=self._events(slots),
            )
        )

    def _events(self, slots: NDArray[np.int32]) -> EventsTold:
        """Those that are told of; from here on their decisions have our spans as parents."""
        rows = self._rows
        if not self._limits.links_max:
            return _NO_EVENTS
        chosen = slots[np.flatnonzero(rows.traceparent[slots, _FLAG] & 1)[: self._limits.links_max]]
        if not len(chosen):
            return _NO_EVENTS
        context, span_id = rows.traceparent[chosen], new_span_ids(len(chosen))
        rows.traceparent[chosen, PARENT_ID] = span_id
        return EventsTold(
            context,
            span_id,
            rows.partition[chosen],
            rows.offset[chosen],
            rows.arrival_ns[chosen],
            rows.features_ns[chosen],
        )


_NO_EVENTS = EventsTold(
    np.empty((0, 56), np.uint8), new_span_ids(0), np.empty(0, np.int32), *np.empty((3, 0), np.int64)
)
