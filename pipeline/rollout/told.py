"""What the loop and the rollout's own thread tell each other."""

from dataclasses import dataclass

from pipeline.tier import ModelTier
from pipeline.wire.audit import AuditRecord
from pipeline.wire.rollout import RolloutRecord


@dataclass(frozen=True, slots=True)
class Change:
    """To the loop: this is in force for a tier from now on, and here are its models, warm."""

    tier: int
    record: RolloutRecord
    stable: ModelTier
    candidate: ModelTier | None


@dataclass(frozen=True, slots=True)
class Wish:
    """From the loop: write this to the control topic, for all processes to follow."""

    record: RolloutRecord


@dataclass(frozen=True, slots=True)
class Note:
    """From the loop: write this to the audit topic, and say so when it is there."""

    record: AuditRecord


Word = Wish | Note
