"""How much of one place in the code may be told: enough to act on, however often it happens. Pure."""

from collections.abc import Hashable
from dataclasses import dataclass

LINES_MAX = 30
WINDOW_NS = 10_000_000_000
"""So many lines of a place each ten seconds; of the rest their number is told when the time is over."""


@dataclass(slots=True)
class _Window:
    began_ns: int
    lines: int = 0
    suppressed: int = 0


class LineLimit:
    """Counts lines by the place that says them. Times are of any monotonic clock, in ns.

    A place that is quiet for a window is forgotten, so the memory is that of what was said lately.
    """

    def __init__(self, lines_max: int = LINES_MAX, window_ns: int = WINDOW_NS) -> None:
        self._lines_max = lines_max
        self._window_ns = window_ns
        self._windows: dict[Hashable, _Window] = {}

    def admit(self, place: Hashable, now_ns: int) -> bool:
        """Whether to say a line of this place now; ask `over` before."""
        window = self._windows.get(place)
        if window is None:
            window = self._windows[place] = _Window(now_ns)
        window.lines += 1
        if window.lines <= self._lines_max:
            return True
        window.suppressed += 1
        return False

    def over(self, now_ns: int, *, all_of_them: bool = False) -> list[tuple[Hashable, int]]:
        """The places whose window is over and of which lines were suppressed, each once, with how many."""
        past = [
            place
            for place, window in self._windows.items()
            if all_of_them or now_ns - window.began_ns >= self._window_ns
        ]
        return [(place, ended.suppressed) for place in past if (ended := self._windows.pop(place)).suppressed]

    def due_ns(self) -> int | None:
        """When `over` next has something to tell, None while nothing is suppressed."""
        waiting = [window.began_ns for window in self._windows.values() if window.suppressed]
        return min(waiting) + self._window_ns if waiting else None
