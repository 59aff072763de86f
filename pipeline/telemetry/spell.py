"""A time in which something keeps happening: told when it begins, once a minute, and when it is over. Pure."""

from dataclasses import dataclass

NS_PER_S = 1_000_000_000
QUIET_NS = 10 * NS_PER_S
"""How long it must not have happened before it counts as over: what comes and goes is one spell."""
REPEAT_NS = 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Told:
    """What to say of a spell: how long it has lasted and how often it has happened in it."""

    lasted_s: float
    count: int


class Spell:
    """Times are of any monotonic clock, in ns."""

    def __init__(self, quiet_ns: int = QUIET_NS, repeat_ns: int = REPEAT_NS) -> None:
        self._quiet_ns = quiet_ns
        self._repeat_ns = repeat_ns
        self._since_ns: int | None = None
        self._last_ns = 0
        self._told_ns = 0
        self._count = 0

    @property
    def on(self) -> bool:
        """Whether it is told to have begun and not to be over."""
        return self._since_ns is not None

    def happened(self, now_ns: int, count: int = 1) -> Told | None:
        """It happened so many times; returns what to say of it, if anything. At the beginning it has lasted 0 s."""
        self._last_ns = now_ns
        if self._since_ns is None:
            self._since_ns = self._told_ns = now_ns
            self._count = count
            return Told(0.0, count)
        self._count += count
        if now_ns - self._told_ns < self._repeat_ns:
            return None
        self._told_ns = now_ns
        return Told((now_ns - self._since_ns) / NS_PER_S, self._count)

    def over(self, now_ns: int, *, certain: bool = False) -> Told | None:
        """What to say when it is over, once: it has not happened for long enough, or certainly will not again."""
        if self._since_ns is None or not (certain or now_ns - self._last_ns >= self._quiet_ns):
            return None
        lasted_s = (self._last_ns - self._since_ns) / NS_PER_S
        self._since_ns = None
        return Told(lasted_s, self._count)
