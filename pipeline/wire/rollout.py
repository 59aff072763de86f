"""What is in force for a tier, as JSON, version 1: the records of the control topic, which every process follows."""

from typing import Annotated, Literal

import msgspec

from pipeline.wire.versioned import decode_versioned

ROLLOUT_VERSION = 1
RolloutEvent = Literal["started", "share", "held", "promoted", "rolled_back"]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$")]


class ModelRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version of a model; `sha256` of its file, empty where whoever wrote the record could not look."""

    model: Name
    version: Name
    sha256: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")] = ""

    def __str__(self) -> str:
        return f"{self.model}/{self.version}"

    def same(self, other: "ModelRef") -> bool:
        """The same version, and as far as both know the same file."""
        known = not self.sha256 or not other.sha256 or self.sha256 == other.sha256
        return (self.model, self.version) == (other.model, other.version) and known


class RolloutRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All that is in force for one tier from this record on; the newest record of a key is the word.

    `event` is what made it: a rollout `started`, its `share` changed, it was `held`, the candidate was `promoted` to
    be the stable version, or `rolled_back`. `rollout` names the rollout: keys are chosen by it, and what was rolled
    back once stays so. `previous` is what was stable before the last promotion. With `shadow` the candidate scores
    copies, and `share` is 0. `auto`: processes may change the share and promote by their rules; they roll back
    anyway.
    """

    pipeline: Name
    tier: Name
    rollout: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    event: RolloutEvent
    stable: ModelRef
    at_ms: Annotated[int, msgspec.Meta(ge=0)]
    by: str
    v: int = ROLLOUT_VERSION
    previous: ModelRef | None = None
    candidate: ModelRef | None = None
    share: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.0
    shadow: bool = False
    auto: bool = True
    reason: str = ""
    config_sha256: str = ""

    def __post_init__(self) -> None:
        beside = self.event in ("started", "share", "held")
        if beside != (self.candidate is not None):
            raise ValueError(f"event {self.event} {'needs a' if beside else 'has no'} candidate")
        if self.share and (self.shadow or self.candidate is None):
            raise ValueError(
                f"share is {self.share}, expected 0 {'in shadow' if self.shadow else 'without candidate'}"
            )
        if self.shadow and self.candidate is None:
            raise ValueError("shadow is true, expected false without candidate")

    @property
    def key(self) -> str:
        """The record's key on the topic: one is kept of each."""
        return key_of(self.pipeline, self.tier)

    def encode(self) -> bytes:
        """The record's value on the control topic."""
        return msgspec.json.encode(self)


def key_of(pipeline: str, tier: str) -> str:
    """The key of a tier's records on the control topic."""
    return f"{pipeline}/{tier}"


def decode_rollout(value: bytes) -> RolloutRecord:
    """Read a record back; fields added later are passed over. Raises ValueError saying what is wrong."""
    return decode_versioned(value, RolloutRecord, ROLLOUT_VERSION, "rollout record")
