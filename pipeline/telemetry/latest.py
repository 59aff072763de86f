"""A sample of the latest decisions, taken where they leave: a few bytes copied a few times a second."""

import threading
from collections import deque
from ctypes import string_at
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clock import NS_PER_MS
from pipeline.rows import Rows

EVERY_MS = 100
PICKED_MAX = 2
"""Decisions taken of a batch, of kinds that were not taken for longest: 20 a second at most."""
KEPT_OF_A_KIND = 24
KINDS_MAX = 64
PAYLOAD_BYTES_MAX = 16_384
KEY_BYTES_MAX = 128


@dataclass(frozen=True)
class Sampled:
    """One decision as it left: `value` is its JSON, `key` its record's key, cut short where it is long."""

    number: int
    at_ms: int
    key: bytes
    value: bytes


class LatestDecisions:
    """The last few decisions of each kind (outcome and decision), so that common ones do not push out rare ones.

    `take` belongs to the engine's thread and costs a comparison except once in EVERY_MS; any thread may read.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[int, deque[Sampled]] = {}
        self._due_ns = 0
        self.number = 0

    def take(self, rows: Rows, messages: NDArray[Any], now_ns: int, now_ms: int) -> None:
        """Copy a few of these encoded decisions, if it is time; `messages` point to memory that is whole until then.

        Only rows whose slots (`_private` - 1) are decided are read of `rows`.
        """
        if now_ns < self._due_ns or not len(messages):
            return
        self._due_ns = now_ns + EVERY_MS * NS_PER_MS
        slots = messages["_private"] - 1
        kinds = rows.outcome[slots].astype(np.int16) << 8 | rows.decision[slots]
        found, first = np.unique(kinds, return_index=True)
        longest_ago = sorted(zip(found.tolist(), first.tolist(), strict=True), key=self._last_taken)
        with self._lock:
            for kind, at in longest_ago[:PICKED_MAX]:
                self._keep(kind, messages[at], now_ms)

    def _last_taken(self, kind_at: tuple[int, int]) -> int:
        kept = self._kinds.get(kind_at[0])
        return kept[-1].number if kept else 0

    def _keep(self, kind: int, message: Any, now_ms: int) -> None:
        length = int(message["len"])
        if length > PAYLOAD_BYTES_MAX or (kind not in self._kinds and len(self._kinds) == KINDS_MAX):
            return
        self.number += 1
        value = string_at(int(message["payload"]), length)
        key_length = min(int(message["key_len"]), KEY_BYTES_MAX)
        key = string_at(int(message["key"]), key_length) if message["key"] else b""
        kept = self._kinds.setdefault(kind, deque(maxlen=KEPT_OF_A_KIND))
        kept.append(Sampled(self.number, now_ms, key, value))

    def after(self, number: int) -> list[Sampled]:
        """Those kept that were taken after the first `number`, oldest first."""
        with self._lock:
            found = [sampled for kept in self._kinds.values() for sampled in kept if sampled.number > number]
        return sorted(found, key=lambda sampled: sampled.number)
