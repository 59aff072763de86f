"""The engine's two clocks, and the mapping between them. Everything else takes time as an argument."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

NS_PER_MS = 1_000_000


@dataclass(frozen=True)
class Instant:
    """One reading of both clocks, taken together: `mono_ns` never steps, `wall_ms` is since the epoch."""

    mono_ns: int
    wall_ms: int

    def mono_of_wall_ns(self, wall_ms: int) -> int:
        """The monotonic instant of a wall time, by this reading. May be negative for the distant past."""
        return self.mono_ns - (self.wall_ms - wall_ms) * NS_PER_MS


class SystemClock:
    """The machine's clocks. A test or a simulator passes an object of its own with the same two methods."""

    def now_ns(self) -> int:
        """The monotonic clock."""
        return time.monotonic_ns()

    def instant(self) -> Instant:
        """Both clocks at once."""
        return Instant(time.monotonic_ns(), time.time_ns() // NS_PER_MS)


def rfc3339(epoch_s: float) -> str:
    """A wall time for people and other programs: UTC, cut to milliseconds."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
