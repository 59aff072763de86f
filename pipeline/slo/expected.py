"""What should have had an outcome by now and has none: in an outage there are no outcomes to count.

A topic's end offset says how many events have arrived, the group's committed offset how many are answered (it never
passes an outcome that is not delivered; after a crash what lies above it is answered again). An event is *overdue*
when it was in its topic `overdue_ms` ago and the group has not committed past it.

The rule against counting twice, for each pipeline:

1. Each offset becomes overdue once: those between the highest commit seen and the line of `overdue_ms` ago, beyond
   what was counted before. It is bad from then on, for every SLO of kind `latency`, `deadlines` or `outcomes`.
2. It is owed an answer. When the pipeline comes back it is answered late, and metrics records hold its outcome and
   its age. Of the late answers in a record (older than half of `overdue_ms`) as many as are owed are *settled*: they
   count for those SLOs neither as good nor as bad, and are owed no more. So `bad` holds each event once.
3. Answers that metrics records never told of (a process that was killed takes its last second of counts with it, and
   a dead letter has no age) are owed no more `SETTLE_MS` after their commit was seen.

What is known to be inexact: a commit that waits for one undelivered outcome holds back those behind it, at most
`engine.rows_max` a process, and these are then counted both by their outcome and as overdue. Events that were in the
topic when a group without any committed offset was first seen are not expected. An offset that a group goes back to
is not expected a second time. A topic made anew begins anew.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

SETTLE_MS = 30_000
"""How long metrics records may take to tell of an answer whose commit was seen."""
Partition = str
"""`topic/partition`, as in metrics records."""


@dataclass(frozen=True, slots=True)
class Position:
    """A partition at one moment: where it ends, and what the group had committed just before (None: nothing yet)."""

    end: int
    committed: int | None


@dataclass(slots=True)
class _Tally:
    """One partition: offsets below `answered` are answered, those below `line` are answered or counted as overdue."""

    answered: int
    line: int
    end: int


@dataclass(slots=True)
class Kept:
    """What outlives a restart, as plain values."""

    owed: int = 0
    tallies: dict[Partition, tuple[int, int, int]] = field(default_factory=dict)


class Expected:
    """The expected events of one pipeline. Times must not go back; one that does counts as the newest told."""

    def __init__(self, overdue_ms: int) -> None:
        self._overdue_ms = overdue_ms
        self._tallies: dict[Partition, _Tally] = {}
        self._ends: deque[tuple[int, dict[Partition, int]]] = deque()
        self._unanswered: deque[tuple[int, int]] = deque()
        self.owed = 0

    def sampled(self, at_ms: int, positions: Mapping[Partition, Position]) -> int:
        """Take what Kafka says; returns how many events are newly overdue."""
        at_ms = max(at_ms, self._ends[-1][0]) if self._ends else at_ms
        self._ends.append((at_ms, {partition: position.end for partition, position in positions.items()}))
        while len(self._ends) > 1 and self._ends[1][0] <= at_ms - self._overdue_ms:
            self._ends.popleft()
        sampled_ms, ends = self._ends[0]
        known = ends if sampled_ms <= at_ms - self._overdue_ms else {}
        overdue = sum(self._overdue(name, position, known) for name, position in positions.items())
        self.owed += overdue
        self._settle(at_ms)
        return overdue

    def _overdue(self, name: Partition, position: Position, ends: Mapping[Partition, int]) -> int:
        tally = self._tallies.get(name)
        # A commit beyond the end is of a topic that was there before under this name.
        committed = position.committed if (position.committed or 0) <= position.end else None
        if tally is None or position.end < tally.end:
            begin = position.end if committed is None else committed
            tally = self._tallies[name] = _Tally(begin, begin, position.end)
            for _, older in list(self._ends)[:-1]:
                older.pop(name, None)
        tally.end = position.end
        if committed is not None:
            tally.answered = max(tally.answered, committed)
        begin = max(tally.answered, tally.line)
        tally.line = max(begin, min(ends.get(name, begin), position.end))
        return tally.line - begin

    @property
    def unanswered(self) -> int:
        """Overdue events that still have no answer."""
        return sum(max(0, tally.line - tally.answered) for tally in self._tallies.values())

    def _settle(self, at_ms: int) -> None:
        self._unanswered.append((at_ms, self.unanswered))
        while len(self._unanswered) > 1 and self._unanswered[1][0] <= at_ms - SETTLE_MS:
            self._unanswered.popleft()
        if self._unanswered[0][0] <= at_ms - SETTLE_MS:
            self.owed = min(self.owed, max(count for _, count in self._unanswered))

    def settled(self, late_answers: int) -> int:
        """Take so many late answers from a metrics record; returns how many of them were counted as bad before."""
        settled = min(self.owed, max(0, late_answers))
        self.owed -= settled
        return settled

    def keep(self) -> Kept:
        """What a later process needs to go on."""
        tallies = {name: (tally.answered, tally.line, tally.end) for name, tally in self._tallies.items()}
        return Kept(self.owed, tallies)

    def restore(self, kept: Kept) -> None:
        """Go on from there."""
        self.owed = kept.owed
        self._tallies = {name: _Tally(*numbers) for name, numbers in kept.tallies.items()}
