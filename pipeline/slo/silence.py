"""Who has gone quiet: processes that no longer say anything, partitions that do not move while they have lag."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pipeline.slo.expected import Partition, Position

FORGET_MS = 3_600_000
"""A process that the others of its pipeline have outlived by so long is no longer missed."""


@dataclass(slots=True)
class _Heard:
    to_ms: int
    ended: bool


class Instances:
    """The processes of one pipeline, by the last stretch of time that each has told of.

    One that said it ends (the last record of a drained process does) is not missed. Silence is counted from the
    record's own `to_ms`, so a topic read again from its beginning makes nobody look alive.
    """

    def __init__(self, silent_ms: int) -> None:
        self._silent_ms = silent_ms
        self._heard: dict[str, _Heard] = {}

    def heard(self, instance: str, to_ms: int, ended: bool) -> None:
        """A record of a process."""
        known = self._heard.get(instance)
        if known is None or to_ms >= known.to_ms:
            self._heard[instance] = _Heard(to_ms, ended)

    def known(self) -> Collection[str]:
        """All that are not forgotten, ended ones too."""
        return self._heard.keys()

    def last_ms(self) -> dict[str, int]:
        """When each process that has not ended was last heard of."""
        return {name: heard.to_ms for name, heard in self._heard.items() if not heard.ended}

    def silent(self, now_ms: int) -> dict[str, int]:
        """Those that are missed, and since when."""
        newest_ms = max((heard.to_ms for heard in self._heard.values()), default=0)
        self._heard = {name: heard for name, heard in self._heard.items() if newest_ms - heard.to_ms < FORGET_MS}
        return {name: to_ms for name, to_ms in self.last_ms().items() if now_ms - to_ms > self._silent_ms}

    def all_silent(self, now_ms: int) -> bool:
        """Whether there were processes that did not end and none of them is heard any more."""
        silent = self.silent(now_ms)
        return bool(silent) and len(silent) == len(self.last_ms())

    def keep(self) -> dict[str, tuple[int, bool]]:
        """What a later process needs to go on."""
        return {name: (heard.to_ms, heard.ended) for name, heard in self._heard.items()}

    def restore(self, kept: Mapping[str, tuple[int, bool]]) -> None:
        """Go on from there."""
        self._heard = {name: _Heard(*numbers) for name, numbers in kept.items()}


@dataclass(slots=True)
class _Moved:
    committed: int | None
    at_ms: int


class Partitions:
    """The partitions that a pipeline decides, by when their committed offset last moved or had nothing to move to."""

    def __init__(self, stuck_ms: int) -> None:
        self._stuck_ms = stuck_ms
        self._moved: dict[Partition, _Moved] = {}
        self.lag: dict[Partition, int] = {}

    def sampled(self, at_ms: int, positions: Mapping[Partition, Position]) -> None:
        """Take what Kafka says. A group that has committed nothing has no lag here (`expected` sees what comes)."""
        self.lag = {name: max(0, p.end - p.committed) for name, p in positions.items() if p.committed is not None}
        for name, position in positions.items():
            known = self._moved.get(name)
            if known is None or position.committed != known.committed or not self.lag.get(name):
                self._moved[name] = _Moved(position.committed, at_ms)
        self._moved = {name: moved for name, moved in self._moved.items() if name in positions}

    def stuck(self, now_ms: int) -> dict[Partition, int]:
        """Partitions that have lag and did not move for longer than allowed, and since when."""
        return {
            name: moved.at_ms
            for name, moved in self._moved.items()
            if self.lag.get(name) and now_ms - moved.at_ms > self._stuck_ms
        }
