"""Asking a cluster whose leaders are changing: again, until it answers or the time is up."""

import time
from collections.abc import Callable

from pipeline.kafka.librdkafka import ERR_TIMED_OUT, ffi, lib

AGAIN_S = 0.05
ASK_MS_MAX = 2_000
"""For one attempt: librdkafka may wait for a leader that is gone although another one leads by now."""
TRANSIENT = frozenset(
    {
        "_DESTROY_BROKER",
        "_TIMED_OUT",
        "_TRANSPORT",
        "_UNKNOWN_PARTITION",
        "_WAIT_COORD",
        "COORDINATOR_LOAD_IN_PROGRESS",
        "COORDINATOR_NOT_AVAILABLE",
        "FENCED_LEADER_EPOCH",
        "LEADER_NOT_AVAILABLE",
        "NETWORK_EXCEPTION",
        "NOT_COORDINATOR",
        "NOT_LEADER_FOR_PARTITION",
        "OFFSET_NOT_AVAILABLE",
        "REQUEST_TIMED_OUT",
        "UNKNOWN_LEADER_EPOCH",
        "UNKNOWN_TOPIC_OR_PART",
    }
)
"""What librdkafka answers while it learns who leads now."""


def until_answered(ask: Callable[[int], int], timeout_ms: int) -> int:
    """`ask` takes the ms it may last and returns an error code; returns the last code, 0 when it was answered."""
    until_s = time.monotonic() + timeout_ms / 1000
    while True:
        left_ms = int((until_s - time.monotonic()) * 1000)
        if left_ms <= 0:
            return ERR_TIMED_OUT
        code = ask(min(left_ms, ASK_MS_MAX))
        if not code or ffi.string(lib.rd_kafka_err2name(code)).decode() not in TRANSIENT:
            return code
        time.sleep(AGAIN_S)
