"""Whether a process lives and whether it can serve: rules over what its loop last said of itself. Pure.

Alive is who makes progress while there is something to do. What a restart does not mend is no death: models being
loaded, windows being restored (which has a time limit of its own), a cluster that cannot be reached.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pipeline.clock import NS_PER_MS, Instant, rfc3339

NS_PER_S = 1_000 * NS_PER_MS


class Phase(StrEnum):
    """How far a process is between its start and its end."""

    STARTING = "starting"
    JOINING = "joining"
    RESTORING = "restoring"
    DECIDING = "deciding"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the loop says of itself once a second.

    `partitions` are assigned, `restoring` of them have windows that are not whole. `stalled_ns` has each partition
    that is being decided, with the instant since when it has lag and stands still, which is now for one that moves.
    """

    phase: Phase
    partitions: int = 0
    restoring: int = 0
    stalled_ns: Mapping[str, int] = field(default_factory=dict)
    unreachable: bool = False


class Stalls:
    """Since when each partition has had lag without moving."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}

    def observe(self, progress: Mapping[str, tuple[int, int]], now_ns: int) -> dict[str, int]:
        """`progress` has the position and the lag of each partition that should move now.

        Returns for each the instant since when it stands still with lag. One that was left out begins anew.
        """
        seen: dict[str, tuple[int, int]] = {}
        for name, (position, lag) in progress.items():
            before, since_ns = self._seen.get(name, (position, now_ns))
            stands = before == position and lag > 0
            seen[name] = (position, since_ns if stands else now_ns)
        self._seen = seen
        return {name: since_ns for name, (_, since_ns) in seen.items()}


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """The numbers that a configuration sets."""

    loop_ns_max: int
    progress_ns_max: int


@dataclass(frozen=True, slots=True)
class Check:
    """One condition: whether it holds, since when (wall time), and what there is to know."""

    name: str
    ok: bool
    since_ms: int
    says: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All conditions together."""

    phase: Phase
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether all hold."""
        return all(check.ok for check in self.checks)

    def body(self) -> dict[str, object]:
        """As JSON says it: times in RFC 3339, UTC."""
        checks = {
            check.name: {"ok": check.ok, "since": rfc3339(check.since_ms / 1000), "says": check.says}
            for check in self.checks
        }
        return {"ok": self.ok, "phase": str(self.phase), "checks": checks}


@dataclass(frozen=True, slots=True)
class _Told:
    """What was said, when, and of each condition since when it is as it is; replaced as a whole."""

    vitals: Vitals
    at_ns: int
    held: Mapping[str, tuple[bool, int]]


class Health:
    """Keeps what the loop said, and since when; `beat` and `tell` are the loop's, the rest any thread's.

    A loop that hangs says nothing any more, and that is how it is known.
    """

    def __init__(self, limits: HealthLimits, started: Instant) -> None:
        self._limits = limits
        self._started = started
        self._beat_ns: int | None = None
        vitals = Vitals(Phase.STARTING)
        since_ns = {name: (ok, started.mono_ns) for name, ok, _ in _conditions(vitals)}
        self._told = _Told(vitals, started.mono_ns, since_ns)

    def beat(self, now_ns: int) -> None:
        """The loop has turned."""
        self._beat_ns = now_ns

    def tell(self, vitals: Vitals, now_ns: int) -> None:
        """What the loop says of itself now."""
        held = {}
        for name, ok, _ in _conditions(vitals):
            was, since_ns = self._told.held[name]
            held[name] = (ok, since_ns if was == ok else now_ns)
        self._told = _Told(vitals, now_ns, held)

    @property
    def vitals(self) -> Vitals:
        """What was said last."""
        return self._told.vitals

    def alive(self, now: Instant) -> Verdict:
        """Whether to leave the process alone: liveness."""
        told = self._told
        return Verdict(told.vitals.phase, (self._loop(now), self._progress(told, now)))

    def ready(self, now: Instant) -> Verdict:
        """Whether it does its part, or could: readiness."""
        told = self._told
        checks = [
            Check(name, ok, _wall_ms(told.held[name][1], now), says) for name, ok, says in _conditions(told.vitals)
        ]
        return Verdict(told.vitals.phase, (*checks, self._loop(now)))

    def _loop(self, now: Instant) -> Check:
        beat_ns = self._beat_ns
        if beat_ns is None:
            return Check("loop", True, self._started.wall_ms, "has not begun")
        hangs = now.mono_ns - beat_ns > self._limits.loop_ns_max
        says = f"turned {(now.mono_ns - beat_ns) / NS_PER_S:.1f} s ago"
        if hangs:
            says += f", {self._limits.loop_ns_max / NS_PER_S:.0f} s at most"
        return Check("loop", not hangs, _wall_ms(beat_ns, now), says)

    def _progress(self, told: _Told, now: Instant) -> Check:
        vitals = told.vitals
        if not vitals.stalled_ns:
            says = "the cluster cannot be reached" if vitals.unreachable else "nothing is being decided"
            return Check("progress", True, _wall_ms(told.at_ns, now), says)
        name, since_ns = min(vitals.stalled_ns.items(), key=lambda item: item[1])
        stood_ns = told.at_ns - since_ns
        stands = stood_ns > self._limits.progress_ns_max
        says = "every partition moves or has no lag"
        if stands:
            says = f"{name} has lag and has not moved for {stood_ns / NS_PER_S:.1f} s"
            says += f", {self._limits.progress_ns_max / NS_PER_S:.0f} s at most"
        return Check("progress", not stands, _wall_ms(since_ns, now), says)


def _conditions(vitals: Vitals) -> tuple[tuple[str, bool, str], ...]:
    """What readiness asks for: its name, whether it is so, and what there is to know."""
    phase = vitals.phase
    begun = phase is not Phase.STARTING
    assigned = begun and phase is not Phase.JOINING
    whole = assigned and not vitals.restoring
    return (
        ("models", begun, "warm" if begun else "being loaded and warmed"),
        ("assignment", assigned, f"{vitals.partitions} partitions" if assigned else "none yet"),
        ("state", whole, "whole" if whole else _not_whole(vitals) if assigned else "of no partition yet"),
        ("open", phase is not Phase.DRAINING, "drains" if phase is Phase.DRAINING else "takes records"),
    )


def _not_whole(vitals: Vitals) -> str:
    return f"of {vitals.restoring} of {vitals.partitions} partitions not restored yet"


def _wall_ms(mono_ns: int, now: Instant) -> int:
    return now.wall_ms - (now.mono_ns - mono_ns) // NS_PER_MS
