"""A rollout's own thread: follows the control topic, makes models ready, writes what the loop decided.

The loop never waits for a broker or for a model: what is ready is put into its inbox, and it swaps.
"""

import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue

from msgspec.structs import replace

from models.manifest import ModelError
from pipeline.rollout.control_topic import Entry, TopicReader
from pipeline.rollout.course import Course, RolloutRefusedError, rolled_back
from pipeline.rollout.told import Change, Wish, Word
from pipeline.rollout.writer import RolloutWriter
from pipeline.scorer import SWITCH_S
from pipeline.tier import ModelTier
from pipeline.wire.audit import AuditRecord
from pipeline.wire.rollout import ModelRef, RolloutRecord, decode_rollout

log = logging.getLogger(__name__)
POLL_S = 0.1
_NO_SHADOW = "a shadow takes copies of features, this tier looks at images: expected a canary"
CLOSE_S_MAX = 3.0
Load = Callable[[int, ModelRef], ModelTier]


class TierFollow:
    """What the thread knows of one tier: its course, and the models that are ready for what is in force."""

    def __init__(self, number: int, configured: RolloutRecord, model: ModelTier) -> None:
        self.number = number
        self.course = Course(configured)
        self.ready: dict[ModelRef, ModelTier] = {configured.stable: model}
        self.in_force = configured
        self.images = model.view is not None

    def known(self, wanted: ModelRef) -> ModelTier | None:
        """The model, if it is ready."""
        return next((model for ref, model in self.ready.items() if wanted.same(ref)), None)

    def keep(self, models: Mapping[ModelRef, ModelTier]) -> None:
        """Let go of all others."""
        self.ready = dict(models)


class Follower:
    """`begin` reads what is in force already; then a thread of its own does the rest until `close`.

    `inbox` is for the loop, which `wake` rings. A record that is no good one is told and passed over.
    """

    def __init__(
        self,
        reader: TopicReader,
        writer: RolloutWriter,
        tiers: Sequence[TierFollow],
        load: Load,
        *,
        instance: str,
        config_sha256: str,
        wall_ms: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        self.inbox: SimpleQueue[Change] = SimpleQueue()
        self._reader = reader
        self._writer = writer
        self._tiers = {follow.course.now.key: follow for follow in tiers}
        self._load = load
        self._instance = instance
        self._config_sha256 = config_sha256
        self._wall_ms = wall_ms
        self._wake = wake
        self._outbox: SimpleQueue[Word] = SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="headrace-rollout", daemon=True)
        self.loaded = self.refused = self.bad_records = 0

    def begin(self, timeout_ms: int) -> None:
        """Read the topic to its end and make ready what is in force; then follow. Raises KafkaError."""
        for entry in self._reader.read_to_end(timeout_ms):
            self._course(entry)
        for follow in self._tiers.values():
            if follow.course.now is not follow.in_force:
                self._put_in_force(follow)
        # It computes beside the loop while a model is loaded: it may not hold the interpreter for long.
        sys.setswitchinterval(SWITCH_S)
        self._thread.start()

    def tell(self, word: Word) -> None:
        """Have something written; never waits."""
        self._outbox.put(word)

    def counts(self) -> dict[str, int]:
        """Running totals for the metrics."""
        return {
            "rollouts/loaded": self.loaded,
            "rollouts/refused": self.refused,
            "rollouts/bad_records": self.bad_records,
            "audit_undelivered": self._writer.undelivered,
        }

    def close(self) -> None:
        """Deliver what was told, within CLOSE_S_MAX; what is not delivered then is told in the log."""
        self._closing.set()
        self._thread.join(CLOSE_S_MAX)
        if not self._thread.is_alive():
            self._reader.close()

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                self._turn()
            except Exception as error:  # the clients' own: what is in force stays, and we go on
                log.warning("rollouts are not followed for a moment: %s", error)
                self._closing.wait(1.0)
        self._write()
        self._writer.flush(CLOSE_S_MAX / 2)

    def _turn(self) -> None:
        """Take in what has come, make it ready, write what was told."""
        for entry in self._reader.poll(POLL_S):
            follow = self._course(entry)
            if follow is not None:
                self._put_in_force(follow)
        self._write()

    def _write(self) -> None:
        while True:
            try:
                word = self._outbox.get_nowait()
            except Empty:
                break
            if isinstance(word, Wish):
                self._writer.wish(word.record)
            else:
                self._writer.note(word.record)
        self._writer.poll()

    def _course(self, entry: Entry) -> TierFollow | None:
        """Take a record of the topic in; the tier that it is about, if it is one of ours and the record is good."""
        key = (entry.key or b"").decode(errors="replace")
        follow = self._tiers.get(key)
        try:
            record = None if entry.value is None else decode_rollout(entry.value)
            if record is not None and record.key != key:
                raise ValueError(f"a record about {record.key} under the key {key!r}")
        except ValueError as error:
            self.bad_records += 1
            where = f"{self._reader.topic}[{entry.partition}] offset {entry.offset}"
            log.warning("rollouts: %s is passed over: %s", where, error)
            return None
        if follow is None:
            return None
        again = follow.course.take(record)
        if again is not None:
            self._writer.wish(replace(again, at_ms=self._wall_ms(), by=self._instance))
        return follow

    def _put_in_force(self, follow: TierFollow) -> None:
        """Make ready what the course says, and give it to the loop; what cannot be made ready is rolled back."""
        record = follow.course.now
        if record.shadow and follow.images:
            self._refuse(follow, record.candidate or record.stable, record, ModelError(_NO_SHADOW))
            return
        models: dict[ModelRef, ModelTier] = {}
        for wanted in (record.stable, record.candidate):
            if wanted is None:
                continue
            try:
                models[wanted] = follow.known(wanted) or self._made(follow, wanted, record)
            except Exception as error:  # whatever is wrong with a file that someone put there, we go on
                self._refuse(follow, wanted, record, error)
                return
        follow.keep(models)
        follow.in_force = record
        candidate = None if record.candidate is None else models[record.candidate]
        self.inbox.put(Change(follow.number, record, models[record.stable], candidate))
        self._wake()

    def _made(self, follow: TierFollow, wanted: ModelRef, record: RolloutRecord) -> ModelTier:
        model = self._load(follow.number, wanted)
        self.loaded += 1
        self._writer.note(self._noted("loaded", wanted, record, sha256=model.sha256))
        return model

    def _refuse(self, follow: TierFollow, wanted: ModelRef, record: RolloutRecord, error: Exception) -> None:
        self.refused += 1
        log.error("tier %s: %s is refused, %s goes on: %s", record.tier, wanted, follow.in_force.stable, error)
        self._writer.note(self._noted("refused", wanted, record, sha256=wanted.sha256, reason=str(error)))
        try:
            back = rolled_back(record, f"refused by {self._instance}: {error}")
        except RolloutRefusedError:
            return
        self._writer.wish(replace(back, at_ms=self._wall_ms(), by=self._instance, config_sha256=self._config_sha256))

    def _noted(
        self, event: str, model: ModelRef, record: RolloutRecord, *, sha256: str, reason: str = ""
    ) -> AuditRecord:
        return AuditRecord(
            pipeline=record.pipeline,
            instance=self._instance,
            at_ms=self._wall_ms(),
            event="refused" if event == "refused" else "loaded",
            tier=record.tier,
            model=model.model,
            version=model.version,
            sha256=sha256,
            share=record.share,
            config_sha256=self._config_sha256,
            reason=reason,
            by=record.by,
        )
