"""Batches through sessions: in the loop itself, or on threads of their own while the loop decodes and encodes."""

import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from features.rule import Rule
from models.cost import Calibration
from pipeline.batch import Batch, TierCost
from pipeline.kafka.wake import Wake
from pipeline.rows import Rows
from pipeline.wire.decision import TierLabel

SWITCH_S = 0.0005


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

    @property
    def calibration(self) -> Calibration:
        """How its promises held so far."""
        ...


@dataclass(frozen=True, slots=True)
class ModelTier:
    """A way to score that needs a session, and what is known of its cost."""

    name: str
    session: Session
    cost: CostModel
    label: TierLabel
    thresholds: Sequence[float]


@dataclass(frozen=True, slots=True)
class RuleTier:
    """A way to score that needs none: arithmetic on the features."""

    name: str
    rule: Rule
    label: TierLabel
    thresholds: Sequence[float]


Tier = ModelTier | RuleTier


class Scorer(Protocol):
    """Where the engine hands batches in and takes scored ones out."""

    def submit(self, batch: Batch) -> None:
        """Start scoring; the batch's rows stay untouched until `finished` returns it."""
        ...

    def finished(self) -> list[Batch]:
        """The batches scored since the last call; raises what a session raised."""
        ...

    def busy(self) -> bool:
        """Whether a submitted batch has not come back from `finished`."""
        ...

    def pause(self, seconds: float) -> None:
        """Let the loop rest, no longer than until a batch is done."""
        ...

    def close(self) -> None:
        """Stop; batches still running are abandoned."""
        ...


class _Runner:
    """Gathers a batch's feature rows, runs its tier's session, scatters the scores. One thread at a time."""

    def __init__(self, rows: Rows, tiers: Sequence[Tier], rows_max: int, now_ns: Callable[[], int]) -> None:
        self._rows = rows
        self._tiers = tiers
        self._now_ns = now_ns
        self._input = np.zeros((rows_max, rows.features32.shape[1]), np.float32)
        self._scores = np.zeros(rows_max, np.float32)

    def run(self, batch: Batch) -> int:
        """Score the batch's rows; returns how long the run took, in ns, 0 for a rule's."""
        slots, tier = batch.slots, self._tiers[batch.tier]
        started_ns = self._now_ns()
        if isinstance(tier, RuleTier):
            tier.rule.score(self._rows.features64, slots, self._rows.score)
            self._told(slots, started_ns, 0)
            return 0
        n = len(slots)
        inputs, scores = self._input[:n], self._scores[:n]
        np.take(self._rows.features32, slots, axis=0, out=inputs, mode="clip")
        tier.session.run(inputs, scores)
        took_ns = self._now_ns() - started_ns
        self._rows.score[slots] = scores
        self._told(slots, started_ns, took_ns)
        return took_ns

    def _told(self, slots: NDArray[np.int32], started_ns: int, took_ns: int) -> None:
        self._rows.dispatch_ns[slots] = started_ns
        self._rows.score_ns[slots] = took_ns

    def learn(self, batch: Batch, took_ns: int) -> None:
        """Tell the tier's cost model; in the loop's thread, as the batcher reads it there."""
        tier = self._tiers[batch.tier]
        if isinstance(tier, ModelTier):
            tier.cost.observe(len(batch.slots), took_ns)


class InlineScorer:
    """Scores in `submit`: no hand-over to pay for, the loop waits for the model."""

    def __init__(self, rows: Rows, tiers: Sequence[Tier], rows_max: int, now_ns: Callable[[], int]) -> None:
        self._runner = _Runner(rows, tiers, rows_max, now_ns)
        self._done: list[Batch] = []

    def submit(self, batch: Batch) -> None:
        """Score now."""
        self._runner.learn(batch, self._runner.run(batch))
        self._done.append(batch)

    def finished(self) -> list[Batch]:
        """What was submitted since the last call."""
        done, self._done = self._done, []
        return done

    def busy(self) -> bool:
        """Never, once `finished` was called."""
        return bool(self._done)

    def pause(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def close(self) -> None:
        """Nothing to stop."""


class ThreadScorer:
    """Scores on `sessions` threads; ONNX Runtime and the kernels release the GIL, so the loop goes on.

    `wake` is called from a thread when its batch is done. A rule's batch is scored in `submit`.
    """

    def __init__(
        self,
        rows: Rows,
        tiers: Sequence[Tier],
        rows_max: int,
        sessions: int,
        now_ns: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        self._tiers = tiers
        self._wake = wake
        self._bell = Wake()
        # A thread that has scored waits at most so long for the loop to let it say so; 5 ms are Python's own choice.
        sys.setswitchinterval(SWITCH_S)
        self._waiting: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Batch, int] | BaseException] = queue.SimpleQueue()
        self._in_flight = 0
        self._runner = _Runner(rows, tiers, rows_max, now_ns)
        self._threads = [
            threading.Thread(
                target=self._work,
                args=(_Runner(rows, tiers, rows_max, now_ns),),
                name=f"headrace-session-{number}",
                daemon=True,
            )
            for number in range(sessions)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, runner: _Runner) -> None:
        while (batch := self._waiting.get()) is not None:
            try:
                self._done.put((batch, runner.run(batch)))
            except BaseException as error:  # handed to the loop, which raises it
                self._done.put(error)
            self._bell.ring()
            self._wake()

    def submit(self, batch: Batch) -> None:
        """Hand the batch to a thread."""
        self._in_flight += 1
        if isinstance(self._tiers[batch.tier], RuleTier):
            self._done.put((batch, self._runner.run(batch)))
        else:
            self._waiting.put(batch)

    def finished(self) -> list[Batch]:
        """Batches that are done; raises what a session raised."""
        done = []
        while not self._done.empty():
            ended = self._done.get()
            self._in_flight -= 1
            if isinstance(ended, BaseException):
                raise ended
            self._runner.learn(*ended)
            done.append(ended[0])
        return done

    def busy(self) -> bool:
        """Whether a batch has not come back."""
        return self._in_flight > 0

    def pause(self, seconds: float) -> None:
        """Sleep until a batch is done, so that a session does not wait for the loop; or for so long."""
        if self._in_flight and self._done.empty():
            self._bell.wait(round(seconds * 1000))
        elif not self._in_flight:
            time.sleep(seconds)

    def close(self) -> None:
        """Stop the threads after the batches they hold; waits at most a second."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(timeout=1.0 / len(self._threads))
        if not any(thread.is_alive() for thread in self._threads):
            self._bell.close()
