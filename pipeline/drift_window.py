"""Counts over the last stretch of time, in panes, and which of their distances went over a limit. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BACK_AT = 0.8
"""What has drifted is back when it is below so much of the limit."""


class PaneCounts:
    """int64[bins] counts of each pane; the one that runs is written by whoever counts. Times are told, in ns."""

    def __init__(self, bins: int, panes: int, pane_ns: int, now_ns: int) -> None:
        self._pane_ns = pane_ns
        self._began_ns = now_ns
        self._whole: NDArray[np.int64] = np.zeros((panes, bins), np.int64)
        self._ended = 0
        self.running: NDArray[np.int64] = np.zeros(bins, np.int64)

    def turn(self, now_ns: int) -> NDArray[np.int64] | None:
        """The counts of the last panes together, when one has ended since the last call and so many were whole."""
        ended, panes = (now_ns - self._began_ns) // self._pane_ns, len(self._whole)
        if ended <= self._ended:
            return None
        for number in range(max(self._ended, ended - panes), ended):
            self._whole[number % panes] = 0
        if ended - self._ended <= panes:
            self._whole[self._ended % panes] = self.running
        self.running[:] = 0
        self._ended = ended
        total: NDArray[np.int64] = self._whole.sum(axis=0)
        return total if ended >= panes else None


class Distance(NamedTuple):
    """How far something is from its reference."""

    psi: float
    ks: float


class Crossings:
    """What has drifted: `found` from when one of its distances is above its limit until both are well below."""

    def __init__(self, limits: Distance) -> None:
        self.limits = limits
        self.found: set[str] = set()

    def take(self, distances: Mapping[str, Distance]) -> tuple[list[str], list[str]]:
        """Take distances by name; returns the names of what begins to have drifted, and of what is back."""
        begun = [name for name, distance in distances.items() if self._beyond(distance, 1.0)]
        begun = [name for name in begun if name not in self.found]
        back = [
            name for name, distance in distances.items() if name in self.found and not self._beyond(distance, BACK_AT)
        ]
        self.found.update(begun)
        self.found.difference_update(back)
        return begun, back

    def _beyond(self, distance: Distance, part: float) -> bool:
        return distance.psi > part * self.limits.psi or distance.ks > part * self.limits.ks
