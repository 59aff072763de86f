"""Reading encoded messages as a foreign client would."""

import ctypes
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.rows import Outcome, Rows
from pipeline.servings import Servings, TierLabel
from pipeline.wire.decision import DecisionEncoder

TIERS = [
    TierLabel("primary", "fraud-gbt", "1", "CPUExecutionProvider"),
    TierLabel('ru"le é', None, None, None),
]
SERVINGS = Servings.of_ladder([(label, ()) for label in TIERS])
LABELS = ["approve", "review", "decline"]
NAMES = ["amount", 'odd "name" \\ ü']


def refuse_constant(text: str) -> Any:
    raise AssertionError(f"{text} is not JSON")


def refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def text_of(message: Any) -> bytes:
    return ctypes.string_at(int(message["payload"]), int(message["len"]))


def decoded(message: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(
        text_of(message), parse_constant=refuse_constant, object_pairs_hook=refuse_duplicates
    )
    return value


def key_of(message: Any) -> bytes | None:
    return ctypes.string_at(int(message["key"]), int(message["key_len"])) if message["key"] else None


def _new_encoder(features: list[str] | None) -> DecisionEncoder:
    return DecisionEncoder(
        pipeline="fraud", topic="transactions", servings=SERVINGS, decisions=LABELS, features=features
    )


# Kept here because an encoder owns the buffer that its messages point to.
PLAIN = _new_encoder(None)
WITH_FEATURES = _new_encoder(NAMES)


def new_rows(count: int, **more: int) -> Rows:
    """Rows that differ from each other in everything, all scored by the first tier."""
    rows = Rows(count, len(NAMES), **more)
    at = np.arange(count)
    rows.partition[:], rows.offset[:] = at % 5, 10_000 + at
    rows.timestamp_ms[:] = 1_700_000_000_000 + at
    rows.arrival_ns[:] = 50_000_000 + 1000 * at
    rows.deadline_ns[:] = 150_000_000
    rows.features_ns[:] = 200_000
    rows.dispatch_ns[:] = rows.arrival_ns + 3_000_000
    rows.score_ns[:] = 900_000
    rows.event_time_ms[:] = 1_522_540_831_000 + at
    rows.id_value[:], rows.id_length[:] = at, -1
    rows.key_length[:] = -1
    rows.outcome[:] = Outcome.SCORED
    rows.serving[:] = 1
    rows.score[:] = 0.5
    return rows


def slots_of(*slots: int) -> NDArray[np.int32]:
    return np.array(slots, np.int32)


def encoded(encoder: DecisionEncoder, rows: Rows, slots: NDArray[np.int32], now_ns: int = 60_000_000) -> NDArray[Any]:
    return encoder.encode(rows, slots, now_ns=now_ns, now_ms=1_700_000_000_250, delivery_ns=2_000_000, partitions=6)
