"""Which keys of an entity a checkpoint has to write, and which it may leave where they lie. Pure.

An entity is written piece by piece, at most PIECE_BYTES a step, while events go on; a piece whose keys have not
changed since it was written stays what it was and stands for the present as well.
"""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from features.keyed_state import Piece

PIECE_BYTES = 1 << 20
"""What one step writes at most; a key that takes more by itself is a piece of its own."""


class Sliceable(Protocol):
    """An entity's state, as far as it matters here."""

    @property
    def keys(self) -> int: ...  # noqa: D102

    def changed(self, first: int, stop: int) -> bool: ...  # noqa: D102

    def write_piece(  # noqa: D102
        self, first: int, stop: int, words: NDArray[np.int64], text: NDArray[np.uint8]
    ) -> Piece: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """A piece and where it lies: so many bytes at `at` of `file`, with this checksum."""

    piece: Piece
    file: str
    at: int
    crc32: int

    @property
    def size_bytes(self) -> int:
        """Its length in the file: the words, then the text."""
        return self.piece.words * 8 + self.piece.text_bytes


@dataclass(frozen=True, slots=True)
class Range:
    """Keys [first, stop) that must be written."""

    first: int
    stop: int


def steps(state: Sliceable, known: Sequence[Stored], stale: Set[str]) -> Iterator[Stored | Range]:
    """What to do next, in the order of keys: keep what is stored, or write a range.

    Each answer holds for the moment it is given: ask, do, ask again. Pieces in `stale` files are written anew, so
    that the files may go. Ends when all keys there are by then are covered.
    """
    covered = 0
    for number, stored in enumerate(known):
        first, stop = stored.piece.first, stored.piece.first + stored.piece.keys
        small = number == len(known) - 1 and state.keys > stop and stored.size_bytes < PIECE_BYTES // 2
        covered = stop
        if small or stored.file in stale or state.changed(first, stop):
            covered = state.keys if small else stop
            yield Range(first, covered)
        else:
            yield stored
    while covered < state.keys:
        stop = state.keys
        yield Range(covered, stop)
        covered = stop


def stale_files(stored: Sequence[Stored], sizes: dict[str, int]) -> set[str]:
    """Files of which less than half is still of use."""
    used: dict[str, int] = {}
    for piece in stored:
        used[piece.file] = used.get(piece.file, 0) + piece.size_bytes
    return {file for file, size in sizes.items() if used.get(file, 0) * 2 < size}


class Buffers:
    """Where one piece is written; it grows for a key that is larger than PIECE_BYTES by itself."""

    def __init__(self) -> None:
        self.words: NDArray[np.int64] = np.empty(PIECE_BYTES // 8, np.int64)
        self.text: NDArray[np.uint8] = np.empty(PIECE_BYTES // 4, np.uint8)

    def write(self, state: Sliceable, first: int, stop: int) -> Piece:
        """Write as many of the keys [first, stop) as have room, one at least."""
        piece = state.write_piece(first, stop, self.words, self.text)
        if not piece.keys:
            self.words = np.empty(max(len(self.words), piece.words), np.int64)
            self.text = np.empty(max(len(self.text), piece.text_bytes), np.uint8)
            piece = state.write_piece(first, first + 1, self.words, self.text)
        return piece
