"""Chunks whose slots lie side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.in_flight import Chunk


@dataclass(frozen=True, slots=True)
class Run:
    """Chunks whose slots follow one another: decoded as one, since a call costs the same for one row as for many."""

    chunks: list[Chunk]

    @property
    def first(self) -> int:
        """The first slot."""
        return self.chunks[0].first

    @property
    def stop(self) -> int:
        """One past the last slot."""
        return self.chunks[-1].first + self.chunks[-1].rows

    @property
    def rows(self) -> int:
        """How many slots."""
        return self.stop - self.first


def runs_of(chunks: Sequence[Chunk]) -> list[Run]:
    """Chunks in claim order, parted where the ring of slots wrapped."""
    runs: list[Run] = []
    for chunk in chunks:
        if runs and chunk.first == runs[-1].stop:
            runs[-1].chunks.append(chunk)
        else:
            runs.append(Run([chunk]))
    return runs
