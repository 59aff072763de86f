"""Decisions as JSON, version 1: written for a whole batch by one kernel into one buffer, ready to be produced."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from features.memory import load_u8, store_i32, store_i64, store_u8
from features.schema import NUMBER
from pipeline.kafka.messages import MESSAGE
from pipeline.rows import NO_TIMESTAMP, OUTCOMES, Outcome, Rows
from pipeline.wire.json_text import write_int, write_millionths, write_piece, write_string
from pipeline.wire.partitioner import partition_of

VERSION = 1
_NUMBER, _EXPIRED, _NO_TIMESTAMP = NUMBER, int(Outcome.EXPIRED), NO_TIMESTAMP
_FIXED_BYTES_MAX = 512
_FLOAT_BYTES_MAX = 26


@dataclass(frozen=True)
class TierNames:
    """What a decision says of the tier that scored it."""

    name: str
    model: str
    version: str
    provider: str


class _Pieces:
    """Prepared fragments of JSON, one after another, found by index."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._bounds = [0]

    def add(self, text: str) -> int:
        self._bytes += text.encode()
        self._bounds.append(len(self._bytes))
        return len(self._bounds) - 2

    def freeze(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        return np.frombuffer(bytes(self._bytes), np.uint8).copy(), np.array(self._bounds, np.int64)


def _quoted(text: object) -> str:
    return json.dumps(text, ensure_ascii=False)


@kernel()
def _write_features(at: int, text: int, pieces: int, bounds: Any, first: int, count: int) -> tuple[int, int]:
    """Turn one row's `[1.0,2.5]` at `text` into named values; returns where both continue."""
    text += 1
    for feature in range(count):
        at = write_piece(at, pieces, bounds, first + feature)
        byte = load_u8(text)
        while byte != 0x2C and byte != 0x5D:
            store_u8(at, byte)
            at += 1
            text += 1
            byte = load_u8(text)
        text += 1
    store_u8(at, 0x7D)
    return at + 1, text + 1


@kernel(
    "int64(int64, int64, int64, int64[::1], int64[::1], int32[::1], int32[::1], int64[::1], int64[::1], int64[::1],"
    " int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int32[::1], int64[::1], int32[::1], int8[::1],"
    " int8[::1], int8[::1], float32[::1], int64[::1])"
)
def _encode(
    buffer: int,
    out: int,
    pieces: int,
    bounds: Any,
    plan: Any,
    slots: Any,
    partition: Any,
    offset: Any,
    timestamp_ms: Any,
    arrival_ns: Any,
    deadline_ns: Any,
    dispatch_ns: Any,
    score_ns: Any,
    features_ns: Any,
    id_value: Any,
    id_length: Any,
    key_address: Any,
    key_length: Any,
    outcome: Any,
    tier: Any,
    decision: Any,
    score: Any,
    event_time_ms: Any,
) -> int:
    """Write each slot's decision to `buffer` and its message to `out` (rd_kafka_message_t); returns bytes used.

    plan: [now ns, now wall ms, delivery ns, partitions, outcome pieces, decision pieces, tier pieces, expired
    tier piece, source piece, feature pieces, features, features' text].
    """
    now_ns, now_ms, delivery_ns, partitions = plan[0], plan[1], plan[2], plan[3]
    at, text = buffer, plan[11]
    for index in range(len(slots)):
        slot, start = slots[index], at
        at = write_piece(at, pieces, bounds, 0)
        if id_length[slot] == _NUMBER:
            store_u8(at, 0x22)
            at = write_int(at + 1, id_value[slot])
            store_u8(at, 0x22)
            at += 1
        else:
            at = write_string(at, id_value[slot], id_length[slot])
        at = write_piece(at, pieces, bounds, plan[4] + outcome[slot])
        at = write_piece(at, pieces, bounds, plan[5] + decision[slot])
        if outcome[slot] == _EXPIRED:
            at = write_piece(at, pieces, bounds, plan[7])
        else:
            at = write_millionths(at, score[slot])
            at = write_piece(at, pieces, bounds, plan[6] + tier[slot])
        at = write_int(at, event_time_ms[slot])
        met = now_ns + delivery_ns <= deadline_ns[slot] and outcome[slot] != _EXPIRED
        at = write_piece(at, pieces, bounds, 1 if met else 2)
        waited_ns = dispatch_ns[slot] - arrival_ns[slot] - features_ns[slot]
        at = write_int(at, max(waited_ns, 0) // 1000)
        at = write_piece(at, pieces, bounds, 3)
        at = write_int(at, features_ns[slot] // 1000)
        at = write_piece(at, pieces, bounds, 4)
        at = write_int(at, score_ns[slot] // 1000)
        at = write_piece(at, pieces, bounds, 5)
        total_us = max(now_ns - arrival_ns[slot], 0) // 1000
        at = write_int(at, total_us)
        at = write_piece(at, pieces, bounds, 6)
        age_us = total_us
        if timestamp_ms[slot] != _NO_TIMESTAMP:
            age_us = max((now_ms - timestamp_ms[slot]) * 1000, total_us)
        at = write_int(at, age_us)
        if plan[10] > 0:
            at, text = _write_features(at, text, pieces, bounds, plan[9], plan[10])
        at = write_piece(at, pieces, bounds, plan[8])
        at = write_int(at, np.int64(partition[slot]))
        store_u8(at, 0x2C)
        at = write_int(at + 1, offset[slot])
        store_u8(at, 0x5D)
        store_u8(at + 1, 0x7D)
        at += 2
        message = out + index * 72
        keyed = key_length[slot] >= 0
        target = (
            partition_of(key_address[slot], key_length[slot], partitions) if keyed else partition[slot] % partitions
        )
        store_i32(message, 0)
        store_i32(message + 16, target)
        store_i64(message + 24, start)
        store_i64(message + 32, at - start)
        store_i64(message + 40, key_address[slot])
        store_i64(message + 48, max(key_length[slot], 0))
        store_i64(message + 64, np.int64(slot) + 1)
    return at - buffer


class DecisionEncoder:
    """Encodes rows as decisions. The buffers are the encoder's and are valid until the next call.

    `features`: the names of feature values to put into each decision, in column order, or none.
    """

    def __init__(
        self,
        *,
        pipeline: str,
        topic: str,
        decisions: Sequence[str],
        tiers: Sequence[TierNames],
        features: Sequence[str] = (),
    ) -> None:
        pieces = _Pieces()
        pieces.add(f'{{"v":{VERSION},"pipeline":{_quoted(pipeline)},"id":')
        head = ',"latency_us":{"queue":'
        pieces.add(f',"deadline_met":true{head}')
        pieces.add(f',"deadline_met":false{head}')
        pieces.add(',"features":')
        pieces.add(',"score":')
        pieces.add(',"total":')
        pieces.add('},"age_us":')
        self._outcomes = [pieces.add(f',"outcome":"{name}"') for name in OUTCOMES][0]
        self._decisions = [pieces.add(f',"decision":{_quoted(name)},"score":') for name in decisions][0]
        self._tiers = [
            pieces.add(
                f',"tier":{_quoted(tier.name)},"model":{_quoted(tier.model)},"version":{_quoted(tier.version)}'
                f',"provider":{_quoted(tier.provider)},"event_time":'
            )
            for tier in tiers
        ][0]
        nobody = 'null,"tier":"expired","model":null,"version":null,"provider":null,"event_time":'
        self._expired = pieces.add(nobody)
        self._source = pieces.add(f',"source":[{_quoted(topic)},')
        opening = [f',"features":{{{_quoted(name)}:' for name in features[:1]]
        named = opening + [f",{_quoted(name)}:" for name in features[1:]]
        self._features = [pieces.add(text) for text in named][0] if named else 0
        self._feature_count = len(features)
        self._pieces, self._bounds = pieces.freeze()
        longest = int(np.diff(self._bounds).max())
        feature_bytes = sum(len(text.encode()) + _FLOAT_BYTES_MAX for text in named)
        self._row_bytes_max = _FIXED_BYTES_MAX + 4 * longest + feature_bytes
        self._buffer = np.zeros(0, np.uint8)
        self._messages = np.zeros(0, MESSAGE)

    def encode(
        self,
        rows: Rows,
        slots: NDArray[np.int32],
        *,
        now_ns: int,
        now_ms: int,
        delivery_ns: int,
        partitions: int,
    ) -> NDArray[Any]:
        """One message (dtype MESSAGE) a slot: key as it came, `_private` = slot + 1, partition by the key.

        `deadline_met` counts in `delivery_ns`, the time a delivery is expected to take.
        """
        count = len(slots)
        self._reserve(count, rows, slots)
        text = self._feature_text(rows, slots)
        plan = np.array(
            [
                now_ns,
                now_ms,
                delivery_ns,
                partitions,
                self._outcomes,
                self._decisions,
                self._tiers,
                self._expired,
                self._source,
                self._features,
                self._feature_count,
                text.ctypes.data if len(text) else 0,
            ],
            np.int64,
        )
        messages = self._messages[:count]
        _encode(
            self._buffer.ctypes.data,
            messages.ctypes.data,
            self._pieces.ctypes.data,
            self._bounds,
            plan,
            slots,
            rows.partition,
            rows.offset,
            rows.timestamp_ms,
            rows.arrival_ns,
            rows.deadline_ns,
            rows.dispatch_ns,
            rows.score_ns,
            rows.features_ns,
            rows.id_value,
            rows.id_length,
            rows.key_address,
            rows.key_length,
            rows.outcome,
            rows.tier,
            rows.decision,
            rows.score,
            rows.event_time_ms,
        )
        return messages

    def _feature_text(self, rows: Rows, slots: NDArray[np.int32]) -> NDArray[np.uint8]:
        """The rows' float64 values as text that reads back to the same bits, `[1.0,2.0],[3.0,...`."""
        if not self._feature_count:
            return _NO_TEXT
        return np.frombuffer(msgspec.json.encode(rows.features64[slots].tolist()), np.uint8)[1:]

    def _reserve(self, count: int, rows: Rows, slots: NDArray[np.int32]) -> None:
        ids = 6 * int(np.maximum(rows.id_length[slots], 0).sum())
        needed = count * self._row_bytes_max + ids
        if len(self._buffer) < needed:
            self._buffer = np.zeros(needed * 2, np.uint8)
        if len(self._messages) < count:
            self._messages = np.zeros(max(1024, count * 2), MESSAGE)


_NO_TEXT = np.empty(0, np.uint8)
