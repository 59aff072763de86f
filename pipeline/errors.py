"""What ends a process, each error with what was found and what to do about it."""

from typing import Any


class HeadraceError(Exception):
    """An error whose text is meant for the operator; the command line prints it without a traceback."""


class UnusableFileError(HeadraceError):
    """A file or folder that was named cannot be read as what it is meant to hold."""


class LostOffsetsError(HeadraceError):
    """A committed offset lies outside what its topic still holds."""

    def __init__(self, partition: Any, offset: int, low: int, high: int) -> None:
        super().__init__(
            f"{partition.topic}[{partition.partition}]: committed offset {offset} is outside the topic, which "
            f"holds {low} to {high}: records were deleted before they were decided, or the topic was made "
            f"anew. Choose for one start: checkpoint.on_lost = rebuild (windows from the oldest record kept) or "
            f"start-fresh (empty windows); both decide on from offset {low}. Or set the group's offset with Kafka's "
            f"own tool."
        )


class UndeliverableError(HeadraceError):
    """Neither an outcome nor its dead letter can be delivered: the process stops rather than skip it."""

    def __init__(self, topic: str, partition: int, offset: int, error: str) -> None:
        super().__init__(
            f"{topic}[{partition}] offset {offset}: neither its outcome nor a dead letter "
            f"could be delivered ({error}). Nothing after it was committed."
        )


class FencedError(HeadraceError):
    """Another process has this one's name: what this one does is refused from now on."""

    def __init__(self, name: str, error: str) -> None:
        super().__init__(
            f"{name} is fenced ({error}): another process has taken over this name, or the broker ended a "
            f"transaction that was open for longer than transaction.timeout.ms, or took this process for another one "
            f"after a broker died. Nothing of the open transaction was committed. Give each process a "
            f'kafka."group.instance.id" of its own; start this one again only if no other has it.'
        )


class RefusedError(HeadraceError):
    """A topic takes no outcomes, whatever they are: the process stops rather than bury one after the other."""

    def __init__(self, topic: str, error: str) -> None:
        super().__init__(
            f"topic {topic!r} takes no outcomes: {error}. Nothing that was not delivered is committed: when the "
            f"topic takes them again, start again."
        )
