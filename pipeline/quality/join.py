"""Decisions and labels brought together, in whatever order they come, within bounded memory. Pure.

Time is event time, in periods. A period is over when the clock that is told to `close` has passed its end by the
delay: nothing that comes later changes what it was. Until then both sides are kept as plain columns and joined once.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
NO_SCORE = float("nan")


@dataclass(frozen=True)
class Period:
    """What is known of the decisions about the events of [start_ms, end_ms), one row each.

    `score` is NaN where none was given, `answer` the number of who answered, `key` that of the entity; `hit` says
    whether the last label in time said so. `left_out` are decisions that found no room.
    """

    start_ms: int
    end_ms: int
    event_ms: Ints
    key: Ints
    answer: Ints
    score: NDArray[np.float32]
    hit: NDArray[np.bool_]
    left_out: int


@dataclass
class Tally:
    """What was taken and what fell out."""

    decisions: int = 0
    decisions_repeated: int = 0
    decisions_late: int = 0
    decisions_left_out: int = 0
    labels: int = 0
    labels_late: int = 0
    labels_left_out: int = 0
    labels_unmatched: int = 0


@dataclass
class _Open:
    """A period that runs: columns that grow."""

    source: "array[int]" = field(default_factory=lambda: array("q"))
    identity: "array[int]" = field(default_factory=lambda: array("q"))
    event_ms: "array[int]" = field(default_factory=lambda: array("q"))
    key: "array[int]" = field(default_factory=lambda: array("q"))
    answer: "array[int]" = field(default_factory=lambda: array("i"))
    score: "array[float]" = field(default_factory=lambda: array("f"))
    label_identity: "array[int]" = field(default_factory=lambda: array("q"))
    known_ms: "array[int]" = field(default_factory=lambda: array("q"))
    place: "array[int]" = field(default_factory=lambda: array("q"))
    hit: "array[int]" = field(default_factory=lambda: array("b"))
    left_out: int = 0


class Join:
    """Takes decisions and labels by the number that their id hashes to, and gives whole periods.

    A `source` (the number of the record that was decided) counts once, its first decision. Of the labels of an id
    that were known within `delay_ms` of the period's end the last one known counts, of equals the one with the
    highest place in its topic. An event without one was no hit.
    """

    def __init__(self, period_ms: int, delay_ms: int, rows_max: int) -> None:
        self._period_ms = period_ms
        self._delay_ms = delay_ms
        self._rows_max = rows_max
        self._open: dict[int, _Open] = {}
        self._decisions = self._labels = 0
        self._closed_before = -(2**62)
        self.tally = Tally()

    @property
    def rows(self) -> tuple[int, int]:
        """Decisions and labels that are kept now."""
        return self._decisions, self._labels

    def decision(self, event_ms: int, source: int, identity: int, key: int, score: float, answer: int) -> None:
        """A decision; `score` is NO_SCORE where it has none."""
        number = event_ms // self._period_ms
        self.tally.decisions += 1
        if number < self._closed_before:
            self.tally.decisions_late += 1
            return
        period = self._open.setdefault(number, _Open())
        if self._decisions == self._rows_max:
            self.tally.decisions_left_out += 1
            period.left_out += 1
            return
        self._decisions += 1
        period.source.append(source)
        period.identity.append(identity)
        period.event_ms.append(event_ms)
        period.key.append(key)
        period.answer.append(answer)
        period.score.append(score)

    def label(self, event_ms: int, known_ms: int, place: int, identity: int, *, hit: bool) -> None:
        """A label of the event of that time, known since `known_ms`."""
        number = event_ms // self._period_ms
        self.tally.labels += 1
        if number < self._closed_before or known_ms > (number + 1) * self._period_ms + self._delay_ms:
            self.tally.labels_late += 1
            return
        if self._labels == self._rows_max:
            self.tally.labels_left_out += 1
            return
        self._labels += 1
        period = self._open.setdefault(number, _Open())
        period.label_identity.append(identity)
        period.known_ms.append(known_ms)
        period.place.append(place)
        period.hit.append(hit)

    def close(self, clock_ms: int) -> Iterator[Period]:
        """The periods that are over when event time has come to `clock_ms`, oldest first; they are forgotten."""
        over = (clock_ms - self._delay_ms) // self._period_ms
        for number in sorted(number for number in self._open if number < over):
            yield self._joined(number, self._open.pop(number))
        self._closed_before = max(self._closed_before, over)

    def _joined(self, number: int, found: _Open) -> Period:
        self._decisions -= len(found.source)
        self._labels -= len(found.label_identity)
        _, first = np.unique(_of(found.source), return_index=True)
        first.sort()
        self.tally.decisions_repeated += len(found.source) - len(first)
        identity = _of(found.identity)[first]
        known, hits = _last_labels(found)
        at = np.minimum(np.searchsorted(known, identity), max(0, len(known) - 1))
        hit = (known[at] == identity) & hits[at] if len(known) else np.zeros(len(identity), np.bool_)
        self.tally.labels_unmatched += int((~np.isin(known, identity)).sum())
        return Period(
            number * self._period_ms,
            (number + 1) * self._period_ms,
            _of(found.event_ms)[first],
            _of(found.key)[first],
            np.array(found.answer, np.int64)[first],
            np.array(found.score, np.float32)[first],
            hit,
            found.left_out,
        )


def _of(column: "array[int]") -> Ints:
    return np.array(column, np.int64)


def _last_labels(found: _Open) -> tuple[Ints, NDArray[np.bool_]]:
    """Each id that has a label, sorted, and what its last one says."""
    identity, hit = _of(found.label_identity), np.array(found.hit, np.bool_)
    order = np.lexsort((_of(found.place), _of(found.known_ms), identity))
    last = np.append(np.flatnonzero(np.diff(identity[order])), len(order) - 1) if len(order) else order
    return identity[order][last], hit[order][last]
