"""Signals: the first asks for a drain, the second ends the process at once."""

import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def stop_on_signals() -> threading.Event:
    """An event that the first SIGTERM or SIGINT sets; a second one raises KeyboardInterrupt.

    Called once, from the main thread.
    """
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in SIGNALS:
        signal.signal(number, handle)
    return stop
