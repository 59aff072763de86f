"""Answers kept for frames that come again: the very same bytes, or (where that was measured) a picture like it."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Payload = tuple[int, int]
"""128 bits that stand for a frame's bytes."""
NONE = -1
CAMERAS_MAX = 1024
"""Of how many cameras pictures are kept, the latest: a bound, whatever keys arrive."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model told of a frame, and what was measured of its pixels."""

    tier: int
    probabilities: NDArray[np.float32]
    measures: NDArray[np.float64]
    perceptual_hash: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class ReuseLimits:
    """How many frames' bytes are remembered, for how long; how many a camera's pictures, and how like they must be.

    `near_bits`: the most bits in which the perceptual hashes may differ; below 0 like pictures are not looked for.
    """

    exact_rows: int
    near_rows: int
    near_bits: int
    age_ns_max: int


class Reuse:
    """Answers of the models, shared by all sessions of a process; any thread may call.

    `same_column`, `like_column`: of `Rows.reasons`, where a row says that it was given one.
    An answer is given only for a frame that the same tier is asked about, and while it is young enough. The memory is
    bounded by the limits: the oldest answers go first.
    """

    def __init__(
        self, limits: ReuseLimits, now_ns: Callable[[], int], same_column: int = NONE, like_column: int = NONE
    ) -> None:
        self._limits = limits
        self.now_ns = now_ns
        self.same_column = same_column
        self.like_column = like_column
        self._lock = threading.Lock()
        self._exact: OrderedDict[tuple[int, Payload], Answer] = OrderedDict()
        self._near: OrderedDict[tuple[int, bytes], deque[Answer]] = OrderedDict()
        self.exact_hits = self.near_hits = 0

    @property
    def wants_payloads(self) -> bool:
        """Whether frames are recognised by their bytes."""
        return self._limits.exact_rows > 0

    @property
    def wants_pictures(self) -> bool:
        """Whether frames are recognised by their looks."""
        return self._limits.near_bits >= 0

    def same(self, tier: int, payload: Payload) -> Answer | None:
        """The answer for the very same bytes."""
        with self._lock:
            answer = self._exact.get((tier, payload))
            if answer is None or self._old(answer):
                return None
            self._exact.move_to_end((tier, payload))
            self.exact_hits += 1
            return answer

    def like(self, tier: int, camera: bytes, perceptual_hash: int) -> tuple[Answer, int] | None:
        """The answer for the likest of the camera's last pictures, and in how many bits it differs."""
        with self._lock:
            best, least = None, self._limits.near_bits + 1
            for answer in self._near.get((tier, camera), ()):
                apart = (answer.perceptual_hash ^ perceptual_hash).bit_count()
                if apart < least and not self._old(answer):
                    best, least = answer, apart
            if best is None:
                return None
            self.near_hits += 1
            return best, least

    def keep(self, payload: Payload | None, camera: bytes, answer: Answer) -> None:
        """Remember what a model has just told; never what was itself reused, so that likeness does not drift."""
        with self._lock:
            if payload is not None and self._limits.exact_rows:
                self._exact[answer.tier, payload] = answer
                self._exact.move_to_end((answer.tier, payload))
                while len(self._exact) > self._limits.exact_rows:
                    self._exact.popitem(last=False)
            if self.wants_pictures:
                key = (answer.tier, camera)
                self._near.setdefault(key, deque(maxlen=self._limits.near_rows)).append(answer)
                self._near.move_to_end(key)
                if len(self._near) > CAMERAS_MAX:
                    self._near.popitem(last=False)

    def _old(self, answer: Answer) -> bool:
        return self.now_ns() - answer.at_ns > self._limits.age_ns_max
