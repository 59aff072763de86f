"""`memory_bytes_max` is one bound for all entities and partitions together, and what it cuts short it says."""

import mmap
from typing import Any

import numpy as np
import pytest

import features.arena
from features.catalog import Catalog
from features.columns import Columns
from features.memory_bound import Holding, MemoryBound, StateFullError
from features.schema import NUMBER
from features.state import FeatureSet, FeatureState

MIB = 1 << 20
TYPES = {"id": "id", "at": "time", "customer": "id", "terminal": "id", "amount": "int", "hit": "bool"}
FIELDS = {name: {"type": kind} for name, kind in TYPES.items()}
EVENTS = {"topic": "e", "role": "decide", "id": "id", "key": "customer", "event_time": "at", "fields": FIELDS}
LABELS = {"topic": "l", "role": "state", "id": "id", "key": "id", "event_time": "at", "fields": FIELDS}
WEEK = {"span": "7d"}
SET = FeatureSet(
    Catalog.model_validate(
        {
            "inputs": {"events": EVENTS, "labels": LABELS},
            "entities": {
                "customer": {"key": "customer", "lateness": "1m", "keys_expected": 1},
                "paned": {"key": "customer", "lateness": "1m", "keys_expected": 1, "panes": 7},
                "terminal": {
                    "key": "terminal",
                    "keys_expected": 1,
                    "labels": {"input": "labels", "field": "hit"},
                },
            },
            "features": {
                "mean": {"entity": "customer", "aggregate": "mean", "field": "amount", **WEEK},
                "spread": {"entity": "customer", "aggregate": "std", "field": "amount", **WEEK},
                "panes": {"entity": "paned", "aggregate": "sum", "field": "amount", **WEEK},
                "risk": {"entity": "terminal", "aggregate": "risk", "delay": "1h", **WEEK},
            },
        }
    )
)
ROWS = 4096


def columns_of(input_name: str, seed: int = 0, keys: int = 50) -> Columns:
    """Events an instant apart, every tenth of them late."""
    columns = Columns(SET.catalog.inputs[input_name].schema_, ROWS)
    columns.length[:] = NUMBER
    draw = np.random.default_rng(seed)
    for name in ("customer", "terminal", "amount", "hit"):
        columns.value[columns.schema.index(name)] = draw.integers(0, 2 if name == "hit" else keys, ROWS)
    columns.value[columns.schema.index("id")] = np.arange(ROWS)
    late_ms = np.where(draw.random(ROWS) < 0.1, draw.integers(0, 180_000, ROWS), 0)
    columns.value[columns.schema.index("at")] = 10**9 + np.arange(ROWS) * 1000 - late_ms
    return columns


def apply(
    state: FeatureState, columns: Columns, input_name: str = "events", slice_id: int = 0, out: Any = None
) -> Any:
    rows = np.arange(ROWS, dtype=np.int32)
    zeros = np.zeros_like(rows)
    return state.apply(input_name, columns, rows, zeros, rows.astype(np.int64), slice_id=slice_id, out64=out)


def test_room_made_in_the_middle_of_a_batch_changes_no_answer_and_counts_nothing_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = []
    for ahead_bytes in (features.arena.PREFAULT_BYTES, mmap.PAGESIZE):
        monkeypatch.setattr("features.arena.PREFAULT_BYTES", ahead_bytes)
        state, out = SET.new_state(64 * MIB), np.full((ROWS, len(SET.names)), np.nan)
        counts = [apply(state, columns_of("labels"), "labels"), apply(state, columns_of("events"), out=out)]
        counts.append(apply(state, columns_of("labels", seed=1), "labels"))
        told.append((out.tobytes(), counts, state.keys()))
        assert state.used_bytes()["terminal"] > 20 * mmap.PAGESIZE, "nothing grew"
    assert told[0] == told[1]
    assert told[0][1][1].late > 0
    assert told[0][1][2].disordered > 0


def test_the_bound_is_for_all_entities_and_partitions_together() -> None:
    bytes_max = 8 * MIB
    state, columns = SET.new_state(bytes_max), columns_of("events", keys=3000)
    slices = iter(range(100))
    with pytest.raises(StateFullError, match=rf"entity '\w+': .* memory_bytes_max = {bytes_max} is for all"):
        all(apply(state, columns, slice_id=slice_id) for slice_id in slices)
    assert next(slices) > 3, "one partition alone reached it"
    used = sum(state.used_bytes().values())
    assert bytes_max // 2 < used <= bytes_max


def test_a_partition_that_is_given_up_leaves_its_memory_to_others() -> None:
    state, columns = SET.new_state(8 * MIB), columns_of("events", keys=3000)
    for slice_id in range(100):
        apply(state, columns, slice_id=slice_id)
        state.drop_slice(slice_id)
    assert list(state.keys()) == ["terminal"]


def test_a_bound_too_small_to_begin_with_is_said_at_once() -> None:
    with pytest.raises(StateFullError, match=r"entity 'terminal': .* with 0 keys: memory_bytes_max = 1000"):
        SET.new_state(1000)


def test_what_a_holding_took_it_gives_back_once() -> None:
    bound = MemoryBound(100)
    one, other = Holding("one", bound), Holding("other", bound)
    assert one.take(60)
    assert not other.take(41)
    assert other.take(40)
    assert bound.left_bytes == 0
    one.give_back()
    one.give_back()
    assert bound.left_bytes == 60
    assert other.take(60)


def test_labels_without_end_reach_the_bound_too() -> None:
    state = SET.new_state(4 * MIB)
    batches = (columns_of("labels", seed=seed) for seed in range(1000))
    with pytest.raises(StateFullError, match="entity 'terminal': its state has reached the bound"):
        all(apply(state, fresh_ids(columns, number), "labels") for number, columns in enumerate(batches))


def fresh_ids(columns: Columns, batch: int) -> Columns:
    """Labels of events that no batch before had, all of them hits."""
    columns.value[columns.schema.index("id")] += batch * ROWS
    columns.value[columns.schema.index("hit")] = 1
    return columns
