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
from pipeline.reuse import Payload
from pipeline.rows import Rows
from pipeline.tier import ImageView, Session
from pipeline.tier_reuse import TierReuse

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
    """The rows that have their score, and those that never will.

    `cost_rows`: how many of them a model was asked about; `lost_ns`: how long the others took; `lookup_ns`: how long
    it took to look for answers given before, and to remember new ones.
    """

    slots: NDArray[np.int32]
    rejected: list[Unscorable]
    cost_rows: int
    lost_ns: int
    lookup_ns: int = 0


class ImageRows:
    """Decodes frames into memory of its own and has them classified. One thread at a time."""

    def __init__(
        self,
        rows: Rows,
        session: Session,
        view: ImageView,
        rows_max: int,
        reuse: TierReuse | None,
        now_ns: Callable[[], int],
    ) -> None:
        self._rows = rows
        self._session = session
        self._reuse = reuse
        self._now_ns = now_ns
        self._decoder = ImageDecoder(view.input, view.crop, view.pixels_max)
        self._tensor = np.zeros((rows_max, view.input.channels, view.input.height, view.input.width), np.float32)
        self._probabilities = np.zeros((rows_max, len(view.classes)), np.float32)
        self._clean = -1 if view.clean is None else view.clean
        self._asked: list[tuple[int, Payload | None]] = []
        self._lookup_ns = 0

    def score(self, slots: NDArray[np.int32]) -> Told:
        """Write score, likeliest class and probabilities of each frame that can be decoded."""
        told = self._fill(slots)
        if self._asked:
            asked = np.array([slot for slot, _ in self._asked], np.int32)
            tensor, probabilities = self._tensor[: len(asked)], self._probabilities[: len(asked)]
            self._session.run(tensor, probabilities)
            rows = self._rows
            _tell(asked, probabilities, self._clean, rows.probabilities, rows.likeliest, rows.score)
            if self._reuse is not None:
                began_ns = self._now_ns()
                for slot, payload in self._asked:
                    self._reuse.keep(slot, payload)
                self._lookup_ns += self._now_ns() - began_ns
        return told._replace(lookup_ns=self._lookup_ns)

    def _fill(self, slots: NDArray[np.int32]) -> Told:
        """Fill the tensor's first rows, one for each frame that the model is to be asked about."""
        self._asked, self._lookup_ns, lost_ns = [], 0, 0
        scored: list[int] = []
        rejected: list[Unscorable] = []
        for slot in slots.tolist():
            started_ns, asked = self._now_ns(), len(self._asked)
            try:
                self._take(slot)
                scored.append(slot)
            except BadImageError as error:
                rejected.append(Unscorable(slot, Reject(0, error.code, str(error))))
            if len(self._asked) == asked:
                lost_ns += self._now_ns() - started_ns
        return Told(np.array(scored, np.int32), rejected, len(self._asked), lost_ns)

    def _take(self, slot: int) -> None:
        """Give the frame an answer that there is, or put it into the tensor's next row."""
        rows, reuse, payload = self._rows, self._reuse, None
        if reuse is not None:
            began_ns = self._now_ns()
            payload = reuse.payload(slot)
            known = reuse.same(slot, payload)
            self._lookup_ns += self._now_ns() - began_ns
            if known:
                return
        address, length = int(rows.payload_address[slot]), int(rows.payload_length[slot])
        self._decoder.decode(address, length, self._tensor[len(self._asked)], rows.measures[slot])
        rows.perceptual_hash[slot] = self._decoder.perceptual_hash
        if reuse is not None:
            began_ns = self._now_ns()
            known = reuse.like(slot)
            self._lookup_ns += self._now_ns() - began_ns
            if known:
                return
        self._asked.append((slot, payload))
