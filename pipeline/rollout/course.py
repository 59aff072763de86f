"""The course of a rollout: what follows from what is in force when someone asks, or a rule says so. Pure."""

from collections.abc import Sequence

from msgspec.structs import replace

from pipeline.wire.rollout import ModelRef, RolloutRecord


class RolloutRefusedError(ValueError):
    """What was asked for does not fit what is in force, which is named."""


def begun(
    now: RolloutRecord, candidate: ModelRef, rollout: str, share: float, *, shadow: bool, auto: bool
) -> RolloutRecord:
    """A candidate beside the stable version. Raises RolloutRefusedError while there is another one."""
    if now.candidate is not None:
        raise RolloutRefusedError(
            f"tier {now.tier}: {now.candidate} is beside {now.stable} already: promote it or roll it back first"
        )
    if candidate.same(now.stable):
        raise RolloutRefusedError(f"tier {now.tier}: {candidate} is the stable version already")
    kept = 0.0 if shadow else share
    return replace(
        now, event="started", rollout=rollout, candidate=candidate, share=kept, shadow=shadow, auto=auto, reason=""
    )


def shared(now: RolloutRecord, share: float, reason: str = "") -> RolloutRecord:
    """The candidate answers this share of the keys; a shadow becomes a canary by it."""
    _candidate(now)
    return replace(now, event="share", share=share, shadow=False, reason=reason)


def held(now: RolloutRecord, reason: str = "") -> RolloutRecord:
    """The candidate stays as it is until someone says otherwise; it is still rolled back when it is bad."""
    _candidate(now)
    return replace(now, event="held", auto=False, reason=reason)


def promoted(now: RolloutRecord, to: ModelRef | None = None, reason: str = "") -> RolloutRecord:
    """The candidate, or another version outright, is the stable version from now on."""
    stable = to or _candidate(now)
    if stable.same(now.stable):
        raise RolloutRefusedError(f"tier {now.tier}: {stable} is the stable version already")
    ended = replace(_alone(now), stable=stable, previous=now.stable)
    return replace(ended, event="promoted", reason=reason)


def rolled_back(now: RolloutRecord, reason: str = "") -> RolloutRecord:
    """Without the candidate; where there is none, what was stable before is so again."""
    if now.candidate is not None:
        return replace(_alone(now), event="rolled_back", reason=reason)
    if now.previous is None:
        raise RolloutRefusedError(f"tier {now.tier}: there is nothing before {now.stable} to go back to")
    return replace(_alone(now), event="rolled_back", stable=now.previous, previous=None, reason=reason)


def next_share(steps: Sequence[float], share: float) -> float | None:
    """The step after this share; None after the last."""
    return next((step for step in steps if step > share), None)


def _candidate(now: RolloutRecord) -> ModelRef:
    if now.candidate is None:
        raise RolloutRefusedError(f"tier {now.tier}: {now.stable} answers alone, there is no candidate")
    return now.candidate


def _alone(now: RolloutRecord) -> RolloutRecord:
    return replace(now, event="rolled_back", candidate=None, share=0.0, shadow=False)


class Course:
    """What is in force for one tier, by its records in the order of the topic.

    The last record is the word, but for one: two processes may write at once, and a rollout that was rolled back
    stays so. A later record that brings its candidate back is passed over, and `take` gives what to write instead.
    """

    def __init__(self, configured: RolloutRecord) -> None:
        self._configured = configured
        self.now = configured
        self._over: set[str] = set()

    def take(self, record: RolloutRecord | None) -> RolloutRecord | None:
        """The next record, None for a tombstone: back to what is configured. Returns what the topic should say."""
        if record is None:
            self.now = self._configured
            return None
        brings_back = record.candidate is not None or record.event == "promoted"
        if brings_back and record.rollout in self._over:
            return self.now
        if record.event == "rolled_back":
            self._over.add(record.rollout)
        self.now = record
        return None
