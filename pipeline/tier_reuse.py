"""One tier's answers, given again to frames that come again."""

from ctypes import string_at

import numpy as np

from pipeline.image.duplicate import payload_hash
from pipeline.reuse import Answer, Payload, Reuse
from pipeline.rows import Rows

MEASURED_TIER = 0
"""The only one whose answers are given to like pictures: the report on how often that is wrong is about its model."""


class TierReuse:
    """Looks frames up for one session of a tier, and keeps what the session told. `reuse` is shared, this is not.

    A row that is given an answer has it in all its columns, as if it had been scored, and says so in its reasons.
    """

    def __init__(self, rows: Rows, reuse: Reuse, tier: int, clean: int | None) -> None:
        self._rows = rows
        self._reuse = reuse
        self._tier = tier
        self._clean = clean

    def payload(self, slot: int) -> Payload | None:
        """What a frame's bytes are recognised by; None when they are not."""
        if not self._reuse.wants_payloads:
            return None
        return payload_hash(int(self._rows.payload_address[slot]), int(self._rows.payload_length[slot]))

    def same(self, slot: int, payload: Payload | None) -> bool:
        """Give the row the answer for the very same bytes, if there is one; nothing is decoded for it."""
        answer = self._reuse.same(self._tier, payload) if payload is not None else None
        if answer is not None:
            self._give(slot, answer, self._reuse.same_column, 0)
            self._rows.measures[slot] = answer.measures
            self._rows.perceptual_hash[slot] = answer.perceptual_hash
        return answer is not None

    def like(self, slot: int) -> bool:
        """Give a row that was decoded the answer for a like picture of its camera, if there is one."""
        if self._tier != MEASURED_TIER or not self._reuse.wants_pictures:
            return False
        found = self._reuse.like(self._tier, self._camera(slot), int(self._rows.perceptual_hash[slot]))
        if found is not None:
            self._give(slot, found[0], self._reuse.like_column, found[1])
        return found is not None

    def keep(self, slot: int, payload: Payload | None) -> None:
        """Remember what the session has told of a row."""
        rows = self._rows
        answer = Answer(
            self._tier,
            rows.probabilities[slot].copy(),
            rows.measures[slot].copy(),
            int(rows.perceptual_hash[slot]),
            self._reuse.now_ns(),
        )
        self._reuse.keep(payload, self._camera(slot), answer)

    def _camera(self, slot: int) -> bytes:
        length = int(self._rows.key_length[slot])
        return string_at(int(self._rows.key_address[slot]), length) if length > 0 else b""

    def _give(self, slot: int, answer: Answer, reason: int, bits: int) -> None:
        rows, told = self._rows, answer.probabilities
        best = int(np.argmax(told))
        rows.probabilities[slot] = told
        rows.likeliest[slot] = best
        rows.score[slot] = told[best] if self._clean is None else np.float32(1.0) - told[self._clean]
        rows.reasons[slot, reason] = bits
