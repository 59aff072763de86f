"""Where a run takes place: a cluster, the input on it, the truth about it, and topics for each run's outcomes."""

import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.checker import Truth, Verdict, truth_of, verify
from tests.chaos.events import Plan, Traffic, send_history, send_storm
from tests.chaos.members import Member
from tests.chaos.topics import commit_starts, delete_topics, make_topics

REPLAY_S_MAX = 600.0
AT_LEAST_ONCE, EXACTLY_ONCE = "at_least_once", "exactly_once"
OUTPUTS = ("decisions", "dead-letters", "metrics")
PATIENT = (
    "pipeline.budget_ms=3600000",
    "pipeline.budget_ms_max=3600000",
    "publish.features=true",
    "kafka.consumer.session.timeout.ms=6000",
    "engine.drain_ms_max=5000",
    "engine.commit_ms=5",
)
"""An hour for an answer, so that a backlog is scored; commits so often that one too early would be seen."""


@dataclass(frozen=True)
class How:
    """What the processes are run with, and who is told how it goes."""

    guarantee: str = AT_LEAST_ONCE
    assignments: tuple[str, ...] = ()
    tell: Callable[[str], None] = field(default=print)


class Ground:
    """The input of one plan on a cluster, sent once for all runs; its truth comes from a replay of it.

    The truth is found when it is first asked for, and can be another ground's that has the same plan.
    """

    def __init__(self, bootstrap: str, plan: Plan, how: How, folder: Path, *, replication: int = 1) -> None:
        self.bootstrap, self.plan, self.how = bootstrap, plan, how
        self.traffic = Traffic(plan)
        self._folder, self._replication = folder, replication
        self._suffix = uuid.uuid4().hex[:6]
        self.transactions = f"transactions-{self._suffix}"
        self._labels = f"labels-{self._suffix}"
        self._numbers = itertools.count(1)
        self._truth: Truth | None = None
        self._sent = plan.history
        make_topics(bootstrap, {self.transactions: plan.partitions, self._labels: 2}, replication)
        send_history(bootstrap, self.traffic, self.transactions, self._labels)

    def send_storm(self, rate: float = 0, rows: int | None = None) -> None:
        """The storm's next events, by default all that are left: at once, or so many a second."""
        last = self.plan.history + self.plan.events if rows is None else self._sent + rows
        going, self._sent = range(self._sent, last), last
        send_storm(self.bootstrap, self.traffic, self.transactions, going, rate)

    def assignments(self, name: str) -> list[str]:
        """What makes a process one of the run of this name."""
        return [
            f"kafka.bootstrap.servers={self.bootstrap}",
            f"kafka.group.id=chaos-{name}",
            f"inputs.transactions.topic={self.transactions}",
            f"inputs.labels.topic={self._labels}",
            *(f"topics.{output.replace('-', '_')}={output}-{name}" for output in OUTPUTS),
            *PATIENT,
            *self.how.assignments,
        ]

    def truth(self) -> Truth:
        """What every run is held against: the whole input replayed in one order, checked against the definitions."""
        if self._truth is None:
            name = f"{self._suffix}-truth"
            make_topics(self.bootstrap, dict.fromkeys(self.topics(name), 4), self._replication)
            replay = Member([*self.assignments(name), "pipeline.mode=replay"], self._folder / f"{name}.log")
            replay.start()
            assert replay.wait(REPLAY_S_MAX) == 0, replay.last_words()
            self._truth = truth_of(self.bootstrap, self.transactions, self._labels, f"decisions-{name}")
            delete_topics(self.bootstrap, self.topics(name))
            self.how.tell(f"the truth is known: {len(self._truth.inputs.good):,} records")
        return self._truth

    def topics(self, name: str) -> list[str]:
        """A run's outcome topics."""
        return [f"{output}-{name}" for output in OUTPUTS]

    def begin(self, what: str) -> str:
        """Topics for one more run, and a group that stands at the storm's beginning; returns the run's name."""
        name = f"{self._suffix}-{what}-{next(self._numbers)}"
        make_topics(self.bootstrap, dict.fromkeys(self.topics(name), 4), self._replication)
        commit_starts(self.bootstrap, f"chaos-{name}", self.transactions, self.traffic.storm_starts())
        return name

    def members(self, name: str, count: int, *, static: bool) -> list[Member]:
        """So many processes of a run, not started. `static`: each keeps its place in the group when it restarts.

        Exactly-once needs an identity that lasts, so there they always have one.
        """
        made = []
        for number in range(count):
            assignments = self.assignments(name)
            if static or self.how.guarantee == EXACTLY_ONCE:
                assignments.append(f"kafka.group.instance.id={name}-{number}")
            if self.how.guarantee != AT_LEAST_ONCE:
                assignments.append(f"delivery.guarantee={self.how.guarantee}")
            made.append(Member(assignments, self._folder / f"{name}-{number}.log"))
        return made

    def check(self, name: str) -> Verdict:
        """Hold a run's topics against the truth."""
        starts, once = self.traffic.storm_starts(), self.how.guarantee == EXACTLY_ONCE
        return verify(self.bootstrap, self.truth(), f"decisions-{name}", f"dead-letters-{name}", starts, once=once)

    def clear(self, name: str) -> None:
        """Delete what a run has written."""
        delete_topics(self.bootstrap, self.topics(name))

    def close(self) -> None:
        """Delete the input."""
        delete_topics(self.bootstrap, [self.transactions, self._labels])
