"""A checkpoint's manifest, format 1: one line `headrace checkpoint <format> <CRC-32 of the rest>`, then JSON.

A manifest names every piece of one slice: a partition's own entities, or the global ones. Its cuts say which offsets
pieces stand for: a piece written at a cut has taken each partition up to that offset. The data files beside it hold
nothing but pieces: little-endian int64 words, then the bytes of string keys (`features.piece_kernel` says which).
"""

import zlib
from typing import Any

import msgspec
import numpy as np

from features.keyed_state import Piece
from features.seen import Taken
from pipeline.errors import HeadraceError
from pipeline.state.slicing import Stored

FORMAT = 1
_MAGIC = b"headrace checkpoint"


class DamagedError(HeadraceError):
    """A checkpoint that cannot be used: its name, and what is wrong with it."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"checkpoint {name}: {why}")
        self.why = why


class PieceEntry(msgspec.Struct, frozen=True, array_like=True):
    """One piece, where it lies, and the number of its cut."""

    entity: str
    first: int
    keys: int
    words: int
    text_bytes: int
    file: str
    at: int
    crc32: int
    cut: int

    @property
    def stored(self) -> Stored:
        """The same as slicing has it."""
        return Stored(Piece(self.first, self.keys, self.words, self.text_bytes), self.file, self.at, self.crc32)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a checkpoint of one slice holds. `cuts`, in time: "topic/partition" -> next offset; `sizes`: bytes a file.

    The first cut is where it is read on from, which is where it was begun or, since what models remember may be
    behind, earlier; the last is where it was finished.
    """

    slice: str
    cuts: list[dict[str, int]]
    signatures: dict[str, dict[str, Any]]
    pieces: list[PieceEntry]
    sizes: dict[str, int]

    @property
    def lowest(self) -> dict[str, int]:
        """Of each partition, the offset from which its records must be read again."""
        return self.cuts[0]

    @property
    def highest(self) -> dict[str, int]:
        """Of each partition, the offset beyond which nothing has been taken."""
        return self.cuts[-1]

    def taken(self, entity: str, topic: str) -> Taken:
        """What the entity's pieces have taken of the topic's partitions."""
        pieces = [piece for piece in self.pieces if piece.entity == entity]
        partitions = {int(name.rpartition("/")[2]): name for name in self.highest if name.rpartition("/")[0] == topic}
        table = np.zeros((len(pieces), max(partitions, default=-1) + 1), np.int64)
        for row, piece in enumerate(pieces):
            for number, name in partitions.items():
                table[row, number] = self.cuts[piece.cut].get(name, 0)
        return Taken(np.array([0, *np.cumsum([piece.keys for piece in pieces])], np.int64), table)


def encode(manifest: Manifest) -> bytes:
    """The file's bytes."""
    body = msgspec.json.encode(manifest)
    return b"%s %d %08x\n%s" % (_MAGIC, FORMAT, zlib.crc32(body), body)


def decode(name: str, content: bytes) -> Manifest:
    """Raises DamagedError naming the checkpoint: of a newer format, or not what was written."""
    head, _, body = content.partition(b"\n")
    words = head[len(_MAGIC) :].split()
    if not head.startswith(_MAGIC) or len(words) != 2 or not words[0].isdigit():
        raise DamagedError(name, "is no checkpoint: it does not begin like one")
    if int(words[0]) > FORMAT:
        raise DamagedError(name, f"has format {int(words[0])}, this version reads up to {FORMAT}")
    if b"%08x" % zlib.crc32(body) != words[1]:
        raise DamagedError(
            name, f"is damaged: its checksum says {words[1].decode()}, {zlib.crc32(body):08x} was read"
        )
    try:
        manifest = msgspec.json.decode(body, type=Manifest)
    except msgspec.DecodeError as error:
        raise DamagedError(name, f"cannot be read: {error}") from None
    if not manifest.cuts:
        raise DamagedError(name, "names no offset that it stands for")
    return manifest
