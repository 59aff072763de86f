"""Batches through sessions: in the loop itself, or on threads of their own while the loop decodes and encodes."""

import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from pipeline.answering import Answerers
from pipeline.batch import Batch
from pipeline.kafka.wake import Wake
from pipeline.rows import Rows
from pipeline.runner import Runner, Scored, learn
from pipeline.tier import RuleTier, Tier
from pipeline.ways import Remembered

SWITCH_S = 0.0005


class Scorer(Protocol):
    """Where the engine hands batches in and takes scored ones out."""

    def submit(self, batch: Batch) -> None:
        """Start scoring; the batch's rows stay untouched until `finished` returns it."""
        ...

    def finished(self) -> list[Scored]:
        """What became of the batches scored since the last call; raises what a session raised."""
        ...

    def busy(self) -> bool:
        """Whether a submitted batch has not come back from `finished`."""
        ...

    def pause(self, seconds: float) -> None:
        """Let the loop rest, no longer than until a batch is done."""
        ...

    def close(self) -> bool:
        """Stop; False when a batch is still running, and reading what its rows point to."""
        ...


class InlineScorer:
    """Scores in `submit`: no hand-over to pay for, the loop waits for the model."""

    def __init__(
        self,
        rows: Rows,
        tiers: Sequence[Tier],
        rows_max: int,
        now_ns: Callable[[], int],
        remembered: Remembered | None = None,
        answerers: Answerers | None = None,
    ) -> None:
        self._tiers = tiers
        self._runner = Runner(rows, answerers or Answerers(tiers), rows_max, now_ns, remembered)
        self._done: list[Scored] = []

    def submit(self, batch: Batch) -> None:
        """Score now."""
        scored = self._runner.run(batch)
        learn(self._tiers, scored)
        self._done.append(scored)

    def finished(self) -> list[Scored]:
        """What was submitted since the last call."""
        done, self._done = self._done, []
        return done

    def busy(self) -> bool:
        """Never, once `finished` was called."""
        return bool(self._done)

    def pause(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def close(self) -> bool:
        """Nothing to stop."""
        return True


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
        remembered: Remembered | None = None,
        answerers: Answerers | None = None,
    ) -> None:
        answerers = answerers or Answerers(tiers)
        self._tiers = tiers
        self._wake = wake
        self._bell = Wake()
        # A thread that has scored waits at most so long for the loop to let it say so; 5 ms are Python's own choice.
        sys.setswitchinterval(SWITCH_S)
        self._waiting: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Scored | BaseException] = queue.SimpleQueue()
        self._in_flight = 0
        self._rule = Runner(rows, answerers, 0, now_ns)
        self._threads = [
            threading.Thread(
                target=self._work,
                args=(Runner(rows, answerers, rows_max, now_ns, remembered),),
                name=f"headrace-session-{number}",
                daemon=True,
            )
            for number in range(sessions)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, runner: Runner) -> None:
        while (batch := self._waiting.get()) is not None:
            try:
                self._done.put(runner.run(batch))
            except BaseException as error:  # handed to the loop, which raises it
                self._done.put(error)
            self._bell.ring()
            self._wake()

    def submit(self, batch: Batch) -> None:
        """Hand the batch to a thread."""
        self._in_flight += 1
        if isinstance(self._tiers[batch.tier], RuleTier):
            self._done.put(self._rule.run(batch))
        else:
            self._waiting.put(batch)

    def finished(self) -> list[Scored]:
        """What became of batches that are done; raises what a session raised."""
        done = []
        while not self._done.empty():
            ended = self._done.get()
            self._in_flight -= 1
            if isinstance(ended, BaseException):
                raise ended
            learn(self._tiers, ended)
            done.append(ended)
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

    def close(self) -> bool:
        """Stop the threads after the batches they hold; waits at most a second. Whether all have stopped."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(timeout=1.0 / len(self._threads))
        stopped = not any(thread.is_alive() for thread in self._threads)
        if stopped:
            self._bell.close()
        return stopped
