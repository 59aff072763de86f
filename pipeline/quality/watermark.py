"""How far event time has come over several partitions that are read at different speeds. Pure."""

from collections.abc import Hashable

LONG_AGO_MS = -(2**62)


class Watermark:
    """The event time that nothing more is expected below: the least of the partitions that have more to read.

    One that was read to its end holds nobody up; when all were, it is the newest time of any.
    """

    def __init__(self) -> None:
        self._newest_ms: dict[Hashable, int] = {}
        self._ended: dict[Hashable, bool] = {}

    def expect(self, partition: Hashable) -> None:
        """There is this partition; nothing of it was read yet."""
        self._newest_ms[partition] = LONG_AGO_MS
        self._ended[partition] = False

    def read(self, partition: Hashable, event_ms: int) -> None:
        """A record of this time was read from it."""
        self._newest_ms[partition] = max(self._newest_ms[partition], event_ms)
        self._ended[partition] = False

    def ended(self, partition: Hashable) -> None:
        """There was nothing more to read."""
        self._ended[partition] = True

    @property
    def caught_up(self) -> bool:
        """Whether all were read to their end."""
        return all(self._ended.values())

    def clock_ms(self) -> int:
        """The time that all have come to."""
        if self.caught_up:
            return max(self._newest_ms.values(), default=LONG_AGO_MS)
        return min(ms for partition, ms in self._newest_ms.items() if not self._ended[partition])
