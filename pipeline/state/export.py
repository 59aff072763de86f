"""One slice's checkpoint in the making: which pieces, at which cuts, in which file."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from features.signature import Signature
from features.state import KeptState
from pipeline.kafka.lane import TopicPartition
from pipeline.state.manifest import Manifest, PieceEntry
from pipeline.state.slicing import Buffers, Stored, stale_files, steps
from pipeline.state.writer import CheckpointWriter, Job, Part

SHARED = "global"
"""The name of the slice of global entities."""


def slice_name(partition: TopicPartition | None) -> str:
    """How a slice's folder is called; None: the global entities'."""
    return SHARED if partition is None else f"{partition.topic}-{partition.partition}"


def partition_name(partition: TopicPartition) -> str:
    """How manifests name a partition."""
    return f"{partition.topic}/{partition.partition}"


@dataclass(slots=True)
class Known:
    """What is stored of a slice: its pieces by entity, the sizes of their files, where it stood then."""

    pieces: dict[str, list[Stored]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def of(manifest: Manifest) -> "Known":
        """What a manifest says is stored."""
        pieces: dict[str, list[Stored]] = {}
        for entry in manifest.pieces:
            pieces.setdefault(entry.entity, []).append(entry.stored)
        return Known(pieces, dict(manifest.sizes), {})


class Export:
    """Writes one slice, step by step; `cut` says where the slice stands whenever it is asked.

    What models remember may be behind: `since` is the offset from which it must be read on, where that is given.
    """

    def __init__(
        self,
        partition: TopicPartition | None,
        entities: Mapping[str, KeptState],
        known: Known,
        cut: Callable[[], dict[str, int]],
        writer: CheckpointWriter,
        since: dict[str, int] | None = None,
    ) -> None:
        self.partition = partition
        self.job = Job(slice_name(partition), writer.new_name())
        self._entities = entities
        self._known = known
        self._cut = cut
        self._writer = writer
        self._cuts: list[dict[str, int]] = [cut()] if since is None else [since, cut()]
        self._steps = self._all_steps()

    def step(self) -> bool:
        """Write one piece more; False when there was none left. Needs a free buffer of the writer."""
        return next(self._steps, False)

    def _all_steps(self) -> Iterator[bool]:
        """A yield a piece that is written; pieces that stay where they lie cost none."""
        stale = stale_files([piece for pieces in self._known.pieces.values() for piece in pieces], self._known.sizes)
        for name, entity in self._entities.items():
            for step in steps(entity, self._known.pieces.get(name, []), stale):
                if isinstance(step, Stored):
                    self.job.parts.append(Part(name, self._at_cut(), step))
                    continue
                first = step.first
                while first < step.stop:
                    first += self._write(name, entity, first, step.stop)
                    yield True

    def _write(self, name: str, entity: KeptState, first: int, stop: int) -> int:
        buffers: Buffers = self._writer.free.popleft()
        piece = buffers.write(entity, first, stop)
        part = Part(name, self._at_cut(), None)
        self.job.parts.append(part)
        self._writer.write(self.job, part, buffers, piece)
        return piece.keys

    def _at_cut(self) -> int:
        cut = self._cut()
        if self._cuts[-1] != cut:
            self._cuts.append(cut)
        return len(self._cuts) - 1

    def committed(self, committed: Mapping[TopicPartition, int]) -> bool:
        """Whether the commit has come as far as any of its pieces: before that it is not usable."""
        if self.partition is None:
            return True
        return committed.get(self.partition, -1) >= self._cuts[-1][partition_name(self.partition)]

    @cached_property
    def stored(self) -> Known:
        """What the next checkpoint of the slice may keep; asked when the job is `safe`."""
        known = Known(cut=self._cuts[-1])
        for part in self.job.parts:
            assert part.stored is not None
            known.pieces.setdefault(part.entity, []).append(part.stored)
        used = {stored.file for pieces in known.pieces.values() for stored in pieces}
        sizes = self._known.sizes | ({self.job.file: self.job.size_bytes} if self.job.size_bytes else {})
        known.sizes = {file: size for file, size in sizes.items() if file in used}
        return known

    def manifest(self, signatures: Mapping[str, Signature]) -> Manifest:
        """What to publish; asked when the job is `safe`."""
        entries = []
        for part in self.job.parts:
            stored = part.stored
            assert stored is not None
            piece = stored.piece
            sizes = (piece.first, piece.keys, piece.words, piece.text_bytes)
            entries.append(PieceEntry(part.entity, *sizes, stored.file, stored.at, stored.crc32, part.cut))
        named = {name: signatures[name] for name in self._entities}
        return Manifest(self.job.slice_name, self._cuts, named, entries, self.stored.sizes)
