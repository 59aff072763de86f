"""A reader of the decisions, all the while: how many it has seen, and how long it saw none."""

import itertools
import threading
import time
from typing import Any

from tests.chaos.topics import READ_ROWS, reader

WAIT_S = 0.02


class Watch:
    """Counts decisions as a reader of committed records sees them, in a thread of its own."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer, _partitions = reader(bootstrap, topic)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.seen = 0
        self.arrivals_s: list[float] = []

    def _read(self) -> None:
        while not self._ended.is_set():
            read: list[Any] = self._consumer.consume(READ_ROWS, WAIT_S)
            good = sum(message.error() is None for message in read)
            if good:
                self.seen += good
                self.arrivals_s.append(time.monotonic())
        self._consumer.close()

    def wait_for(self, count: int, until_s: float) -> bool:
        """Wait until so many were seen, or that instant; whether they were."""
        while self.seen < count and time.monotonic() < until_s:
            time.sleep(WAIT_S / 4)
        return self.seen >= count

    def wait_for_quiet(self, seconds: float) -> None:
        """Wait until none came for so long."""
        started_s = time.monotonic()
        while time.monotonic() - max([started_s, *self.arrivals_s[-1:]]) < seconds:
            time.sleep(WAIT_S)

    def pauses_s(self, after_s: float) -> list[float]:
        """The times between decisions from that instant on, the longest first."""
        times = [after_s, *(at_s for at_s in self.arrivals_s if at_s > after_s)]
        return sorted((b - a for a, b in itertools.pairwise(times)), reverse=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()
