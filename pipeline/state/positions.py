"""How far each partition has been taken into the windows, whichever lane brought it."""

from dataclasses import dataclass, field

from pipeline.kafka.lane import TopicPartition


@dataclass(slots=True)
class Positions:
    """The next offset of each partition that its own entities, and the global ones, have not taken."""

    local: dict[TopicPartition, int] = field(default_factory=dict)
    shared: dict[TopicPartition, int] = field(default_factory=dict)

    def shared_from(self, partition: TopicPartition) -> int:
        """The offset from which on records are new to the global entities."""
        return self.shared.get(partition, 0)

    def take_local(self, partition: TopicPartition, next_offset: int) -> None:
        """The partition's own entities have taken what lies before `next_offset`."""
        self.local[partition] = max(self.local.get(partition, 0), next_offset)

    def take_shared(self, partition: TopicPartition, next_offset: int) -> None:
        """The global entities have."""
        self.shared[partition] = max(self.shared.get(partition, 0), next_offset)
