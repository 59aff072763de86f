"""The one bound on the memory of all windows, and what each entity's state took of it."""


class StateFullError(MemoryError):
    """State has reached its bound: whose it was that found no room, and what the bound is."""

    def __init__(self, entity: str, keys: int, bytes_max: int) -> None:
        super().__init__(
            f"entity {entity!r}: its state has reached the bound with {keys} keys: memory_bytes_max = {bytes_max} is "
            f"for all entities and partitions together; raise it, shorten spans, take fewer panes, or add processes"
        )


class MemoryBound:
    """`bytes_max` for everything that is held against it. One thread calls everything."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.taken_bytes = 0

    @property
    def left_bytes(self) -> int:
        """What may still be taken."""
        return self.bytes_max - self.taken_bytes


class Holding:
    """What one entity's state has of the bound: its tables and its arenas."""

    def __init__(self, entity: str, bound: MemoryBound) -> None:
        self._entity = entity
        self.bound = bound
        self.taken_bytes = 0

    def take(self, size_bytes: int) -> bool:
        """Count so much as taken; False, and nothing is, when there is less left."""
        if size_bytes > self.bound.left_bytes:
            return False
        self.bound.taken_bytes += size_bytes
        self.taken_bytes += size_bytes
        return True

    def require(self, size_bytes: int, keys: int) -> None:
        """Take, or raise StateFullError: there is no room for more than these keys."""
        if not self.take(size_bytes):
            raise self.full(keys)

    def full(self, keys: int) -> StateFullError:
        """The error that says so."""
        return StateFullError(self._entity, keys, self.bound.bytes_max)

    def give_back(self) -> None:
        """All of it is free for others; what it was taken for is not used any more."""
        self.bound.taken_bytes -= self.taken_bytes
        self.taken_bytes = 0
