"""Quality as JSON, version 1: how good the decisions about one stretch of event time turned out to be."""

import msgspec

from pipeline.wire.versioned import decode_versioned

QUALITY_VERSION = 1


class Interval(msgspec.Struct, frozen=True):
    """A value, and between what 95 of 100 samples of the same stream would lie."""

    value: float
    low: float
    high: float


class QualityRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The decisions about events of [from_ms, to_ms), of one model version in one tier, or of all (no tier).

    `rows` have a score, `hits` of them were labelled so in time; `unscored` expired or were answered without a
    number, `left_out` found no room. `whole` is false where older records of the topics were gone. `auc` is null
    without both kinds, `ap` without a hit; `cards` is card precision@`cards_k`. `reliability` has the mean score, the
    share of hits and the rows of each bin of score. The topic's key is `key`: a period that is told again takes its
    own place.
    """

    v: int = QUALITY_VERSION
    pipeline: str
    from_ms: int
    to_ms: int
    tier: str | None
    model: str | None
    version: str | None
    rows: int
    hits: int
    unscored: int
    left_out: int
    whole: bool
    auc: Interval | None
    ap: Interval | None
    cards: Interval | None
    cards_k: int
    brier: Interval | None
    ece: float | None
    reliability: tuple[tuple[float, float, int], ...]

    @property
    def key(self) -> str:
        """What tells one record from another."""
        return "/".join([self.pipeline, str(self.from_ms), *(part or "-" for part in self.who)])

    @property
    def who(self) -> tuple[str | None, str | None, str | None]:
        """Whose decisions they are."""
        return self.tier, self.model, self.version

    def encode(self) -> bytes:
        """The record's value on the quality topic."""
        return msgspec.json.encode(self)


def decode_quality(value: bytes) -> QualityRecord:
    """Read a record back; fields added later are passed over. Raises ValueError saying what is wrong."""
    return decode_versioned(value, QualityRecord, QUALITY_VERSION, "quality record")
