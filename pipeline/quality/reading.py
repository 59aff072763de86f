"""Records of the topics of decisions and labels, as the join takes them."""

import math
from zlib import crc32

import msgspec

from features.catalog import InputSpec
from pipeline.quality.join import NO_SCORE
from pipeline.quality.report import Answerer
from pipeline.wire.event_safe import Cell, decode_safe

SOURCE_OFFSET_BITS = 44
"""A source is a partition and an offset in one number: 2**44 offsets and half a million partitions."""


class _Decision(msgspec.Struct):
    v: int
    id: str
    score: float | None
    tier: str
    model: str | None
    version: str | None
    event_time: int
    source: tuple[str, int, int]


_DECISION = msgspec.json.Decoder(_Decision)


class TakenDecision(msgspec.Struct, frozen=True):
    """What the join needs of a decision."""

    event_ms: int
    source: int
    identity: int
    place: int
    """A number that the id hashes to, the same in every process: what a sample is taken by."""
    key: int
    score: float
    who: Answerer


class TakenLabel(msgspec.Struct, frozen=True):
    """What the join needs of a label."""

    event_ms: int
    known_ms: int
    identity: int
    place: int
    """As a decision's."""
    hit: bool


def read_decision(value: bytes, key: bytes | None) -> TakenDecision:
    """A decision. Raises ValueError where it is none of version 1."""
    try:
        found = _DECISION.decode(value)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a decision: {error}") from None
    if found.v != 1:
        raise ValueError(f"a decision of version {found.v}, expected 1")
    _, partition, offset = found.source
    score = NO_SCORE if found.score is None or not math.isfinite(found.score) else found.score
    who = Answerer(found.tier, found.model, found.version)
    source = (partition << SOURCE_OFFSET_BITS) | offset
    return TakenDecision(found.event_time, source, hash(found.id), crc32(found.id.encode()), hash(key), score, who)


class LabelReader:
    """Reads labels by the rules that the pipeline itself reads them by; `field` says whether it was a hit."""

    def __init__(self, spec: InputSpec, field: str) -> None:
        self._schema = spec.schema_
        names = (spec.id, spec.event_time, spec.known_time or spec.event_time, field)
        self._at = [self._schema.index(name) for name in names]
        self._has_known_time = spec.known_time is not None

    def read(self, value: bytes, timestamp_ms: int) -> TakenLabel:
        """A label; without a field for it, it is known since the record's timestamp. Raises BadEventError."""
        cells = decode_safe(value, self._schema)
        identity, event, known, hit = (cells[at] for at in self._at)
        known_ms = int(known.number or 0) if self._has_known_time else timestamp_ms
        text = _text_of(identity)
        return TakenLabel(int(event.number or 0), known_ms, hash(text), crc32(text.encode()), bool(hit.number))


def _text_of(cell: Cell) -> str:
    """An id as decisions have it."""
    return str(cell.number) if cell.text is None else cell.text.decode()
