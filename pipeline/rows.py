"""The rows in flight: one slot an event, from the poll that read it until its outcome is delivered."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Outcome(IntEnum):
    """How a record that asks for a decision ended; the first two of a row's life are not outcomes yet."""

    PENDING = 0
    SCORED = 1
    DEGRADED = 2
    EXPIRED = 3
    DEAD_LETTER = 4
    ABSORBED = 5


OUTCOMES = tuple(outcome.name.lower() for outcome in Outcome)
NO_TIMESTAMP = -1


class Rows:
    """A ring of slots, each array `capacity_rows` long. Slots are claimed in runs and freed in claim order.

    Addresses (`id`, `key`, `payload`) point into messages that their batch keeps alive until the slot is freed. Times
    named `_ns` are of the engine's monotonic clock; `_ms` are wall time since the epoch. `serving` is the number of
    who answered (`pipeline.servings`), `route` that of the route that the row took, 0 for none, `tenant` that of
    who is billed for it (`pipeline.bill.tenants`). Of an image there are the `probabilities` of each class, the
    `likeliest` (-1: none told), `measures` and `perceptual_hash` of its pixels; `outcomes` are the features of
    outcome state, `reasons` has a number for each that applies. `attributions` are what moved the score's log-odds
    most, the largest first, and `explained` the columns of the features that did. What of these is not known of a row
    is NaN. With `traced` there is the text of each event's `traceparent` (first byte 0: none), and where the headers
    are that its decision passes on.
    """

    def __init__(
        self,
        capacity_rows: int,
        features: int,
        *,
        classes: int = 0,
        measures: int = 0,
        outcomes: int = 0,
        reasons: int = 0,
        explained: int = 0,
        traced: bool = False,
    ) -> None:
        self.capacity_rows = capacity_rows
        n = capacity_rows
        self.partition: NDArray[np.int32] = np.zeros(n, np.int32)
        self.offset: NDArray[np.int64] = np.zeros(n, np.int64)
        self.timestamp_ms: NDArray[np.int64] = np.full(n, NO_TIMESTAMP, np.int64)
        self.arrival_ns: NDArray[np.int64] = np.zeros(n, np.int64)
        self.deadline_ns: NDArray[np.int64] = np.zeros(n, np.int64)
        self.dispatch_ns: NDArray[np.int64] = np.zeros(n, np.int64)
        self.score_ns: NDArray[np.int64] = np.zeros(n, np.int64)
        self.features_ns: NDArray[np.int64] = np.zeros(n, np.int64)
        self.handed_ns: NDArray[np.int64] = np.zeros(n, np.int64)
        self.event_time_ms: NDArray[np.int64] = np.zeros(n, np.int64)
        self.priority: NDArray[np.float64] = np.zeros(n, np.float64)
        self.id_value: NDArray[np.int64] = np.zeros(n, np.int64)
        self.id_length: NDArray[np.int32] = np.zeros(n, np.int32)
        self.payload_address: NDArray[np.int64] = np.zeros(n, np.int64)
        self.payload_length: NDArray[np.int64] = np.zeros(n, np.int64)
        self.key_address: NDArray[np.int64] = np.zeros(n, np.int64)
        self.key_length: NDArray[np.int32] = np.zeros(n, np.int32)
        self.outcome: NDArray[np.int8] = np.zeros(n, np.int8)
        self.tier: NDArray[np.int8] = np.zeros(n, np.int8)
        self.route: NDArray[np.int8] = np.zeros(n, np.int8)
        self.serving: NDArray[np.int32] = np.zeros(n, np.int32)
        self.tenant: NDArray[np.int16] = np.zeros(n, np.int16)
        self.decision: NDArray[np.int8] = np.zeros(n, np.int8)
        self.score: NDArray[np.float32] = np.zeros(n, np.float32)
        self.likeliest: NDArray[np.int8] = np.full(n, -1, np.int8)
        self.probabilities: NDArray[np.float32] = np.zeros((n, classes), np.float32)
        self.measures: NDArray[np.float64] = np.full((n, measures), np.nan, np.float64)
        self.outcomes: NDArray[np.float64] = np.full((n, outcomes), np.nan, np.float64)
        self.perceptual_hash: NDArray[np.uint64] = np.zeros(n if measures else 0, np.uint64)
        self.reasons: NDArray[np.float32] = np.full((n, reasons), np.nan, np.float32)
        self.explained: NDArray[np.int32] = np.zeros((n, explained), np.int32)
        self.attributions: NDArray[np.float32] = np.full((n, explained), np.nan, np.float32)
        self.chunk: NDArray[np.int32] = np.zeros(n, np.int32)
        self.features64: NDArray[np.float64] = np.zeros((n, features), np.float64)
        self.features32: NDArray[np.float32] = np.zeros((n, features), np.float32)
        traced_rows = n if traced else 0
        self.traceparent: NDArray[np.uint8] = np.zeros((traced_rows, 56), np.uint8)
        self.header_address: NDArray[np.int64] = np.zeros((2, traced_rows), np.int64)
        self.header_length: NDArray[np.int64] = np.full((2, traced_rows), -1, np.int64)
        told = (self.measures, self.outcomes, self.reasons, self.attributions)
        self._untold = [array for array in told if array.shape[1]]
        self._head = 0
        self._tail = 0
        self._used_rows = 0

    @property
    def used_rows(self) -> int:
        """Slots claimed and not yet freed, with the gap left where a run would have wrapped."""
        return self._used_rows

    def source(self, slot: int) -> tuple[int, int]:
        """Partition and offset of a slot's record."""
        return int(self.partition[slot]), int(self.offset[slot])

    def room(self) -> int:
        """How many slots the next `claim` can take in one run."""
        if self._used_rows == self.capacity_rows:
            return 0
        if self._head < self._tail:
            return self._tail - self._head
        return max(self.capacity_rows - self._head, self._tail)

    def claim(self, rows: int) -> tuple[int, int]:
        """Take a run of `rows` slots; returns its first slot and the slots used up, a skipped end included.

        The second number is what `free` must be given. Raises ValueError when there is no such room: ask
        `room` first.
        """
        if rows > self.room():
            raise ValueError(f"{rows} slots asked for, {self.room()} free in one run")
        skipped = 0
        if self._head >= self._tail and rows > self.capacity_rows - self._head:
            skipped = self.capacity_rows - self._head
            self._head = 0
        first = self._head
        self._head = (self._head + rows) % self.capacity_rows
        self._used_rows += rows + skipped
        for array in self._untold:
            array[first : first + rows] = np.nan
        return first, rows + skipped

    def free(self, rows: int) -> None:
        """Give back the oldest `rows` slots, as counted by `claim`."""
        self._tail = (self._tail + rows) % self.capacity_rows
        self._used_rows -= rows
        if self._used_rows == 0:
            self._head = self._tail = 0
