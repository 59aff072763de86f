"""Spans on their way out: a bounded queue and a thread, so that no receiver ever holds the loop."""

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from pipeline.kafka.outage import Outage
from pipeline.scorer import SWITCH_S
from pipeline.trace.told import BatchTold

log = logging.getLogger(__name__)
EVERY_S = 0.25
"""How often what waits is sent: the loop rings for nothing."""
SPANS_A_REQUEST = 512
CLOSE_S_MAX = 2.0


class Sender(Protocol):
    """Makes spans of what was told and sends them; in the exporter's thread."""

    @property
    def endpoint(self) -> str:
        """Where to."""
        ...

    def spans(self, told: BatchTold) -> Sequence[Any]:
        """The spans of a batch."""
        ...

    def send(self, spans: Sequence[Any]) -> str | None:
        """Send them, within the exporter's own time limit; None when they were taken, else why not."""
        ...

    def stop(self) -> None:
        """From another thread: end a `send` that still waits or tries again."""
        ...


class SpanExport:
    """`offer` is the loop's and never waits; everything else happens on a thread. `close` is bounded in time."""

    def __init__(self, sender: Sender, queue_batches_max: int, every_s: float = EVERY_S) -> None:
        self._sender = sender
        self._queue: deque[BatchTold] = deque()
        self._queue_max = queue_batches_max
        self._every_s = every_s
        self._outage = Outage(sender.endpoint)
        self._closing = threading.Event()
        self.sent = 0
        self.dropped = 0
        # This thread computes beside the loop: it may hold the interpreter for as long as a session's may.
        sys.setswitchinterval(SWITCH_S)
        self._thread = threading.Thread(target=self._work, name="headrace-spans", daemon=True)
        self._thread.start()

    def offer(self, told: BatchTold) -> None:
        """Send it some time; what finds no room is dropped."""
        if len(self._queue) >= self._queue_max:
            self.dropped += told.spans
        else:
            self._queue.append(told)

    def counts(self) -> dict[str, int]:
        """Running totals for the metrics."""
        return {"spans": self.sent, "spans_dropped": self.dropped}

    def close(self) -> None:
        """Send what waits, within CLOSE_S_MAX; what is left is dropped."""
        self._closing.set()
        self._thread.join(CLOSE_S_MAX)
        self._sender.stop()
        self._thread.join(CLOSE_S_MAX / 4)
        left = sum(told.spans for told in self._queue)
        if left:
            self.dropped += left
            log.warning("%d spans were not sent before the end", left)

    def _work(self) -> None:
        while not self._closing.wait(self._every_s):
            self._send_waiting()
        self._send_waiting()

    def _send_waiting(self) -> None:
        spans: list[Any] = []
        while self._queue:
            spans += self._sender.spans(self._queue.popleft())
            if len(spans) >= SPANS_A_REQUEST or not self._queue:
                self._send(spans)
                spans = []

    def _send(self, spans: Sequence[Any]) -> None:
        why = self._sender.send(spans)
        if why is None:
            self.sent += len(spans)
            said: str | None = self._outage.reached(time.monotonic_ns())
        else:
            self.dropped += len(spans)
            said = self._outage.failed(why, time.monotonic_ns())
        if said is not None:
            log.warning("spans: %s", said)
