"""The stage that keeps feature state: restored, read on from, rebuilt, followed, written down; no decisions here."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from features.state import FeatureState
from pipeline.errors import HeadraceError
from pipeline.kafka.lane import TopicPartition
from pipeline.state.checkpointer import Checkpointer
from pipeline.state.choice import Bounds, OnLost
from pipeline.state.export import partition_name
from pipeline.state.positions import Positions
from pipeline.state.restorer import Restore, Restorer
from pipeline.state_lanes import StateLanes
from pipeline.wire.dead_letter import DeadRecord

log = logging.getLogger(__name__)
PROGRESS_NS = 2_000_000_000
RESTORE_ALONE_NS, RESTORE_BESIDE_NS = 20_000_000, 1_000_000
"""What a turn gives to pieces of a checkpoint: while nothing can be decided, and beside decisions."""


class RestoreTimeoutError(HeadraceError):
    """State was not whole in time: how far it was."""

    def __init__(self, waited_s: float, restoring: int, behind_rows: int) -> None:
        super().__init__(
            f"state was not whole after {waited_s:.0f} s (checkpoint.restore_s_max): {restoring} slices are still "
            f"being restored, {behind_rows} records are to be read; checkpoints are kept, start again to go on"
        )


@dataclass(frozen=True, slots=True)
class StagePolicy:
    """What the stage is told by a configuration."""

    restore_ns_max: int
    on_lost: OnLost


class StateStage:
    """From an assignment to windows that are whole, and on.

    A partition is `ready` when its own windows are what they were at its committed offset, and the global ones hold
    what all partitions and state inputs held when it came. `watermarks(partition)` asks the broker for the oldest
    offset kept and the end. Without a restorer, windows are rebuilt from what the topics hold.
    """

    def __init__(
        self,
        lanes: StateLanes,
        state: FeatureState,
        positions: Positions,
        restorer: Restorer | None,
        checkpointer: Checkpointer | None,
        state_partitions: Iterable[TopicPartition],
        watermarks: Callable[[TopicPartition], tuple[int, int]],
        policy: StagePolicy,
    ) -> None:
        self.lanes = lanes
        self.restorer = restorer
        self.checkpointer = checkpointer
        self._state = state
        self._positions = positions
        self._watermarks = watermarks
        self._policy = policy
        self._state_partitions = tuple(state_partitions)
        self._starts: dict[TopicPartition, Bounds] = {}
        self._owned: set[TopicPartition] = set()
        self._restoring: list[Restore] = []
        self._to_read_on: set[TopicPartition] = set()
        self._catching_up: set[TopicPartition] = set()
        self._shared_whole = False
        self._since_ns: int | None = time.monotonic_ns()
        self._told_ns = 0

    def start(self) -> None:
        """Begin with the global entities, which no assignment brings."""
        partitions = (*self._state_partitions, *self.lanes.deciding)
        restore = Restore(None, {partition_name(at): Bounds(*self._watermarks(at)) for at in partitions})
        self._restore(restore)

    def _restore(self, restore: Restore) -> None:
        if self.restorer is None:
            self._restored(restore)
        else:
            self._restoring.append(restore)
            self.restorer.ask(restore)

    def assigned(self, starts: Mapping[TopicPartition, Bounds], owned: Iterable[TopicPartition]) -> None:
        """Bring these partitions' windows to their committed offsets."""
        self._owned, self._since_ns = set(owned), time.monotonic_ns()
        self.lanes.leave(starts)
        for partition, bounds in starts.items():
            self._starts[partition] = bounds
            self._state.open_slice(partition.partition)
            self._restore(Restore(partition, {partition_name(partition): bounds}))
        if self._shared_whole:
            self.follow_elsewhere(owned)

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """They are being given up: read no more for them."""
        gone = set(partitions)
        self._owned -= gone
        self.lanes.leave(gone)
        for restore in [restore for restore in self._restoring if restore.partition in gone]:
            restore.given_up = True
            self._restoring.remove(restore)
        for partition in gone:
            self._to_read_on.discard(partition)
            self._catching_up.discard(partition)
            self._starts.pop(partition, None)
            if self.checkpointer is not None:
                self.checkpointer.forget(partition)

    def follow_elsewhere(self, owned: Iterable[TopicPartition]) -> None:
        """Keep global entities whole: read what other processes decide, state-only, from where we stand."""
        wanted = {}
        for partition in self.lanes.partitions_elsewhere(owned):
            start = self._positions.shared.get(partition)
            wanted[partition] = self._watermarks(partition) if start is None else (start, start)
        if wanted:
            self.lanes.follow(wanted)

    def ready(self, partition: TopicPartition) -> bool:
        """Whether the partition may be decided."""
        waits = any(restore.partition == partition for restore in self._restoring)
        begun = self._shared_whole and not waits and partition not in self._to_read_on
        return begun and partition in self._starts and self.lanes.ready(partition)

    def poll(self) -> tuple[int, list[DeadRecord]]:
        """One turn: pieces restored, records read, pieces written. Returns how much, and what cannot become events.

        Raises RestoreTimeoutError, LostStateError, or what the store raised.
        """
        work = 0
        if self._restoring and self.restorer is not None:
            alone = not any(self.ready(partition) for partition in self._owned)
            for restore in self.restorer.step(RESTORE_ALONE_NS if alone else RESTORE_BESIDE_NS):
                self._restoring.remove(restore)
                self._restored(restore)
            work += 1
        if self._to_read_on and self._shared_whole and not self._restoring and self._features_whole():
            self._read_on()
        read, dead = self.lanes.poll()
        if self.checkpointer is not None:
            work += self.checkpointer.poll()
        self._watch()
        return work + read, dead

    def _restored(self, restore: Restore) -> None:
        """A slice is as its checkpoint has it, or empty: read on from there."""
        if restore.partition is None:
            self._shared_restored(restore)
        else:
            self._slice_restored(restore.partition, restore)
        if self.checkpointer is not None:
            self.checkpointer.open(restore.partition, restore.known)

    def _shared_restored(self, restore: Restore) -> None:
        for partition in (*self._state_partitions, *self.lanes.deciding):
            name = partition_name(partition)
            if name in restore.lowest and restore.whole:
                self._positions.take_shared(partition, restore.lowest[name])
        follows = {}
        for partition in self._state_partitions:
            bounds = restore.bounds[partition_name(partition)]
            follows[partition] = (max(bounds.low, self._positions.shared_from(partition)), bounds.high)
        self.lanes.follow(follows)
        self._shared_whole = True
        if self._owned:  # else all partitions are elsewhere until the first assignment
            self.follow_elsewhere(self._owned)

    def _slice_restored(self, partition: TopicPartition, restore: Restore) -> None:
        bounds, name = self._starts[partition], partition_name(partition)
        assert bounds.committed is not None
        fresh = self._policy.on_lost == "start-fresh" or not self._state.comes_back
        floor = bounds.committed if fresh else bounds.low
        self._positions.local[partition] = restore.lowest.get(name, floor) if restore.whole or fresh else floor
        self._to_read_on.add(partition)

    def _read_on(self) -> None:
        """From where they were restored, all at once: what is fetched would only keep pieces waiting before."""
        self.lanes.rebuild({partition: self._to_read(partition) for partition in sorted(self._to_read_on)})
        self._to_read_on.clear()
        self._catching_up.clear()

    def _features_whole(self) -> bool:
        """Whether features of what is read on are those of its first time, where somebody asks for them.

        Then the global entities come first: labels, and all partitions up to where deciding begins.
        """
        if self.lanes.rescorer is None:
            return True
        behind = self._to_read_on - self._catching_up
        if behind and self.lanes.deciding:
            self.lanes.catch_up({partition: self._shared_to_read(partition) for partition in sorted(behind)})
        self._catching_up |= behind
        return all(self.lanes.ready(partition) for partition in self._to_read_on)

    def _shared_to_read(self, partition: TopicPartition) -> tuple[int, int]:
        bounds = self._starts[partition]
        assert bounds.committed is not None
        return max(bounds.low, self._positions.shared_from(partition)), bounds.committed

    def _to_read(self, partition: TopicPartition) -> tuple[int, int]:
        """From where the partition's windows, its own or the global ones, stand to where deciding begins."""
        start = self._positions.local[partition]
        shared, until = self._shared_to_read(partition)
        return min(start, shared) if self.lanes.deciding else start, until

    def _watch(self) -> None:
        """Say how far it is, and end it when it takes too long."""
        if self._since_ns is None:
            return
        now_ns = time.monotonic_ns()
        if all(self.ready(partition) for partition in self._owned):
            if self._owned:
                log.info("state is whole after %.1f s", (now_ns - self._since_ns) / 1e9)
                self._since_ns = None
            return
        if now_ns - self._since_ns > self._policy.restore_ns_max:
            waited_s = (now_ns - self._since_ns) / 1e9
            raise RestoreTimeoutError(waited_s, len(self._restoring), self.lanes.behind_rows())
        if now_ns - self._told_ns > PROGRESS_NS:
            self._told_ns = now_ns
            log.info("%d slices to restore, %d records to read", len(self._restoring), self.lanes.behind_rows())

    def counts(self) -> dict[str, int]:
        """What the stage counts beside its lanes."""
        if self.checkpointer is None or self.restorer is None:
            return {}
        written = self.checkpointer.counts
        return {
            "checkpoints": written.written,
            "checkpoints_failed": written.failed,
            "checkpoint_bytes": written.bytes,
            "restored_keys": self.restorer.keys,
        }

    def close(self, timeout_s: float) -> None:
        """Stop the threads; what was asked to be written is written within the time."""
        if self.restorer is not None:
            self.restorer.close()
        if self.checkpointer is not None:
            self.checkpointer.close(timeout_s)
