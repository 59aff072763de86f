"""What the loop says of a batch to whoever makes spans of it: numbers and copies, nothing that is still in flight."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class EventsTold:
    """The sampled events of a batch that are told of, one array each, side by side.

    `context` is uint8[n, 56], what came in its first 55; `span_id` uint8[n, 16], the hex that their decisions have as
    parent.
    """

    context: NDArray[np.uint8]
    span_id: NDArray[np.uint8]
    partition: NDArray[np.int32]
    offset: NDArray[np.int64]
    arrival_ns: NDArray[np.int64]
    features_ns: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BatchTold:
    """One batch that was scored, or rows that expired together (`tier` is -1, no costs).

    `epoch_ns` added to a time of the monotonic clock makes it nanoseconds since 1970.
    """

    tier: int
    rows: int
    bucket: int
    expired_rows: int
    first_arrival_ns: int
    dispatch_ns: int
    score_ns: int
    end_ns: int
    expected_ns: int
    promised_ns: int
    cost_ns: int
    epoch_ns: int
    events: EventsTold

    @property
    def spans(self) -> int:
        """How many spans are made of it."""
        return 1 + len(self.events.offset)
