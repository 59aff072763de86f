"""When an error budget burns too fast: multi-window burn rates, decided without a clock, a thread or a socket.

The rule is the one of chapter 5 of Google's SRE workbook. The budget is the share of events that may be bad, 1 minus
the objective. The burn of a window is its share of bad events over the budget: at a burn of 1 the budget is used up
exactly at the end of its period. A pair of windows exceeds when the burn of the long one (it matters) and of the
short one (it goes on) are both above the pair's factor. An alert fires when any pair of its severity exceeds, and is
resolved when for `hold_ms` no evaluation found one that does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.slo.windows import Counts, WindowCounts

Severity = Literal["page", "ticket"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two windows and how many times the sustainable burn both have to show."""

    severity: Severity
    factor: float
    long_ms: int
    short_ms: int


@dataclass(frozen=True, slots=True)
class BurnRules:
    """What an alert takes.

    Fewer than `events_min` events in the long window, or fewer than `bad_min` bad ones, say nothing.
    """

    pairs: tuple[Pair, ...]
    events_min: int
    bad_min: int
    hold_ms: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One pair, looked at."""

    pair: Pair
    long_burn: float
    short_burn: float
    exceeds: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """One severity of one SLO, after an evaluation; `changed` if this evaluation made it fire or resolved it.

    The reading is of the pair that exceeds, or of the one nearest to it. `since_ms` is when the state began.
    """

    severity: Severity
    firing: bool
    changed: bool
    since_ms: int
    reading: Reading


def burn_of(counts: Counts, budget: float) -> float:
    """The share of bad events over the budget; 0 when nothing was counted."""
    return counts.bad / counts.total / budget if counts.total > 0 else 0.0


def budget_left_of(counts: Counts, budget: float) -> float:
    """How much of the error budget is left after these events: 1 is all of it, below 0 it is overspent."""
    return 1.0 - burn_of(counts, budget)


def reading_of(pair: Pair, long: Counts, short: Counts, budget: float, rules: BurnRules) -> Reading:
    """Look at a pair."""
    long_burn, short_burn = burn_of(long, budget), burn_of(short, budget)
    enough = long.total >= rules.events_min and long.bad >= rules.bad_min
    return Reading(pair, long_burn, short_burn, enough and long_burn > pair.factor and short_burn > pair.factor)


class Firing:
    """The two states of one alert: it fires at once, and is resolved when it was quiet for `hold_ms`."""

    def __init__(self, hold_ms: int) -> None:
        self._hold_ms = hold_ms
        self.on = False
        self.since_ms = 0
        self.quiet_since_ms: int | None = None

    def told(self, exceeds: bool, now_ms: int) -> bool:
        """Take one evaluation; whether it changed the state."""
        if exceeds:
            self.quiet_since_ms = None
            return not self.on and self._turn(True, now_ms)
        if not self.on:
            return False
        if self.quiet_since_ms is None:
            self.quiet_since_ms = now_ms
        return now_ms - self.quiet_since_ms >= self._hold_ms and self._turn(False, now_ms)

    def _turn(self, on: bool, now_ms: int) -> bool:
        self.on, self.since_ms, self.quiet_since_ms = on, now_ms, None
        return True


class SloBurn:
    """The windows of one SLO and the alerts about it."""

    def __init__(self, budget: float, rules: BurnRules) -> None:
        self.budget = budget
        self.rules = rules
        spans = sorted({span for pair in rules.pairs for span in (pair.long_ms, pair.short_ms)})
        self.windows: Mapping[int, WindowCounts] = {span: WindowCounts(span) for span in spans}
        severities: list[Severity] = list(dict.fromkeys(pair.severity for pair in rules.pairs))
        self.firing: Mapping[Severity, Firing] = {severity: Firing(rules.hold_ms) for severity in severities}

    def add(self, at_ms: int, good: int, bad: int) -> bool:
        """Count events of a time; False when even the longest window has passed it."""
        held = [window.add(at_ms, good, bad) for window in self.windows.values()]
        return any(held)

    def counts(self, now_ms: int) -> Counts:
        """What the longest window holds."""
        return self.windows[max(self.windows)].counts(now_ms)

    def readings(self, now_ms: int) -> list[Reading]:
        """Each pair as it stands."""
        held = {span: window.counts(now_ms) for span, window in self.windows.items()}
        return [
            reading_of(pair, held[pair.long_ms], held[pair.short_ms], self.budget, self.rules)
            for pair in self.rules.pairs
        ]

    def evaluate(self, now_ms: int) -> list[Verdict]:
        """Decide each severity, once an evaluation interval."""
        readings = self.readings(now_ms)
        verdicts = []
        for severity, firing in self.firing.items():
            own = [reading for reading in readings if reading.pair.severity == severity]
            worst = _worst(own)
            changed = firing.told(worst.exceeds, now_ms)
            verdicts.append(Verdict(severity, firing.on, changed, firing.since_ms, worst))
        return verdicts


def _worst(readings: Sequence[Reading]) -> Reading:
    """The pair that exceeds, else the one that is nearest to it by the lower of its two burns."""
    return max(readings, key=lambda r: (r.exceeds, min(r.long_burn, r.short_burn) / r.pair.factor))
