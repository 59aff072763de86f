"""The frames of a batch as one tensor, and what a classifier tells of them.

A frame's bytes are decoded where Kafka's message has them, straight into the tensor: rows are freed, and their
messages with them, only after their batch has come back.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from pipeline.decode import Reject
from pipeline.image.decoder import ImageDecoder
from pipeline.image.found import BadImageError
from pipeline.rows import Rows
from pipeline.tier import ImageView, Session

NO_CLASS = -1


@kernel("void(int32[::1], float32[:, ::1], int64, float32[:, ::1], int8[::1], float32[::1])")
def _tell(slots: Any, given: Any, clean: int, probabilities: Any, likeliest: Any, score: Any) -> None:
    for row in range(len(slots)):
        slot, best = slots[row], 0
        for index in range(given.shape[1]):
            probabilities[slot, index] = given[row, index]
            if given[row, index] > given[row, best]:
                best = index
        likeliest[slot] = best
        score[slot] = given[row, best] if clean < 0 else np.float32(1.0) - given[row, clean]


class Unscorable(NamedTuple):
    """A row that turned out to be no event when it was to be scored, and why."""

    slot: int
    reject: Reject


class Told(NamedTuple):
    """The rows that have their score, those that never will, and how long the latter took, in ns."""

    slots: NDArray[np.int32]
    rejected: list[Unscorable]
    lost_ns: int


class ImageRows:
    """Decodes frames into memory of its own and has them classified. One thread at a time."""

    def __init__(
        self, rows: Rows, session: Session, view: ImageView, rows_max: int, now_ns: Callable[[], int]
    ) -> None:
        self._rows = rows
        self._session = session
        self._now_ns = now_ns
        self._decoder = ImageDecoder(view.input, view.crop, view.pixels_max)
        self._tensor = np.zeros((rows_max, view.input.channels, view.input.height, view.input.width), np.float32)
        self._probabilities = np.zeros((rows_max, len(view.classes)), np.float32)
        self._clean = -1 if view.clean is None else view.clean

    def score(self, slots: NDArray[np.int32]) -> Told:
        """Write score, likeliest class and probabilities of each frame that can be decoded."""
        told = self._decode(slots)
        good = told.slots
        if len(good):
            tensor, probabilities = self._tensor[: len(good)], self._probabilities[: len(good)]
            self._session.run(tensor, probabilities)
            rows = self._rows
            _tell(good, probabilities, self._clean, rows.probabilities, rows.likeliest, rows.score)
        return told

    def _decode(self, slots: NDArray[np.int32]) -> Told:
        """Fill the tensor's first rows, one for each frame that is one."""
        rows, lost_ns = self._rows, 0
        good: list[int] = []
        rejected: list[Unscorable] = []
        for slot in slots.tolist():
            started_ns = self._now_ns()
            address, length = int(rows.payload_address[slot]), int(rows.payload_length[slot])
            try:
                self._decoder.decode(address, length, self._tensor[len(good)], rows.measures[slot])
                rows.perceptual_hash[slot] = self._decoder.perceptual_hash
                good.append(slot)
            except BadImageError as error:
                rejected.append(Unscorable(slot, Reject(0, error.code, str(error))))
                lost_ns += self._now_ns() - started_ns
        return Told(np.array(good, np.int32) if rejected else slots, rejected, lost_ns)
