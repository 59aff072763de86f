"""The thread that carries pieces to their store: checksums, files and waiting for disks are its, not the loop's."""

import queue
import threading
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import IO

from features.keyed_state import Piece
from pipeline.state.manifest import Manifest
from pipeline.state.slicing import Buffers, Stored
from pipeline.state.store import DATA, CheckpointStore

BUFFERS = 4
"""Pieces under way between loop and thread; when all are, the loop writes no more until one is back."""


@dataclass(slots=True)
class Part:
    """One piece of a checkpoint: kept (then `stored` is known) or being written; and the number of its cut."""

    entity: str
    cut: int
    stored: Stored | None


@dataclass(slots=True)
class Job:
    """One slice's checkpoint on its way: first its data, later its manifest. The thread says how far it is."""

    slice_name: str
    name: str
    parts: list[Part] = field(default_factory=list)
    size_bytes: int = 0
    safe: bool = False
    asked: bool = False
    published: bool = False
    failed: str = ""

    @property
    def file(self) -> str:
        """Its data file."""
        return f"{self.name}{DATA}"


class CheckpointWriter:
    """Does in order what the loop asks for; `results` are jobs whose data, and later whose manifest, is written.

    A job that fails says why and leaves nothing behind. One thread asks; `close` waits for what was asked.
    """

    def __init__(self, store: CheckpointStore, keep: int) -> None:
        self._store = store
        self._keep = keep
        self._asked: queue.SimpleQueue[tuple[str, Job | None, object]] = queue.SimpleQueue()
        self.free: deque[Buffers] = deque(Buffers() for _ in range(BUFFERS))
        self.results: deque[Job] = deque()
        self._files: dict[str, IO[bytes]] = {}
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def new_name(self) -> str:
        """A name for a checkpoint that no other has."""
        return self._store.new_name()

    def write(self, job: Job, part: Part, buffers: Buffers, piece: Piece) -> None:
        """Append a piece; `part.stored` is set when it is written, and the buffers are free again."""
        self._asked.put(("write", job, (part, buffers, piece)))

    def finish(self, job: Job) -> None:
        """No more pieces: the data is to be safe on its disk."""
        self._asked.put(("finish", job, None))

    def publish(self, job: Job, manifest: Manifest, needed: set[str]) -> None:
        """Write the manifest and delete what is older than the last ones kept, except `needed` files."""
        self._asked.put(("publish", job, (manifest, needed)))

    def discard(self, job: Job) -> None:
        """Forget a job and delete its data."""
        self._asked.put(("discard", job, None))

    def close(self, timeout_s: float) -> None:
        """Finish what was asked, within the time."""
        self._asked.put(("close", None, None))
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while True:
            what, job, given = self._asked.get()
            if job is None:
                return
            try:
                getattr(self, f"_{what}")(job, given)
            except Exception as error:  # whatever a store of any kind raises: the loop tells it and tries again
                self._fail(job, f"{type(error).__name__}: {error}")
                if what != "write":
                    self.results.append(job)

    def _write(self, job: Job, given: tuple[Part, Buffers, Piece]) -> None:
        part, buffers, piece = given
        try:
            if not job.failed:
                file = self._files.get(job.name) or self._store.create(job.slice_name, job.name)
                self._files[job.name] = file
                crc32, at = 0, job.size_bytes
                for view in (buffers.words[: piece.words].data.cast("B"), buffers.text[: piece.text_bytes].data):
                    crc32 = zlib.crc32(view, crc32)
                    file.write(view)
                    job.size_bytes += len(view)
                part.stored = Stored(piece, job.file, at, crc32)
        finally:
            self.free.append(buffers)

    def _finish(self, job: Job, _given: None) -> None:
        file = self._files.pop(job.name, None)
        if file is not None:
            self._store.finish(file)
        job.safe = not job.failed
        self.results.append(job)

    def _publish(self, job: Job, given: tuple[Manifest, set[str]]) -> None:
        manifest, needed = given
        self._store.publish(job.slice_name, job.name, manifest, self._keep, needed)
        job.published = True
        self.results.append(job)

    def _discard(self, job: Job, _given: None) -> None:
        file = self._files.pop(job.name, None)
        if file is not None:
            file.close()
        self._store.discard(job.slice_name, job.name)

    def _fail(self, job: Job, why: str) -> None:
        job.failed = job.failed or why
        file = self._files.pop(job.name, None)
        if file is not None:
            try:
                file.close()
            except Exception as error:  # a store that failed to write may fail to close
                job.failed = f"{job.failed}; {error}"
