"""One thread for calls that block: the loop goes on and is rung when a call is done."""

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from pipeline.kafka.wake import Wake

T = TypeVar("T")


class Courier(Generic[T]):
    """Makes one call at a time. One thread starts calls and fetches what they returned."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._calls: queue.SimpleQueue[Callable[[], T] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()
        self._left = False
        self._thread = threading.Thread(target=self._work, name="commit", daemon=True)
        self._thread.start()
        self.busy = False

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                self._done.put((call(), None))
            except BaseException as error:  # it is the loop's to raise
                self._done.put((None, error))
            if not self._left:
                self._wake.ring()

    def start(self, call: Callable[[], T]) -> None:
        """Have a call made. Raises RuntimeError when the one before it was not fetched."""
        if self.busy:
            raise RuntimeError("a call is under way")
        self.busy = True
        self._calls.put(call)

    def result(self) -> T | None:
        """What the call returned, once; None while there is none. Raises what it raised."""
        if not self.busy or self._done.empty():
            return None
        value, error = self._done.get()
        self.busy = False
        if error is not None:
            raise error
        return value

    def close(self, timeout_s: float) -> bool:
        """Stop after the call under way; True when it ended within the time."""
        self._calls.put(None)
        self._thread.join(timeout_s)
        self._left = True  # whom it would ring may be closed from now on
        return not self._thread.is_alive()
