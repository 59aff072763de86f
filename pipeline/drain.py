"""Giving partitions up: finish what is in flight within a limit, then answer. Pure."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Drain:
    """Partitions being given up. Their lanes are no longer read; their rows may finish until `until_ns`."""

    partitions: frozenset[Any]
    until_ns: int
    lost: bool

    def over(self, unfinished_rows: int, now_ns: int) -> bool:
        """Whether to answer now: all is delivered, time is up, or the partitions are gone already."""
        return self.lost or unfinished_rows == 0 or now_ns >= self.until_ns
