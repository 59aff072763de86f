"""Laws 2, 5 and 6 for panes: a ring tells of its events alone, whatever order they came in, with the same bits."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from pane_model import PanedEntity
from test_windows import INPUTS, answers, columns_of, interleaved, numbered, same_bits, taken
from window_model import Event

from features.backfill import backfill
from features.catalog import Catalog
from features.state import BEYOND, FeatureSet

LATENESS_MS, DELAY_MS = 6, 10
LOCAL_WINDOWS = {
    "count": ("count", None, 10, 0),
    "whole": ("count", None, 40, 0),
    "one_pane": ("sum", "amount", 5, 0),
    "sum": ("sum", "amount", 10, 0),
    "mean": ("mean", "amount", 40, 0),
    "least": ("min", "amount", 15, 0),
    "least_weight": ("min", "weight", 40, 0),
    "most": ("max", "amount", 20, 0),
    "most_weight": ("max", "weight", 25, 0),
    "earlier": ("count", None, 15, 5),
    "earlier_sum": ("sum", "amount", 20, 20),
    "earlier_least": ("min", "weight", 20, 15),
}
LOCAL_PANES, LOCAL_WIDTH_MS, LOCAL_KEPT_MS = 8, 5, 55  # 40 of the windows, one pane for the delay, two for lateness
GLOBAL_WINDOWS = {
    "count": ("count", None, 5, DELAY_MS),
    "sum": ("sum", "amount", 20, DELAY_MS),
    "mean": ("mean", "amount", 10, DELAY_MS + 5),
    "least": ("min", "weight", 20, DELAY_MS),
    "most": ("max", "amount", 5, DELAY_MS + 10),
}
GLOBAL_PANES, GLOBAL_WIDTH_MS, GLOBAL_KEPT_MS = 6, 5, 45  # 30, one pane for the delay, two for what may be behind


def catalog(entity: str, windows: dict, panes: int) -> Catalog:
    spec = {"key": entity, "lateness": f"{LATENESS_MS}ms", "keys_expected": 1, "panes": panes}
    features = {}
    for name, (aggregate, field, span, delay) in windows.items():
        feature = {"entity": entity, "aggregate": aggregate, "span": f"{span}ms"}
        feature |= {"field": field} if field else {}
        feature |= {"delay": f"{delay}ms"} if delay else {}
        features[name] = feature
    return Catalog.model_validate({"inputs": INPUTS, "entities": {entity: spec}, "features": features})


LOCAL = FeatureSet(catalog("customer", LOCAL_WINDOWS, LOCAL_PANES))
GLOBAL = FeatureSet(catalog("terminal", GLOBAL_WINDOWS, GLOBAL_PANES))
FLOATS = st.sampled_from([0.0, -0.0]) | st.floats(-1e6, 1e6)
UNITS = st.integers(-(10**6), 10**6)
EVENT = st.builds(Event, st.integers(-60, 120), st.integers(0, 2), UNITS, FLOATS)
RISING = st.builds(Event, st.integers(0, 4), st.integers(0, 1), UNITS, FLOATS)
LEAPING = st.builds(Event, st.sampled_from([0, 1, 4, 9, 54, 55, 56, 500]), st.integers(0, 1), UNITS, FLOATS)


def local_model() -> PanedEntity:
    return PanedEntity(LOCAL_WINDOWS, LOCAL_WIDTH_MS, LOCAL_KEPT_MS)


def rising(steps: list) -> list:
    times = np.cumsum([step.time_ms for step in steps]).tolist()
    return numbered([Event(t, s.key, s.units, s.weight) for t, s in zip(times, steps, strict=True)])


def backfilled(features: FeatureSet, events: list, key: str) -> np.ndarray:
    """The features of a file that has the events in this order."""
    keys, zeros = [event.key for event in events], [0] * len(events)
    columns = {
        "id": list(range(len(events))),
        "at": [event.time_ms for event in events],
        "customer": keys if key == "customer" else zeros,
        "terminal": keys if key == "terminal" else zeros,
        "amount": [event.units / 100 for event in events],
        "weight": [event.weight for event in events],
    }
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    batches = list(backfill(features.catalog, {"events": table.to_batches(max_chunksize=16)}, 1 << 22))
    cells = [np.concatenate([batch.column(name).to_numpy() for batch in batches]) for name in features.names]
    return np.stack(cells, axis=1)


@settings(max_examples=150)
@given(events=st.lists(EVENT, max_size=70), cuts=st.integers(1, 20), text=st.booleans())
def test_events_in_any_order_enter_the_panes_that_the_ring_holds(events, cuts, text):
    events = numbered(events)
    model = local_model()
    expected = [model.apply(event) for event in events]
    got, late = answers(LOCAL, events, "customer", cuts, text)
    same_bits(LOCAL, got, expected)
    assert late == model.late


@settings(max_examples=100)
@given(steps=st.lists(RISING | LEAPING, max_size=150), cuts=st.integers(1, 40))
def test_events_in_order_through_many_turns_of_the_ring(steps, cuts):
    events = rising(steps)
    model = local_model()
    got, late = answers(LOCAL, events, "customer", cuts)
    same_bits(LOCAL, got, [model.apply(event) for event in events])
    assert late == 0


@settings(max_examples=100)
@given(events=st.lists(EVENT, min_size=1, max_size=60), data=st.data())
def test_what_a_ring_tells_depends_on_no_order_of_arrival(events, data):
    events = numbered(events)
    model = local_model()
    for event in events:
        model.apply(event)
    first, second = (asked(events, order) for order in (events, data.draw(st.permutations(events))))
    same_bits(LOCAL, first, [model.ask(event) for event in events])
    assert first.tobytes() == second.tobytes()


def asked(events: list, order: list) -> np.ndarray:
    """What every event's windows tell once all have come in an order."""
    state = LOCAL.new_state(1 << 22)
    answers(LOCAL, order, "customer", state=state)
    out, rows = np.full((len(events), len(LOCAL.names)), np.nan), np.arange(len(events), dtype=np.int32)
    columns = columns_of(LOCAL, events, "customer")
    question = {"update_local": False, "shared_from": BEYOND, "out64": out}
    state.apply("events", columns, rows, np.zeros_like(rows), rows.astype(np.int64), **question)
    return out


@settings(max_examples=50)
@given(events=st.lists(EVENT, min_size=1, max_size=60), cuts=st.integers(1, 20))
def test_a_file_has_the_bits_of_the_stream(events, cuts):
    events = numbered(events)
    got, _ = answers(LOCAL, events, "customer", cuts)
    assert got.tobytes() == backfilled(LOCAL, events, "customer").tobytes()


@settings(max_examples=100)
@given(
    steps=st.lists(RISING, min_size=1, max_size=100),
    partitions=st.lists(st.integers(0, 3), min_size=100, max_size=100),
    seed=st.integers(0, 2**32 - 1),
)
def test_delayed_panes_have_the_file_s_bits_however_partitions_interleave(steps, partitions, seed):
    draw = np.random.default_rng(seed)
    arrived = interleaved(steps, partitions, draw)
    ordered = sorted(arrived, key=lambda e: (e.time_ms, e.partition, e.offset))
    model = PanedEntity(GLOBAL_WINDOWS, GLOBAL_WIDTH_MS, GLOBAL_KEPT_MS)
    expected = backfilled(GLOBAL, ordered, "terminal")
    same_bits(GLOBAL, expected, [model.apply(event) for event in ordered])
    got, _ = answers(GLOBAL, arrived, "terminal", int(draw.integers(1, 20)))
    assert got.tobytes() == expected[[ordered.index(event) for event in arrived]].tobytes()


@settings(max_examples=60)
@given(steps=st.lists(RISING, max_size=60))
def test_a_question_after_a_state_lane_took_the_events_has_the_same_bits(steps):
    events = rising(steps)
    expected, _ = answers(GLOBAL, events, "terminal")
    state, columns = GLOBAL.new_state(1 << 22), columns_of(GLOBAL, events, "terminal")
    out, zeros = np.full(expected.shape, np.nan), np.zeros(len(events), np.int32)
    offsets = np.arange(len(events), dtype=np.int64)
    for row in range(len(events)):
        rows = np.array([later for later in range(len(events)) if taken(events, later, row)], np.int32)
        state.apply("events", columns, rows, zeros[rows], offsets[rows], update_local=False)
        one = np.array([row], np.int32)
        question = {"update_local": False, "shared_from": BEYOND, "out64": out}
        state.apply("events", columns, one, zeros[one], offsets[one], **question)
    assert out.tobytes() == expected.tobytes()
