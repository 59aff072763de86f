"""What a consumer's control queue says: of the group, of commits, of the client itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.kafka.lane import TopicPartition


@dataclass(frozen=True, slots=True)
class Assigned:
    """Partitions that the group gives this process; answer with `accept_assigned`."""

    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class Revoked:
    """Partitions that it takes away; answer with `accept_revoked`. `lost`: another may have them already."""

    partitions: tuple[TopicPartition, ...]
    lost: bool


@dataclass(frozen=True, slots=True)
class CommitResult:
    """How an asynchronous commit ended; `error` is None when it went through."""

    error: str | None
    offsets: Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class ConsumerError:
    """Something librdkafka reports; unless fatal it goes on by itself."""

    code: int
    text: str
    fatal: bool


ControlEvent = Assigned | Revoked | CommitResult | ConsumerError
