"""One descriptor that every queue rings, so that the loop sleeps until there is something to do."""

import os
import select

RING = (1).to_bytes(8, "little")
"""What a queue writes to ring: an eventfd takes 8 bytes."""


class Wake:
    """An eventfd that librdkafka writes to when a queue goes from empty to non-empty.

    The ring comes on that edge alone: whoever waits must first have emptied every queue it reads, or read it
    again after the wait whatever `wait` returned. Where the system has no eventfd a pipe serves.
    """

    def __init__(self) -> None:
        if hasattr(os, "eventfd"):
            self.read_fd = self.write_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self.read_fd, self.write_fd = os.pipe()
            os.set_blocking(self.read_fd, False)
            os.set_blocking(self.write_fd, False)
        self._poll = select.poll()
        self._poll.register(self.read_fd, select.POLLIN)

    def ring(self) -> None:
        """End the wait, or the next one; may be called from any thread."""
        try:
            os.write(self.write_fd, RING)
        except BlockingIOError:
            return  # it is ringing already

    def wait(self, timeout_ms: int) -> bool:
        """Sleep until rung or until the time is over; returns whether it was rung."""
        if not self._poll.poll(timeout_ms):
            return False
        try:
            os.read(self.read_fd, 4096)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Give the descriptors back; no queue may ring any more."""
        os.close(self.read_fd)
        if self.write_fd != self.read_fd:
            os.close(self.write_fd)
