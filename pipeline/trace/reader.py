"""Trace contexts of a read's records into the rows made of them."""

import numpy as np
from numpy.typing import NDArray

from pipeline.kafka.headers import HeaderFinder
from pipeline.rows import Rows
from pipeline.wire.trace_context import CARRIED, INVALID, STATE_DROPPED, TRACEPARENT, TRACESTATE, take_contexts


class TraceReader:
    """Looks into each record's headers, which costs some hundred ns; made only where somebody asks for contexts."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._headers = HeaderFinder((TRACEPARENT, TRACESTATE))
        self._counts = np.zeros(3, np.int64)

    def take(self, first: int, pointers: NDArray[np.int64]) -> None:
        """Fill in the contexts of rows [first, first + n) from the messages at `pointers`."""
        address, length = self._headers.find(pointers)
        rows = self._rows
        take_contexts(address, length, first, rows.traceparent, rows.header_address, rows.header_length, self._counts)

    def counts(self) -> dict[str, int]:
        """Running totals for the metrics."""
        return {
            "traces": int(self._counts[CARRIED]),
            "traceparents_invalid": int(self._counts[INVALID]),
            "tracestates_dropped": int(self._counts[STATE_DROPPED]),
        }
