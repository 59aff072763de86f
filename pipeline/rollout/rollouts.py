"""Rollouts in the loop: what the control topic says is swapped in between batches, what the rules say is told."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Protocol

from msgspec.structs import replace
from numpy import int32
from numpy.typing import NDArray

from pipeline.clock import NS_PER_MS, Instant, SystemClock
from pipeline.rollout.judge import ks, psi
from pipeline.rollout.tier_rollout import TierRollout
from pipeline.rollout.told import Change, Note, Wish, Word
from pipeline.runner import Scored
from pipeline.tier import ModelTier
from pipeline.wire.audit import AuditEvent, AuditRecord
from pipeline.wire.rollout import RolloutRecord

DUE_NS = 200 * NS_PER_MS
Offsets = Callable[[], dict[str, tuple[int, int]]]
_OF: dict[str, AuditEvent] = {
    "share": "share",
    "held": "held",
    "promoted": "promoted",
    "rolled_back": "rolled_back",
}


class Outside(Protocol):
    """The thread that follows the control topic, loads models and writes."""

    inbox: SimpleQueue[Change]
    """What it has made ready for the loop."""

    def tell(self, word: Word) -> None:
        """Have something written; never waits."""
        ...

    def counts(self) -> dict[str, int]:
        """Running totals for the metrics."""
        ...

    def close(self) -> None:
        """Deliver what was told, end. Bounded in time."""
        ...


class Rollouts:
    """All tiers' rollouts of a process. Everything is called by the loop; nothing here ever waits."""

    def __init__(
        self,
        tiers: dict[int, TierRollout],
        outside: Outside,
        clock: SystemClock,
        instance: str,
        config_sha256: str,
        offsets: Offsets,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.tiers = tiers
        self._outside = outside
        self._clock = clock
        self._instance = instance
        self._config_sha256 = config_sha256
        self._offsets = offsets
        self.on_change = on_change
        self._due_ns = 0
        self._rollbacks = self._changes = 0

    def begin(self) -> None:
        """What is in force already answers from the first batch on; that it does goes to the audit topic."""
        self._take_changes()
        for tier in self.tiers.values():
            self._note("started", tier.now, tier.stable, by=tier.now.by)

    def turn(self, now_ns: int) -> None:
        """Swap in what has been made ready, see whether a step is due."""
        if not self._outside.inbox.empty():
            self._take_changes()
        if now_ns < self._due_ns:
            return
        self._due_ns = now_ns + DUE_NS
        now = self._clock.instant()
        for tier in self.tiers.values():
            if (wish := tier.due(now)) is not None:
                self._wish(wish, now)

    def _take_changes(self) -> None:
        while True:
            try:
                change = self._outside.inbox.get_nowait()
            except Empty:
                return
            tier = self.tiers[change.tier]
            was, gone = tier.now, tier.candidate
            if not tier.take(change, self._clock.now_ns()):
                continue
            self._changes += 1
            record = change.record
            if was == record:
                continue  # its own rollback, told when it was decided
            self._note(_event(record), record, tier.candidate or tier.stable, by=record.by)
            self._rollbacks += record.event == "rolled_back" and (gone is not None or was.stable != record.stable)
            self.on_change()

    def scored(self, done: Scored, slots: NDArray[int32]) -> None:
        """A batch was scored and these rows of it are decided."""
        tier = self.tiers.get(done.batch.tier)
        if tier is not None:
            self._follow(tier, tier.scored(done, slots))

    def spare(self, limit_ns: int) -> int:
        """The loop has nothing to do for so long: how many copies of rows shadows have scored."""
        scored = 0
        for tier in self.tiers.values():
            count, wish = tier.spare(limit_ns, self._clock.now_ns)
            self._follow(tier, wish)
            scored += count
            if count:
                break
        return scored

    def _follow(self, tier: TierRollout, back: RolloutRecord | None) -> None:
        """The candidate was bad, and answers no more in this process: tell all others, and who keeps the books."""
        if back is None:
            return
        self._rollbacks += 1
        tier.now = self._wish(back, self._clock.instant())
        self._note("rolled_back", tier.now, tier.stable, by=self._instance)
        self.on_change()

    def _wish(self, record: RolloutRecord, now: Instant) -> RolloutRecord:
        signed = replace(record, by=self._instance, at_ms=now.wall_ms, config_sha256=self._config_sha256)
        self._outside.tell(Wish(signed))
        return signed

    def _note(self, event: AuditEvent, record: RolloutRecord, model: ModelTier, *, by: str) -> None:
        note = AuditRecord(
            pipeline=record.pipeline,
            instance=self._instance,
            at_ms=self._clock.instant().wall_ms,
            event=event,
            tier=record.tier,
            model=model.label.model or "",
            version=model.label.version or "",
            sha256=model.sha256,
            share=record.share,
            config_sha256=self._config_sha256,
            reason="" if event in ("started", "stopped") else record.reason,
            by=by,
            offsets=self._offsets(),
        )
        self._outside.tell(Note(note))

    def counts(self) -> dict[str, int]:
        """Running totals for the metrics."""
        tiers = self.tiers.values()
        return {
            "rollouts/rolled_back": self._rollbacks,
            "rollouts/taken": self._changes,
            "shadow_rows": sum(tier.shadow_rows for tier in tiers),
            "shadow_skipped": sum(tier.skipped_rows for tier in tiers),
            **self._outside.counts(),
        }

    def levels(self) -> dict[str, float]:
        """What is in force, by tier: the candidate's share, and how far its scores are from the stable version's."""
        found: dict[str, float] = {}
        for tier in self.tiers.values():
            found[f"rollout_share/{tier.now.tier}"] = tier.now.share
            found[f"rollout_shadow/{tier.now.tier}"] = float(tier.now.shadow)
            seen = tier.pairs if tier.pairs.candidate_rows else tier.evidence
            if tier.candidate is not None and seen.candidate_rows:
                found[f"rollout_rows/{tier.now.tier}"] = tier.seen_rows
                found[f"rollout_ks/{tier.now.tier}"] = ks(seen)
                found[f"rollout_psi/{tier.now.tier}"] = psi(seen)
        return found

    def close(self) -> None:
        """The process serves no more: say so, and have everything delivered. Bounded in time."""
        for tier in self.tiers.values():
            self._note("stopped", tier.now, tier.stable, by=self._instance)
        self._outside.close()


def _event(record: RolloutRecord) -> AuditEvent:
    """What the books call it."""
    if record.event == "started":
        return "shadow" if record.shadow else "canary"
    return _OF[record.event]
