"""Counts over sliding windows, in bounded memory. Time is an argument; nothing here knows a clock."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

STEPS = 864
"""Steps a window is cut into: 3 d in steps of 5 minutes, 1 h in steps of 4.2 s."""


class Counts(NamedTuple):
    """Events that kept a promise and events that broke it."""

    good: int
    bad: int

    @property
    def total(self) -> int:
        """All that were counted."""
        return self.good + self.bad


class WindowCounts:
    """Counts over the last `span_ms`, exact at the granularity of a step: an 864th of the span, at least 1 ms.

    At `now` the window reaches back to the beginning of the step that `now - span_ms` lies in: it is never shorter
    than the span and at most one step longer. Memory is 865 steps or so, whatever is counted.
    """

    def __init__(self, span_ms: int) -> None:
        if span_ms < 1:
            raise ValueError(f"a window of {span_ms} ms, expected at least 1")
        self.span_ms = span_ms
        self.step_ms = max(1, span_ms // STEPS)
        self._slots = -(-span_ms // self.step_ms) + 1
        self._counts: NDArray[np.int64] = np.zeros((self._slots, 2), np.int64)
        self._good = self._bad = 0
        self._newest: int | None = None

    def add(self, at_ms: int, good: int, bad: int) -> bool:
        """Count events of a time, in any order of times; False when it lies before all that is still held."""
        step = at_ms // self.step_ms
        self._advance(step)
        assert self._newest is not None
        if step <= self._newest - self._slots:
            return False
        self._counts[step % self._slots] += (good, bad)
        self._good += good
        self._bad += bad
        return True

    def counts(self, now_ms: int) -> Counts:
        """What the window at `now_ms` holds; a time before the newest that was told counts as that."""
        self._advance(now_ms // self.step_ms)
        assert self._newest is not None
        now_ms = max(now_ms, self._newest * self.step_ms)
        first = (now_ms - self.span_ms) // self.step_ms
        if first == self._newest - self._slots + 2:  # the oldest step held lies before the window
            good, bad = self._counts[(first - 1) % self._slots].tolist()
            return Counts(self._good - good, self._bad - bad)
        return Counts(self._good, self._bad)

    def steps(self) -> list[tuple[int, int, int]]:
        """What is held, oldest first: (begin of the step in ms, good, bad); giving each to `add` makes the same."""
        if self._newest is None:
            return []
        held = np.arange(self._newest - self._slots + 1, self._newest + 1)
        rows = np.column_stack((held * self.step_ms, self._counts[held % self._slots]))
        return [(begin_ms, good, bad) for begin_ms, good, bad in rows[rows[:, 1:].any(axis=1)].tolist()]

    def _advance(self, step: int) -> None:
        if self._newest is None:
            self._newest = step
        if step <= self._newest:
            return
        if step - self._newest >= self._slots:
            self._counts[:] = 0
            self._good = self._bad = 0
        else:
            gone = np.arange(self._newest + 1, step + 1) % self._slots
            good, bad = self._counts[gone].sum(axis=0).tolist()
            self._good -= good
            self._bad -= bad
            self._counts[gone] = 0
        self._newest = step
