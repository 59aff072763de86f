"""The way back from checkpoints: a thread reads and checks pieces, the loop puts them into the windows."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.outcome_state import OutcomeState
from features.signature import Signature
from features.state import KeptState
from pipeline.kafka.lane import TopicPartition
from pipeline.state.choice import Bounds, Fit, OnLost, check_whole, fit
from pipeline.state.export import Known, slice_name
from pipeline.state.manifest import DamagedError, Manifest, PieceEntry
from pipeline.state.store import CheckpointStore

log = logging.getLogger(__name__)
READ_AHEAD = 8
"""Pieces that lie read and checked before the loop has put them into the windows."""
PROGRESS_NS = 2_000_000_000


@dataclass(slots=True)
class Restore:
    """One slice on its way back. `bounds` by "topic/partition"; the rest is known when it is done.

    `lowest`: of each partition the offset from which it must be read again; 0 where nothing of it was restored.
    """

    partition: TopicPartition | None
    bounds: Mapping[str, Bounds]
    lowest: dict[str, int] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    whole: bool = False
    """Whether all windows were restored: else their events are read again from the beginning of the topic."""
    keys: int = 0
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class _Begin:
    restore: Restore
    name: str
    manifest: Manifest
    verdict: Fit
    pieces: int


@dataclass(frozen=True, slots=True)
class _Put:
    restore: Restore
    entry: PieceEntry
    words: NDArray[np.int64]
    text: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _End:
    restore: Restore
    begun: _Begin | None
    error: Exception | None


class Restorer:
    """Restores slices one after the other, in the order they were asked for.

    `entities(partition)` gives the empty states of a slice, `clear(partition)` empties them again after a checkpoint
    turned out to be damaged half way. Nothing is published, nothing waits for the store but the thread.
    """

    def __init__(
        self,
        store: CheckpointStore,
        topic: str,
        wanted: Callable[[TopicPartition | None], Mapping[str, Signature]],
        entities: Callable[[TopicPartition | None], Mapping[str, KeptState]],
        clear: Callable[[TopicPartition | None], None],
        on_lost: OnLost,
    ) -> None:
        self._store = store
        self._topic = topic
        self._wanted = wanted
        self._entities = entities
        self._clear = clear
        self._on_lost = on_lost
        self._asked: queue.SimpleQueue[Restore | None] = queue.SimpleQueue()
        self._ready: queue.Queue[Any] = queue.Queue(READ_AHEAD)
        self._begun: _Begin | None = None
        self._put = 0
        self._told_ns = 0
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="restore", daemon=True)
        self._thread.start()
        self.keys = 0

    def ask(self, restore: Restore) -> None:
        """Restore a slice; it is among those that `step` returns when it is done."""
        self._asked.put(restore)

    def step(self, budget_ns: int) -> list[Restore]:
        """Put pieces into the windows until the time is used up; returns the slices that are done.

        Raises LostStateError when a slice can be made whole from neither checkpoints nor topics.
        """
        done, until_ns = [], time.monotonic_ns() + budget_ns
        while time.monotonic_ns() < until_ns:
            try:
                item = self._ready.get(timeout=max(0.0, min(0.005, budget_ns / 1e9)))
            except queue.Empty:
                break
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                if not item.restore.given_up:
                    self._finish(item)
                    done.append(item.restore)
            elif not item.restore.given_up:
                self._take(item)
        return done

    def _take(self, item: "_Begin | _Put") -> None:
        entities = self._entities(item.restore.partition)
        if isinstance(item, _Begin):
            if self._begun is not None:
                self._clear(item.restore.partition)
                entities = self._entities(item.restore.partition)
            self._begun, self._put, self._told_ns = item, 0, time.monotonic_ns()
            for name, entity in entities.items():
                if name not in item.verdict.left_out:
                    entity.reserve(sum(p.keys for p in item.manifest.pieces if p.entity == name))
            return
        entities[item.entry.entity].read_piece(item.words, item.text, item.entry.keys)
        item.restore.keys += item.entry.keys
        self._put += 1
        now_ns = time.monotonic_ns()
        if self._begun is not None and now_ns - self._told_ns > PROGRESS_NS:
            self._told_ns = now_ns
            of = slice_name(item.restore.partition)
            log.info("%s: %d of %d pieces restored from %s", of, self._put, self._begun.pieces, self._begun.name)

    def _finish(self, end: _End) -> None:
        restore, begun, of = end.restore, end.begun, slice_name(end.restore.partition)
        if begun is None and self._begun is not None:
            self._clear(restore.partition)  # what was put in of a checkpoint that turned out to be damaged
        self._begun = None
        entities = self._entities(restore.partition)
        if begun is None:
            restore.whole = all(isinstance(entity, OutcomeState) for entity in entities.values())
            log.info("%s: no checkpoint is restored, state is built from what the topics hold", of)
            return
        left_out = begun.verdict.left_out
        restored = frozenset(entities) - frozenset(left_out)
        for name in restored:
            entities[name].restored(begun.manifest.taken(name, self._topic))
        restore.lowest = begun.manifest.lowest if restored else {}
        restore.whole = not begun.verdict.rebuilt
        known = Known.of(begun.manifest)
        restore.known = Known({n: p for n, p in known.pieces.items() if n in restored}, known.sizes)
        self.keys += restore.keys
        verdict = begun.verdict
        why = "".join(f"; {entity} is rebuilt: {text}" for entity, text in verdict.rebuilt.items())
        why += "".join(f"; {entity} begins empty: {text}" for entity, text in verdict.emptied.items())
        text = "%s: %d keys restored from checkpoint %s, which is read on from offset %s%s"
        offsets = ", ".join(str(offset) for offset in restore.lowest.values()) or "0"
        log.info(text, of, restore.keys, begun.name, offsets, why, extra={"offsets": restore.lowest})

    def close(self) -> None:
        """Stop reading; the thread ends with its next piece."""
        self._closed = True
        self._asked.put(None)

    def _work(self) -> None:
        while (restore := self._asked.get()) is not None and not self._closed:
            begun, error = None, None
            try:
                begun = self._read(restore)
            except Exception as caught:  # whatever a store raises must reach the loop, which ends with it
                error = caught
            self._hand_over(_End(restore, begun, error))

    def _hand_over(self, item: Any) -> None:
        while not self._closed:
            try:
                self._ready.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def _read(self, restore: Restore) -> _Begin | None:
        """Hand over the pieces of the newest checkpoint that is usable and undamaged; None when there is none."""
        of, wanted = slice_name(restore.partition), self._wanted(restore.partition)
        refused: dict[str, str] = {}
        truncated = "; ".join(f"{name} begins at {b.low}" for name, b in restore.bounds.items() if b.low > 0)
        for name in self._store.names(of) if wanted else []:
            try:
                manifest = self._store.manifest(of, name)
                verdict = fit(manifest, wanted, restore.bounds)
                if verdict.refused:
                    raise DamagedError(f"{of}/{name}", verdict.refused)
                check_whole(of, {}, verdict.rebuilt, truncated, self._on_lost)
                entries = [piece for piece in manifest.pieces if piece.entity not in verdict.left_out]
                begun = _Begin(restore, name, manifest, verdict, len(entries))
                self._hand_over(begun)
                for entry, words, text in self._store.pieces(of, name, entries):
                    if restore.given_up or self._closed:
                        return None
                    self._hand_over(_Put(restore, entry, words, text))
                return begun
            except DamagedError as error:
                log.warning("%s is not used: %s", of, error)
                refused[name] = error.why
        check_whole(of, refused, {}, truncated, self._on_lost)
        return None
