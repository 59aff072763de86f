"""What the parts of an assembly say of themselves, read once a second: counts, lag, levels, signs of life."""

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pipeline.clock import NS_PER_MS, Instant
from pipeline.config.model import PipelineConfig
from pipeline.group import Group
from pipeline.kafka.lane import Lane, TopicPartition
from pipeline.replay import MERGED
from pipeline.scoring import costs, promises
from pipeline.telemetry.health import NS_PER_S, Health, HealthLimits, Phase, Stalls, Vitals

if TYPE_CHECKING:
    from pipeline.assembly import Assembly

VITALS_NS = 1_000 * NS_PER_MS
SKEW_READINGS = 60
"""A clock that is ahead is told for so many records, so that whoever looks now and then sees it."""


class Readings:
    """Reads an assembly's parts; belongs to the loop's thread."""

    def __init__(self, parts: "Assembly") -> None:
        self._parts = parts
        self._stalls = Stalls()
        self._stalled_s: dict[str, float] = {}
        self._ahead_ms: deque[int] = deque(maxlen=SKEW_READINGS)
        self.draining = False

    def counts(self) -> dict[str, int]:
        """Running totals by name."""
        parts = self._parts
        intake = parts.intake.counts
        counts = {
            "read": intake.read,
            "late": intake.late,
            "disordered": intake.disordered,
            "key_disagreements": intake.key_disagreements,
            "unreadable_deadlines": intake.unreadable_deadlines,
            "held": intake.held,
            **parts.outlet.counts(),
            **parts.tracing.counts(),
            "not_finite": parts.decider.not_finite,
            "kafka_errors/producer": parts.producer.errors,
            "kafka_errors/consumer": parts.consumer.errors,
            **promises(parts.tiers),
            **parts.biller.counts(parts.clock.instant()),
            **{f"served/{name}": rows for name, rows in parts.decider.served().items()},
        }
        if parts.stage is not None:
            state = parts.stage.lanes.counts
            counts["read"] += state.read
            counts["late"] += state.late
            counts["disordered"] += state.disordered
            counts.update(absorbed=state.absorbed, rebuilt=state.rebuilt, **parts.stage.counts())
        if parts.state.has_outcomes:
            counts["outcomes_missed"] = parts.outcomes.missed
        for tier, recurrence in parts.recurrences.items():
            missed = {f"model_state_missed/{recurrence.plan.tier}": parts.recurrent[tier].missed}
            counts.update(recurrence.counts(), **missed)
        if parts.answers is not None:
            counts.update(parts.answers.counts())
        if parts.intake.router is not None:
            counts.update(parts.intake.router.counts())
        if parts.reuse is not None:
            counts.update(reused_same=parts.reuse.exact_hits, reused_like=parts.reuse.near_hits)
        if parts.reasons is not None:
            counts.update(parts.reasons.counts())
        if parts.rollouts is not None:
            counts.update(parts.rollouts.counts())
        if parts.replay is not None:
            counts["absorbed"] = parts.replay.absorbed
        return counts

    def lag(self) -> dict[str, int]:
        """Records of each partition that its outcome is not delivered for, by the last fetch's word."""
        return {name: lag for name, (_, lag) in self._progress(self._parts.consumer.lanes.values()).items()}

    def _progress(self, lanes: Iterable[Lane]) -> dict[str, tuple[int, int]]:
        """Position and lag of each partition whose end is known."""
        found = {}
        for lane in lanes:
            end, at = lane.high_watermark(), self._position(lane.key)
            if end >= 0 and at is not None:
                found[f"{lane.topic}/{lane.partition}"] = at, max(0, end - at)
        return found

    def _position(self, partition: TopicPartition) -> int | None:
        """Below it all is delivered; before the first delivery, where deciding began."""
        watermark = self._parts.in_flight.watermarks.watermark(partition)
        group = self._parts.group
        return group.committed.get(partition) if watermark is None and isinstance(group, Group) else watermark

    def levels(self) -> dict[str, float]:
        """What is as it is now, by name; a part after `/` says of what."""
        parts = self._parts
        levels = {
            "rows_in_flight": parts.in_flight.used_rows,
            "rows_in_flight_max": parts.rows.capacity_rows,
            "rows_pending": parts.batcher.pending_rows,
            "publishing_blocked": int(parts.outlet.blocked()),
            "cluster_unreachable": int(parts.producer.unreachable),
            "state_bytes": parts.state.taken_bytes,
            "state_bytes_max": parts.config.engine.memory_bytes_max,
            "delivery_ms": parts.outlet.delivery_time.learned.promised_ns / NS_PER_MS,
            **{f"state_keys/{name}": keys for name, keys in parts.state.keys().items()},
            **{f"stalled_s/{name}": seconds for name, seconds in self._stalled_s.items()},
            **costs(parts.tiers),
            **parts.biller.levels(),
        }
        if parts.drift is not None:
            levels.update(parts.drift.levels())
        if parts.rollouts is not None:
            levels.update(parts.rollouts.levels())
        if parts.answers is not None:
            levels.update(parts.answers.levels())
        if parts.replay is None:
            levels["partitions"] = len(parts.consumer.lanes)
            self._ahead_ms.append(parts.intake.counts.take_ahead_ms())
            levels["clock_skew_ms"] = max(self._ahead_ms)
        if parts.stage is not None and parts.stage.checkpointer is not None:
            ages = parts.stage.checkpointer.ages_s()
            levels.update({f"checkpoint_age_s/{name}": age for name, age in ages.items()})
        return levels

    def vitals(self, now_ns: int) -> Vitals:
        """How far the process is, and what of it stands still."""
        parts = self._parts
        group, unreachable = parts.group, parts.producer.unreachable
        if isinstance(group, Group):
            owned, lanes = len(group.owned), group.lanes()
            restoring = owned - len(lanes)
            phase = Phase.RESTORING if restoring else Phase.DECIDING if group.epoch else Phase.JOINING
            progress = self._progress(lanes)
        else:
            owned, restoring, phase = len(group.lanes()), 0, Phase.DECIDING
            progress = self._replayed()
        if self.draining:
            phase = Phase.DRAINING
        stalled_ns = self._stalls.observe({} if unreachable or self.draining else progress, now_ns)
        self._stalled_s = {name: (now_ns - since_ns) / NS_PER_S for name, since_ns in stalled_ns.items()}
        return Vitals(phase, owned, restoring, stalled_ns, unreachable)

    def _replayed(self) -> dict[str, tuple[int, int]]:
        """A replay moves as long as anything is read or decided, all partitions together."""
        parts = self._parts
        assert parts.replay is not None
        delivered = parts.in_flight.watermarks.watermark(MERGED) or 0
        done = parts.replay.finished and not parts.in_flight.used_rows
        return {"replay/0": (parts.replay.counts.read + delivered, int(not done))}


def health_of(config: PipelineConfig, started: Instant) -> Health:
    """Health within the limits of a configuration."""
    limits = HealthLimits(config.health.loop_s_max * NS_PER_S, config.health.progress_s_max * NS_PER_S)
    return Health(limits, started)


class Pulse:
    """Tells health of each turn, and once a second how it is. Called by the loop."""

    def __init__(self, health: Health, readings: Readings) -> None:
        self._health = health
        self._readings = readings
        self._due_ns = 0

    def __call__(self, now_ns: int) -> None:
        """The loop has turned."""
        self._health.beat(now_ns)
        if now_ns >= self._due_ns:
            self._due_ns = now_ns + VITALS_NS
            self._health.tell(self._readings.vitals(now_ns), now_ns)

    def drain(self, now_ns: int) -> None:
        """Nothing more is read from now on."""
        self._readings.draining = True
        self._due_ns = 0
        self(now_ns)
