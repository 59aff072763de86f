"""Whatever a row holds, its decision is JSON and says what the row says."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.rows import Outcome
from pipeline.wire.murmur2 import murmur2
from tests.laws.decision_reader import (
    LABELS,
    NAMES,
    PLAIN,
    TIERS,
    WITH_FEATURES,
    decoded,
    encoded,
    key_of,
    new_rows,
    slots_of,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
HOSTILE = st.text(st.sampled_from('"\\\\/\x00\x1f\x7fé😀{[:a')) | st.text()
NEVER_NS = 2**62


@dataclass
class Case:
    identity: int | str
    key: bytes | None
    score: float
    outcome: Outcome
    tier: int
    decision: int
    event_time_ms: int
    partition: int
    offset: int
    features: tuple[float, float]


CASES = st.builds(
    Case,
    identity=st.one_of(INT64, HOSTILE),
    key=st.one_of(st.none(), st.binary(max_size=40)),
    score=st.floats(width=32),
    outcome=st.sampled_from([Outcome.SCORED, Outcome.DEGRADED, Outcome.EXPIRED]),
    tier=st.integers(0, len(TIERS) - 1),
    decision=st.integers(0, len(LABELS) - 1),
    event_time_ms=st.integers(0, 253_402_300_799_999),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    features=st.tuples(st.floats(), st.floats()),
)


def written(cases: list[Case]) -> tuple[Any, list[Any]]:
    """The cases as rows, last slot first, and the owners of their bytes."""
    rows, owners = new_rows(len(cases)), []
    for slot, case in enumerate(cases):
        if isinstance(case.identity, str):
            owners.append(np.frombuffer(case.identity.encode() + b"!", np.uint8))
            rows.id_value[slot], rows.id_length[slot] = owners[-1].ctypes.data, len(owners[-1]) - 1
        else:
            rows.id_value[slot] = case.identity
        if case.key is not None:
            owners.append(np.frombuffer(case.key + b"!", np.uint8))
            rows.key_address[slot], rows.key_length[slot] = owners[-1].ctypes.data, len(case.key)
        rows.score[slot], rows.outcome[slot] = case.score, case.outcome
        rows.serving[slot], rows.decision[slot] = case.tier + 1, case.decision
        rows.event_time_ms[slot] = case.event_time_ms
        rows.partition[slot], rows.offset[slot] = case.partition, case.offset
        rows.features64[slot] = case.features
    return rows, owners


def partition_of(case: Case) -> int:
    if case.key is None:
        return case.partition % 6
    held = np.frombuffer(case.key + b"!", np.uint8)
    return int((murmur2(held.ctypes.data, len(case.key)) & 0x7FFFFFFF) % 6)


def exact_or_null(value: float) -> float | None:
    return value if np.isfinite(value) else None


def check(case: Case, message: Any, slot: int, with_features: bool) -> None:
    read = decoded(message)
    assert (read["v"], read["pipeline"], read["id"]) == (1, "fraud", str(case.identity))
    assert read["outcome"] == case.outcome.name.lower()
    assert read["decision"] == LABELS[case.decision]
    expired = case.outcome is Outcome.EXPIRED
    labels = ("expired", None, None, None) if expired else tuple(TIERS[case.tier])
    assert tuple(read[name] for name in ("tier", "model", "version", "provider")) == labels
    if expired or not np.isfinite(case.score):
        assert read["score"] is None
    else:
        assert read["score"] == pytest.approx(case.score, rel=1e-6, abs=5.1e-7)
    assert read["event_time"] == case.event_time_ms
    assert read["source"] == ["transactions", case.partition, case.offset]
    if with_features:
        assert read["features"] == dict(zip(NAMES, map(exact_or_null, case.features), strict=True))
    else:
        assert "features" not in read
    assert key_of(message) == case.key
    assert (message["partition"], message["_private"]) == (partition_of(case), slot + 1)
    assert (message["err"], message["rkt"], message["offset"]) == (0, 0, 0)


@given(st.lists(CASES, max_size=8), st.booleans())
def test_a_decision_says_what_its_row_says(cases: list[Case], with_features: bool) -> None:
    rows, owners = written(cases)
    slots = slots_of(*reversed(range(len(cases))))
    messages = encoded(WITH_FEATURES if with_features else PLAIN, rows, slots)
    assert len(messages) == len(cases)
    for message, slot in zip(messages, slots.tolist(), strict=True):
        check(cases[slot], message, slot, with_features)
    del owners


@given(st.integers(0, NEVER_NS), st.integers(0, NEVER_NS), st.integers(0, NEVER_NS))
@settings(max_examples=50)
def test_latencies_are_the_spans_between_the_stages(arrival_ns: int, queued_ns: int, rest_ns: int) -> None:
    rows = new_rows(1)
    features_ns, score_ns = queued_ns // 3, rest_ns // 2
    rows.arrival_ns[0], rows.features_ns[0], rows.score_ns[0] = arrival_ns % 10**15, features_ns, score_ns
    rows.dispatch_ns[0] = rows.arrival_ns[0] + features_ns + queued_ns % 10**15
    now_ns = int(rows.dispatch_ns[0]) + rest_ns % 10**15
    (message,) = encoded(PLAIN, rows, slots_of(0), now_ns)
    assert decoded(message)["latency_us"] == {
        "queue": queued_ns % 10**15 // 1000,
        "features": features_ns // 1000,
        "score": score_ns // 1000,
        "total": (now_ns - arrival_ns % 10**15) // 1000,
    }
