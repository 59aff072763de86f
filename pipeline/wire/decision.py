"""Decisions as JSON, version 1: what the business reads, written by one kernel for a whole batch."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.kafka.messages import MESSAGE
from pipeline.rows import OUTCOMES, Outcome, Rows
from pipeline.servings import NOBODY, Servings
from pipeline.wire.decision_kernel import COLUMNS, NUMBERS_BYTES_MAX, id_text_bytes, write_decisions
from pipeline.wire.json_text import ESCAPED_BYTES_MAX, SCORE_BYTES_MAX, SLACK_BYTES, pieces, quoted
from pipeline.wire.trace_context import TRACEPARENT_BYTES

DECISION_VERSION = 1
_DECIDED = (Outcome.SCORED, Outcome.DEGRADED, Outcome.EXPIRED)
_NO_TEXT = np.zeros(SLACK_BYTES, np.uint8)


class EncodedMemory:
    """Where decisions are written: payloads and the messages that point to them, grown as needed.

    Whoever gives it to `encode` owns what was written until it gives it again.
    """

    def __init__(self) -> None:
        self.payloads: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.messages: NDArray[Any] = np.zeros(0, MESSAGE)

    def reserve(self, payload_bytes: int, rows: int) -> None:
        """Make room, dropping what was written."""
        if payload_bytes > len(self.payloads):
            self.payloads = np.empty(payload_bytes + payload_bytes // 4, np.uint8)
        if rows > len(self.messages):
            self.messages = np.zeros(rows + rows // 4, MESSAGE)


def _joined(parts: Sequence[tuple[str, bytes]]) -> bytes:
    return b"".join(b',"%s":%s' % (name.encode(), value) for name, value in parts)


def _class_pieces(classes: Sequence[str]) -> list[bytes]:
    """None told, each as the likeliest, each with its probability to follow."""
    if not classes:
        return []
    likeliest = [b',"class":%s,"probabilities":{' % quoted(name) for name in classes]
    named = [(b"," if index else b"") + quoted(name) + b":" for index, name in enumerate(classes)]
    return [b',"class":null,"probabilities":null', *likeliest, *named]


def _reason_pieces(reasons: Sequence[str]) -> list[bytes]:
    return [b',"reasons":[', *(b"[%s," % quoted(name) for name in reasons)] if reasons else []


class DecisionEncoder:
    """Writes decisions of one pipeline for events of one topic.

    Who answered a row is told as `servings` have it under `Rows.serving`; ones added later are told of too.
    `decisions` are in the order of `Rows.decision`. With `features` (the names of the columns of `Rows.features64`,
    `measures` and `outcomes`) each decision carries their exact values; with `classes` (those of
    `Rows.probabilities`) the likeliest and the probability of each, with `reasons` those that `Rows.reasons` has,
    with `explained` (the names of the features) those of `Rows.attributions` after them, with `traceparent` that of
    the row where it has one.
    """

    def __init__(
        self,
        *,
        pipeline: str,
        topic: str,
        servings: Servings,
        decisions: Sequence[str],
        features: Sequence[str] | None = None,
        classes: Sequence[str] = (),
        reasons: Sequence[str] = (),
        explained: Sequence[str] = (),
        traceparent: bool = False,
    ) -> None:
        self._servings = servings
        head = b'{"v":%d,"pipeline":%s,"id":' % (DECISION_VERSION, quoted(pipeline))
        endings = [
            _joined([("outcome", quoted(OUTCOMES[outcome])), ("decision", quoted(label)), ("score", b"")])
            for outcome in _DECIDED
            for label in decisions
        ]
        met = [b',"deadline_met":%s,"latency_us":{"queue":' % word for word in (b"false", b"true")]
        fixed = [
            b',"features":',
            b',"score":',
            b',"total":',
            b'},"age_us":',
            b',"source":[%s,' % quoted(topic),
        ]
        named = [
            (b"," if index else b',"features":{') + quoted(name) + b":" for index, name in enumerate(features or ())
        ]
        classed, reasoned = _class_pieces(classes), _reason_pieces([*reasons, *explained])
        traced = [b',"traceparent":"'] if traceparent else []
        self._features = len(named)
        self._first = [head, *fixed, *met, *endings, *named, *classed, *reasoned, *traced]
        may_be_told = len(reasons) + len(explained)
        self._sizes = (len(decisions), len(named), len(classes), len(reasons), may_be_told, len(traced))
        longest = [max(map(len, group), default=0) for group in (met, endings)]
        trace_bytes = TRACEPARENT_BYTES + 1 if traceparent else 0
        numbers_bytes_max = trace_bytes + NUMBERS_BYTES_MAX + (len(classes) + may_be_told) * (SCORE_BYTES_MAX + 2)
        said = sum(map(len, [head, *fixed, *named, *classed, *reasoned, *traced]))
        self._unsigned_bytes_max = said + sum(longest) + numbers_bytes_max
        self._sign()
        self._memory = EncodedMemory()
        self._rows: Rows | None = None
        self._columns: NDArray[np.int64] = np.zeros(0, np.int64)

    def _sign(self) -> None:
        """Write the piece of each serving that there is by now."""
        labels = [NOBODY, *(serving.label for serving in self._servings.all())]
        signed = [
            _joined([*((field, quoted(getattr(label, field))) for field in label._fields), ("event_time", b"")])
            for label in labels
        ]
        self._signed = len(self._servings)
        self._text, self._starts = pieces([*self._first, *signed])
        self._row_bytes_max = self._unsigned_bytes_max + max(map(len, signed))

    def encode(
        self,
        rows: Rows,
        slots: NDArray[np.int32],
        *,
        now_ns: int,
        now_ms: int,
        delivery_ns: int,
        partitions: int,
        memory: EncodedMemory | None = None,
    ) -> NDArray[Any]:
        """One message (dtype MESSAGE) a slot, in the order of `slots`, each scored, degraded or expired.

        They lie in `memory`, valid until it is given again; without one in the encoder's own, valid until the next
        call without and no longer than the encoder lives. Keys are the input's own, in the memory that `rows` points
        to; a keyed record goes where Java's partitioner puts it, one without a key to its source partition modulo
        `partitions`. `_private` is slot + 1. `delivery_ns` is how long delivery is expected to take: `deadline_met`
        counts it in. `age_us` is null for a record without a timestamp, and negative when its producer's clock is
        ahead.
        """
        if self._signed != len(self._servings):
            self._sign()
        count = len(slots)
        values = _NO_TEXT
        if self._features and count:
            told = [array[slots] for array in (rows.features64, rows.measures, rows.outcomes) if array.shape[1]]
            text = msgspec.json.encode(np.hstack(told).tolist())
            values = np.frombuffer(text + bytes(SLACK_BYTES), np.uint8)
        memory = memory or self._memory
        memory.reserve(self._payload_bytes_max(rows, slots, values), count)
        messages = memory.messages[:count]
        write_decisions(
            slots,
            messages.view(np.uint8).reshape(count, MESSAGE.itemsize),
            memory.payloads,
            self._text,
            self._starts,
            np.array([*self._sizes, rows.attributions.shape[1], partitions], np.int64),
            np.array([now_ns, now_ms, delivery_ns], np.int64),
            values,
            self._columns_of(rows),
            rows.score,
        )
        return messages

    def _columns_of(self, rows: Rows) -> NDArray[np.int64]:
        if self._rows is not rows:
            self._rows = rows
            self._columns = np.array([getattr(rows, name).ctypes.data for name in COLUMNS], np.int64)
        return self._columns

    def _payload_bytes_max(self, rows: Rows, slots: NDArray[np.int32], values: NDArray[np.uint8]) -> int:
        text_bytes = int(id_text_bytes(slots, self._columns_of(rows))) * ESCAPED_BYTES_MAX
        return len(slots) * self._row_bytes_max + text_bytes + len(values) + SLACK_BYTES
