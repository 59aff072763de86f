"""Checkpoints taken beside the loop: a piece at a time, each slice once an interval."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from features.signature import Signature
from features.state import FeatureState
from pipeline.kafka.lane import TopicPartition
from pipeline.state.export import Export, Known, partition_name
from pipeline.state.positions import Positions
from pipeline.state.writer import CheckpointWriter

log = logging.getLogger(__name__)
STEP_NS = 1_000_000
"""What a turn of the loop gives to a checkpoint: the time after which no further piece is begun."""


@dataclass(slots=True)
class CheckpointCounts:
    """What is counted of checkpoints."""

    written: int = 0
    failed: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _Slice:
    known: Known
    begun_ns: int
    whole_ns: int  # when all that it held then is in a checkpoint now


class Checkpointer:
    """Writes each slice once an interval; one slice at a time, at most STEP_NS a turn.

    `committed`: what the group has committed of each partition. A slice is usable only at or below that, so its
    manifest is written when the commit has come as far. The global slice is written by the process that decides
    partition 0.
    """

    def __init__(
        self,
        state: FeatureState,
        topic: str,
        signatures: Mapping[str, Signature],
        positions: Positions,
        committed: Mapping[TopicPartition, int],
        writer: CheckpointWriter,
        interval_ns: int,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._state = state
        self._topic = topic
        self._signatures = signatures
        self._positions = positions
        self._committed = committed
        self._writer = writer
        self._interval_ns = interval_ns
        self._clock_ns = clock_ns
        self._slices: dict[TopicPartition | None, _Slice] = {}
        self._export: Export | None = None
        self._written: list[Export] = []
        self.counts = CheckpointCounts()

    def open(self, partition: TopicPartition | None, known: Known) -> None:
        """Take a slice over, with what is stored of it; its first checkpoint is an interval away."""
        now_ns = self._clock_ns()
        self._slices[partition] = _Slice(known, now_ns, now_ns)

    def forget(self, partition: TopicPartition) -> None:
        """The partition is another process's now: what is not published of its checkpoint is given up."""
        self._slices.pop(partition, None)
        if self._export is not None and self._export.partition == partition:
            self._writer.discard(self._export.job)
            self._export = None
        for export in [export for export in self._written if export.partition == partition]:
            self._give_up(export)

    def poll(self) -> int:
        """Write some pieces when a slice is due; returns how many."""
        self._take_results()
        self._publish()
        if self._export is None:
            self._export = self._due()
        until_ns, written = self._clock_ns() + STEP_NS, 0
        while self._export is not None and self._writer.free and self._clock_ns() < until_ns:
            if self._export.step():
                written += 1
                continue
            self._writer.finish(self._export.job)
            self._written.append(self._export)
            self._export = None
        return written

    def _due(self) -> Export | None:
        now_ns = self._clock_ns()
        for partition, known in sorted(self._slices.items(), key=lambda item: item[1].begun_ns):
            if now_ns - known.begun_ns < self._interval_ns:
                return None
            if any(export.partition == partition for export in self._written) or not self._writes(partition):
                continue
            known.begun_ns = now_ns
            if self._cut(partition) == known.known.cut:  # nothing has been read since the last one
                known.whole_ns = now_ns
            else:
                entities = self._state.entities(None if partition is None else partition.partition)
                cut = partial(self._cut, partition)
                return Export(partition, entities, known.known, cut, self._writer, self._since(partition))
        return None

    def _since(self, partition: TopicPartition | None) -> dict[str, int] | None:
        """Events that have been read and wait for their score are not committed: models know nothing of them yet."""
        if partition is None or not self._state.models(partition.partition):
            return None
        name, read = partition_name(partition), self._positions.local[partition]
        return {name: min(read, self._committed.get(partition, read))}

    def ages_s(self) -> dict[str, float]:
        """Of each slice that this process writes, how long ago its checkpoint held all there was.

        Named by the partition's number, or `global`. From an assignment on it counts from there.
        """
        now_ns, ages = self._clock_ns(), {}
        for partition, known in self._slices.items():
            if self._cut(partition) and (partition is not None or self._has_global()):
                name = "global" if partition is None else str(partition.partition)
                ages[name] = (now_ns - known.whole_ns) / 1e9
        return ages

    def _has_global(self) -> bool:
        """Whether the slice of the global entities is this process's to write."""
        return TopicPartition(self._topic, 0) in self._slices

    def _writes(self, partition: TopicPartition | None) -> bool:
        """Whether this process writes the slice, and all its keys stand where its positions say."""
        if partition is None and not self._has_global():
            return False
        positions = self._positions.shared if partition is None else self._positions.local
        numbered = {at.partition: offset for at, offset in positions.items() if at.topic == self._topic}
        entities = self._state.entities(None if partition is None else partition.partition)
        return bool(self._cut(partition)) and all(entity.whole(numbered) for entity in entities.values())

    def _cut(self, partition: TopicPartition | None) -> dict[str, int]:
        """Up to where the slice has taken what it is fed with."""
        if partition is None:
            return {partition_name(at): offset for at, offset in self._positions.shared.items()}
        offset = self._positions.local.get(partition)
        return {} if offset is None else {partition_name(partition): offset}

    def _take_results(self) -> None:
        while self._writer.results:
            job = self._writer.results.popleft()
            export = next((export for export in self._written if export.job is job), None)
            if export is None:
                continue
            known = self._slices[export.partition]
            if job.failed:
                log.error("checkpoint of %s failed, the last one stays: %s", job.slice_name, job.failed)
                self.counts.failed += 1
                known.known = Known()  # keys that were written count as unchanged: all must be written anew
                self._give_up(export)
            elif job.published:
                self._written.remove(export)
                known.whole_ns = known.begun_ns
                self.counts.written += 1
                self.counts.bytes += job.size_bytes
            else:
                known.known = export.stored

    def _publish(self) -> None:
        for export in self._written:
            job = export.job
            if job.safe and not job.asked and export.committed(self._committed):
                job.asked = True
                self._writer.publish(job, export.manifest(self._signatures), set(export.stored.sizes))

    def _give_up(self, export: Export) -> None:
        self._written.remove(export)
        self._writer.discard(export.job)

    def close(self, timeout_s: float) -> None:
        """Let the writer finish what it was asked for, within the time."""
        self._writer.close(timeout_s)
