"""What the app knows, as bytes: kept in a compacted topic, read back by the process that takes over.

A snapshot holds the offsets of the metrics topic up to which it has counted, so counts and position cannot part. It
is cut into pieces below the broker's limit of a message; snapshots alternate between two sets of keys, so the last
whole one is there whatever happens while the next is written.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import get_args

import msgspec

from pipeline.slo.expected import Kept
from pipeline.slo.watch import Watch, WatchedSlo
from pipeline.wire.alert import AlertKind, AlertRecord

SNAPSHOT_VERSION = 1
PIECE_BYTES_MAX = 500_000
QUIET_KINDS = tuple(kind for kind in get_args(AlertKind) if kind != "burn")


class KeptFiring(msgspec.Struct, array_like=True, frozen=True):
    """One severity's state."""

    on: bool
    since_ms: int
    quiet_since_ms: int | None


class KeptSlo(msgspec.Struct, array_like=True, frozen=True):
    """One SLO: totals, the steps of each window by its span, the state of each severity."""

    good: int
    bad: int
    windows: dict[int, list[tuple[int, int, int]]]
    firing: dict[str, KeptFiring]


class KeptPipeline(msgspec.Struct, array_like=True, frozen=True):
    """One pipeline."""

    expected: Kept
    instances: dict[str, tuple[int, bool]]
    stretches: dict[str, list[int]]


class Snapshot(msgspec.Struct, array_like=True, frozen=True):
    """All of it; `offsets` are of the next metrics record to count, by partition.

    `unwritten` and `unsent` are changes that the alerts topic and the webhook are still owed.
    """

    number: int
    at_ms: int
    offsets: dict[int, int]
    slos: dict[str, KeptSlo]
    pipelines: dict[str, KeptPipeline]
    firing: list[AlertRecord]
    unwritten: list[AlertRecord]
    unsent: list[AlertRecord]


class _Piece(msgspec.Struct, array_like=True, frozen=True):
    v: int
    number: int
    piece: int
    pieces: int
    data: bytes


def snapshot_of(
    watch: Watch,
    number: int,
    at_ms: int,
    offsets: Mapping[int, int],
    unwritten: Sequence[AlertRecord] = (),
    unsent: Sequence[AlertRecord] = (),
) -> Snapshot:
    """What the watch knows now."""
    return Snapshot(
        number,
        at_ms,
        dict(offsets),
        {name: _kept_slo(slo) for name, slo in watch.slos.items()},
        {
            name: KeptPipeline(watched.expected.keep(), watched.instances.keep(), watched.stretches.keep())
            for name, watched in watch.pipelines.items()
        },
        list(watch.firing.values()),
        list(unwritten),
        list(unsent),
    )


def _kept_slo(slo: WatchedSlo) -> KeptSlo:
    return KeptSlo(
        slo.good,
        slo.bad,
        {span: window.steps() for span, window in slo.burn.windows.items()},
        {name: KeptFiring(f.on, f.since_ms, f.quiet_since_ms) for name, f in slo.burn.firing.items()},
    )


def restore(watch: Watch, snapshot: Snapshot) -> None:
    """Make a new watch know what the snapshot's did.

    What the configuration no longer has is dropped; a window of another length than before takes what the next longer
    one knew.
    """
    for name, slo in watch.slos.items():
        kept = snapshot.slos.get(name)
        if kept is None:
            continue
        slo.good, slo.bad = kept.good, kept.bad
        for span, window in slo.burn.windows.items():
            longer = min((own for own in kept.windows if own >= span), default=max(kept.windows, default=0))
            for step in kept.windows.get(longer, []):
                window.add(*step)
        for severity, firing in slo.burn.firing.items():
            if severity in kept.firing:
                state = kept.firing[severity]
                firing.on, firing.since_ms, firing.quiet_since_ms = state.on, state.since_ms, state.quiet_since_ms
    for name, watched in watch.pipelines.items():
        if (known := snapshot.pipelines.get(name)) is not None:
            watched.expected.restore(known.expected)
            watched.instances.restore(known.instances)
            watched.stretches.restore(known.stretches)
    known_names = {*watch.slos, *(f"{name}-{kind}" for name in watch.pipelines for kind in QUIET_KINDS)}
    watch.firing = {alert.key: alert for alert in snapshot.firing if alert.slo in known_names}


def pieces_of(snapshot: Snapshot) -> list[tuple[bytes, bytes]]:
    """Keys and values for the topic."""
    data = zlib.compress(msgspec.msgpack.encode(snapshot), 1)
    cuts = range(0, len(data), PIECE_BYTES_MAX)
    return [
        (
            f"{snapshot.number % 2}/{piece}".encode(),
            msgspec.msgpack.encode(
                _Piece(SNAPSHOT_VERSION, snapshot.number, piece, len(cuts), data[cut : cut + PIECE_BYTES_MAX])
            ),
        )
        for piece, cut in enumerate(cuts)
    ]


def newest_whole(values: Mapping[bytes, bytes]) -> Snapshot | None:
    """The newest snapshot of which every piece is there, by the last value of each key; None when there is none.

    Raises ValueError when what is there was not written by this version.
    """
    sets: dict[int, dict[int, _Piece]] = {}
    for key, value in values.items():
        try:
            piece = msgspec.msgpack.decode(value, type=_Piece)
        except msgspec.DecodeError as error:
            raise ValueError(f"key {key!r} is no piece of a snapshot: {error}") from None
        if piece.v != SNAPSHOT_VERSION:
            raise ValueError(f"key {key!r} is of version {piece.v}, expected {SNAPSHOT_VERSION}")
        sets.setdefault(piece.number, {})[piece.piece] = piece
    whole = [number for number, pieces in sets.items() if len(pieces) == next(iter(pieces.values())).pieces]
    if not whole:
        return None
    data = b"".join(piece.data for _, piece in sorted(sets[max(whole)].items()))
    return msgspec.msgpack.decode(zlib.decompress(data), type=Snapshot)
