"""Batches through sessions: in the loop itself, or on a thread of its own while the loop decodes and encodes."""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.batcher import Batch, TierCost
from pipeline.rows import Rows
from pipeline.wire.decision import TierLabel


class Session(Protocol):
    """What a scorer asks of a model session."""

    def run(self, rows: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Score float32[n, features] into float32[n]."""
        ...


class CostModel(TierCost, Protocol):
    """What a scorer tells a tier's cost model, beside what the batcher asks of it."""

    def observe(self, rows: int, ns: int) -> None:
        """A run of so many rows took so long."""
        ...


@dataclass(frozen=True, slots=True)
class Tier:
    """One way to score: a session and what is known of its cost."""

    name: str
    session: Session
    cost: CostModel
    label: TierLabel
    thresholds: Sequence[float]


class Scorer(Protocol):
    """Where the engine hands batches in and takes scored ones out."""

    def idle_sessions(self) -> int:
        """How many batches `submit` takes now."""
        ...

    def submit(self, batch: Batch) -> None:
        """Start scoring; the batch's rows stay untouched until `finished` returns it."""
        ...

    def finished(self) -> list[Batch]:
        """The batches scored since the last call; raises what a session raised."""
        ...

    def busy(self) -> bool:
        """Whether a submitted batch has not come back from `finished`."""
        ...

    def close(self) -> None:
        """Stop; batches still running are abandoned."""
        ...


class _Runner:
    """Gathers a batch's feature rows, runs its tier's session, scatters the scores."""

    def __init__(self, rows: Rows, tiers: Sequence[Tier], rows_max: int, now_ns: Callable[[], int]) -> None:
        self._rows = rows
        self._tiers = tiers
        self._now_ns = now_ns
        self._input = np.zeros((rows_max, rows.features32.shape[1]), np.float32)
        self._scores = np.zeros(rows_max, np.float32)

    def run(self, batch: Batch) -> None:
        slots, tier = batch.slots, self._tiers[batch.tier]
        n = len(slots)
        inputs, scores = self._input[:n], self._scores[:n]
        started_ns = self._now_ns()
        np.take(self._rows.features32, slots, axis=0, out=inputs, mode="clip")
        tier.session.run(inputs, scores)
        took_ns = self._now_ns() - started_ns
        self._rows.score[slots] = scores
        self._rows.dispatch_ns[slots] = started_ns
        self._rows.score_ns[slots] = took_ns
        tier.cost.observe(n, took_ns)


class InlineScorer:
    """Scores in `submit`: no hand-over to pay for, the loop waits for the model."""

    def __init__(self, rows: Rows, tiers: Sequence[Tier], rows_max: int, now_ns: Callable[[], int]) -> None:
        self._runner = _Runner(rows, tiers, rows_max, now_ns)
        self._done: list[Batch] = []

    def idle_sessions(self) -> int:
        """Always one: `submit` returns when the batch is scored."""
        return 1

    def submit(self, batch: Batch) -> None:
        """Score now."""
        self._runner.run(batch)
        self._done.append(batch)

    def finished(self) -> list[Batch]:
        """What was submitted since the last call."""
        done, self._done = self._done, []
        return done

    def busy(self) -> bool:
        """Never, once `finished` was called."""
        return bool(self._done)

    def close(self) -> None:
        """Nothing to stop."""


class ThreadScorer:
    """Scores on one worker thread; ONNX Runtime and the kernels release the GIL, so the loop goes on.

    `wake` is called from the worker when a batch is done.
    """

    def __init__(
        self,
        rows: Rows,
        tiers: Sequence[Tier],
        rows_max: int,
        now_ns: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        self._runner = _Runner(rows, tiers, rows_max, now_ns)
        self._wake = wake
        self._waiting: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Batch | BaseException] = queue.SimpleQueue()
        self._in_flight = 0
        self._thread = threading.Thread(target=self._work, name="headrace-session", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (batch := self._waiting.get()) is not None:
            try:
                self._runner.run(batch)
                self._done.put(batch)
            except BaseException as error:  # handed to the loop, which raises it
                self._done.put(error)
            self._wake()

    def idle_sessions(self) -> int:
        """One while nothing is in flight."""
        return 1 - self._in_flight

    def submit(self, batch: Batch) -> None:
        """Hand the batch to the worker."""
        self._in_flight += 1
        self._waiting.put(batch)

    def finished(self) -> list[Batch]:
        """Batches the worker has done; raises what its session raised."""
        done = []
        while not self._done.empty():
            batch = self._done.get()
            self._in_flight -= 1
            if isinstance(batch, BaseException):
                raise batch
            done.append(batch)
        return done

    def busy(self) -> bool:
        """Whether the worker holds a batch."""
        return self._in_flight > 0

    def close(self) -> None:
        """Stop the worker after the batch it holds; waits at most a second."""
        self._waiting.put(None)
        self._thread.join(timeout=1.0)
