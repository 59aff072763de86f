"""Laws 2, 5 and 6: window state is a set, and a feature is a question to it, with the same bits in any order."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from window_model import Entity, Event

from features.catalog import Catalog
from features.columns import Columns
from features.schema import NUMBER
from features.state import BEYOND, FeatureSet

FIELDS = {
    "id": {"type": "id"},
    "at": {"type": "time"},
    "customer": {"type": "id"},
    "terminal": {"type": "id"},
    "amount": {"type": "decimal", "decimals": 2},
    "weight": {"type": "float"},
}
LABEL_FIELDS = {"id": {"type": "id"}, "at": {"type": "time"}, "terminal": {"type": "id"}, "hit": {"type": "bool"}}
INPUTS = {
    "events": {"topic": "e", "role": "decide", "id": "id", "key": "customer", "event_time": "at", "fields": FIELDS},
    "labels": {"topic": "l", "role": "state", "id": "id", "key": "id", "event_time": "at", "fields": LABEL_FIELDS},
}
LATENESS_MS, DELAY_MS = 6, 10
WINDOWS = {
    "count": ("count", None, 8, 0, None),
    "wide": ("count", None, 15, 0, None),
    "sum": ("sum", "amount", 8, 0, None),
    "mean": ("mean", "amount", 15, 0, None),
    "least": ("min", "amount", 5, 0, None),
    "most": ("max", "weight", 9, 0, None),
    "spread": ("std", "weight", 15, 0, None),
    "exact_spread": ("std", "amount", 15, 0, None),
    "float_sum": ("sum", "weight", 15, 0, None),
    "float_mean": ("mean", "weight", 4, 0, None),
    "ewma": ("ewma", "weight", 12, 0, 3),
    "since": ("time_since_last", None, 12, 0, None),
    "step": ("delta", "amount", 15, 0, None),
    "float_step": ("delta", "weight", 9, 0, None),
    "earlier": ("count", None, 9, 4, None),
    "earlier_ewma": ("ewma", "amount", 9, 4, 2),
    "earlier_since": ("time_since_last", None, 9, 4, None),
    "earlier_step": ("delta", "amount", 9, 4, None),
}
DELAYED = {name: (a, f, span, DELAY_MS, h) for name, (a, f, span, _, h) in WINDOWS.items()} | {
    "risk": ("risk", None, 15, DELAY_MS, None),
    "late_risk": ("risk", None, 8, DELAY_MS + 5, None),
}


def catalog(entity: str, windows: dict) -> Catalog:
    spec = {"key": entity, "lateness": f"{LATENESS_MS}ms", "keys_expected": 1}
    if entity == "terminal":
        spec["labels"] = {"input": "labels", "field": "hit"}
    features = {}
    for name, (aggregate, field, span, delay, half_life) in windows.items():
        feature = {"entity": entity, "aggregate": aggregate, "span": f"{span}ms"}
        feature |= {"field": field} if field else {}
        feature |= {"delay": f"{delay}ms"} if delay else {}
        feature |= {"half_life": f"{half_life}ms"} if half_life else {}
        features[name] = feature
    return Catalog.model_validate({"inputs": INPUTS, "entities": {entity: spec}, "features": features})


LOCAL = FeatureSet(catalog("customer", WINDOWS))
GLOBAL = FeatureSet(catalog("terminal", DELAYED))
KEEP_LOCAL_MS = 15 + LATENESS_MS
KEEP_GLOBAL_MS = DELAY_MS + 5 + 8 + DELAY_MS
FLOATS = st.floats(-1e6, 1e6, allow_nan=False)
EVENT = st.builds(Event, st.integers(0, 120), st.integers(0, 2), st.integers(-(10**6), 10**6), FLOATS)
RISING = st.builds(Event, st.integers(0, 3), st.integers(0, 1), st.integers(-(10**6), 10**6), FLOATS)


def columns_of(features: FeatureSet, events: list, key: str, text: bool = False) -> Columns:
    columns = Columns(features.catalog.decided.schema_, max(1, len(events)))
    index = columns.schema.index
    columns.length[:] = NUMBER
    for row, event in enumerate(events):
        columns.value[index("id"), row] = row
        columns.value[index("at"), row] = event.time_ms
        columns.value[index("amount"), row] = event.units
        columns.floats[index("weight"), row] = event.weight
        columns.value[index(key), row] = event.key
        if text:
            name = np.frombuffer(b"customer-%d" % event.key, np.uint8)
            columns.keep.append(name)
            columns.value[index(key), row], columns.length[index(key), row] = name.ctypes.data, len(name)
    return columns


def answers(features: FeatureSet, events: list, key: str, cuts: int = 7, text: bool = False, state=None):
    columns = columns_of(features, events, key, text)
    out = np.full((len(events), len(features.names)), np.nan)
    state = state or features.new_state(1 << 22)
    late = 0
    for first in range(0, len(events), cuts):
        rows = np.arange(first, min(first + cuts, len(events)), dtype=np.int32)
        partition = np.array([events[row].partition for row in rows], np.int32)
        offset = np.array([events[row].offset for row in rows], np.int64)
        late += state.apply("events", columns, rows, partition, offset, out64=out).late
    return out, late


def same_bits(features: FeatureSet, got: np.ndarray, expected: list) -> None:
    for row, answer in enumerate(expected):
        for column, name in enumerate(features.names):
            assert got[row, column] == answer[name], f"{name} of event {row}: {got[row, column]} != {answer[name]}"


def numbered(events: list) -> list:
    return [Event(e.time_ms, e.key, e.units, e.weight, 0, offset) for offset, e in enumerate(events)]


@settings(max_examples=150)
@given(events=st.lists(EVENT, max_size=70), cuts=st.integers(1, 20), text=st.booleans())
def test_a_partition_in_any_order_is_the_set_that_was_within_lateness(events, cuts, text):
    events = numbered(events)
    model = Entity(WINDOWS, LATENESS_MS, KEEP_LOCAL_MS)
    expected = [model.apply(event) for event in events]
    got, late = answers(LOCAL, events, "customer", cuts, text)
    same_bits(LOCAL, got, expected)
    assert late == model.late


@settings(max_examples=100)
@given(steps=st.lists(RISING, max_size=150), cuts=st.integers(1, 40))
def test_events_in_order_through_many_compactions(steps, cuts):
    times = np.cumsum([step.time_ms for step in steps]).tolist()
    events = numbered([Event(t, s.key, s.units, s.weight) for t, s in zip(times, steps, strict=True)])
    model = Entity(WINDOWS, LATENESS_MS, KEEP_LOCAL_MS)
    got, late = answers(LOCAL, events, "customer", cuts)
    same_bits(LOCAL, got, [model.apply(event) for event in events])
    assert late == 0


def interleaved(steps: list, partitions: list, draw) -> list:
    """Events of several partitions, each in its own order, no partition further behind than the delay."""
    times = np.cumsum([step.time_ms for step in steps]).tolist()
    queues: dict = {}
    for number, (time_ms, step, partition) in enumerate(zip(times, steps, partitions, strict=False)):
        event = Event(time_ms, step.key, step.units, step.weight, partition, number)
        queues.setdefault(partition, []).append(event)
    arrived = []
    while any(queues.values()):
        oldest_ms = min(queue[0].time_ms for queue in queues.values() if queue)
        ready = [p for p, queue in queues.items() if queue and queue[0].time_ms < oldest_ms + DELAY_MS]
        arrived.append(queues[ready[draw.integers(len(ready))]].pop(0))
    return arrived


@settings(max_examples=150)
@given(
    steps=st.lists(RISING, max_size=100),
    partitions=st.lists(st.integers(0, 3), min_size=100, max_size=100),
    seed=st.integers(0, 2**32 - 1),
    labels=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5), st.integers(0, 150), st.booleans()), max_size=12),
)
def test_delayed_windows_have_the_same_bits_however_partitions_interleave(steps, partitions, seed, labels):
    draw = np.random.default_rng(seed)
    arrived = interleaved(steps, partitions, draw)
    ordered = sorted(arrived, key=lambda e: (e.time_ms, e.partition, e.offset))
    model = Entity(DELAYED, DELAY_MS, KEEP_GLOBAL_MS, shared=True)
    state = GLOBAL.new_state(1 << 22)
    put_labels(state, labels)
    for label in labels:
        model.label(*label)
    expected = {event: model.apply(event) for event in ordered}
    got, _ = answers(GLOBAL, arrived, "terminal", int(draw.integers(1, 20)), state=state)
    same_bits(GLOBAL, got, [expected[event] for event in arrived])


def put_labels(state, labels: list) -> None:
    columns = Columns(GLOBAL.catalog.inputs["labels"].schema_, max(1, len(labels)))
    columns.length[:] = NUMBER
    for row, (key, identity, at_ms, hit) in enumerate(labels):
        for name, value in {"id": identity, "at": at_ms, "terminal": key, "hit": hit}.items():
            columns.value[columns.schema.index(name), row] = value
    rows = np.arange(len(labels), dtype=np.int32)
    state.apply("labels", columns, rows, np.zeros(len(labels), np.int32), rows.astype(np.int64))


@settings(max_examples=60)
@given(steps=st.lists(RISING, max_size=60))
def test_a_question_after_a_state_lane_took_the_events_has_the_same_bits(steps):
    times = np.cumsum([step.time_ms for step in steps]).tolist()
    events = numbered([Event(t, s.key, s.units, s.weight) for t, s in zip(times, steps, strict=True)])
    expected, _ = answers(GLOBAL, events, "terminal")
    state, columns = GLOBAL.new_state(1 << 22), columns_of(GLOBAL, events, "terminal")
    out = np.full(expected.shape, np.nan)
    offsets = np.arange(len(events), dtype=np.int64)
    zeros = np.zeros(len(events), np.int32)
    for row in range(len(events)):
        ahead = [later for later in range(len(events)) if taken(events, later, row)]
        rows = np.array(ahead, np.int32)
        state.apply("events", columns, rows, zeros[rows], offsets[rows], update_local=False)
        one = np.array([row], np.int32)
        asked = {"update_local": False, "shared_from": BEYOND, "out64": out}
        state.apply("events", columns, one, zeros[one], offsets[one], **asked)
    assert out.tobytes() == expected.tobytes()


def test_state_without_questions_writes_no_answers(monkeypatch):
    events = numbered([Event(time_ms, time_ms % 2, 5, 1.5) for time_ms in range(64)])
    guarded = np.full((len(events), len(GLOBAL.names)), np.nan)
    monkeypatch.setattr("features.entity._NO_OUT", guarded[:0])
    columns, rows = columns_of(GLOBAL, events, "terminal"), np.arange(len(events), dtype=np.int32)
    GLOBAL.new_state(1 << 22).apply("events", columns, rows, np.zeros_like(rows), rows.astype(np.int64))
    assert np.isnan(guarded).all()


def taken(events: list, later: int, row: int) -> bool:
    """Whether the state lane, which runs ahead by up to the delay, brings an event just before row's question."""
    before_ms = events[row - 1].time_ms + DELAY_MS if row else -1
    return before_ms <= events[later].time_ms < events[row].time_ms + DELAY_MS
