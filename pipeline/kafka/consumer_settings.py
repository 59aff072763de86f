"""What a consumer is made with where the configuration says nothing else."""

from collections.abc import Mapping

QUEUED_KBYTES = "queued.max.messages.kbytes"
QUEUED_KBYTES_MAX = 65_536
"""What all partitions of a consumer may hold together of what was fetched ahead."""
QUEUED_KBYTES_MIN = 1_024
"""A partition gets as much at least: one answer to a fetch brings it all the same."""

DEFAULTS = {
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "fetch.wait.max.ms": "10",
    "fetch.queue.backoff.ms": "1",
    "fetch.error.backoff.ms": "50",
    "queued.min.messages": "100000",
    "partition.assignment.strategy": "cooperative-sticky",
    "auto.offset.reset": "error",
    "group.id": "headrace-outside-any-group",
}
"""Ours, where librdkafka's own would stall a lane or commit behind our back; a configuration overrides them."""


def consumer_settings(given: Mapping[str, str], partitions: int) -> dict[str, str]:
    """The settings of a consumer that will read so many partitions at most.

    librdkafka counts `queued.max.messages.kbytes` for each partition that has a queue of its own, as lanes do, and
    takes it once, when the client is made. So the default is each partition's share of QUEUED_KBYTES_MAX; a value
    that is given is passed on and keeps librdkafka's meaning, a partition's.
    """
    share = max(QUEUED_KBYTES_MIN, QUEUED_KBYTES_MAX // max(1, partitions))
    return {**DEFAULTS, QUEUED_KBYTES: str(share), **{name: str(value) for name, value in given.items()}}
