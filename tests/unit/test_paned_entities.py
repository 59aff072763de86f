"""Panes: what fits, what a key costs, and what is told to who asks for what they cannot do."""

import ctypes
import mmap
import re
from typing import Any

import numpy as np
import pytest

from features.catalog import Catalog
from features.columns import Columns
from features.memory_bound import StateFullError
from features.paned import PanedPlan
from features.panes import PANES_MAX, PANES_MIN, pane_width_ms, panes_back, ring_panes
from features.schema import NUMBER
from features.state import FeatureSet, FeatureState

DAY_MS = 86_400_000
KEYS, ROWS = 100_000, 1024
TYPES = {
    "id": "id",
    "at": "time",
    "customer": "id",
    "terminal": "id",
    "amount": "float",
    "clicks": "int",
    "hit": "bool",
}
COUNT = {"aggregate": "count", "span": "30d"}


def catalog(panes: Any, *windows: dict[str, Any], **entity: Any) -> Catalog:
    fields = {name: {"type": kind} for name, kind in TYPES.items()}
    events = {"topic": "e", "role": "decide", "id": "id", "key": "customer", "event_time": "at", "fields": fields}
    labels = {"topic": "l", "role": "state", "id": "id", "key": "id", "event_time": "at", "fields": fields}
    features = {f"w{number}": {"entity": "customer", **window} for number, window in enumerate(windows)}
    return Catalog.model_validate(
        {
            "inputs": {"events": events, "labels": labels},
            "entities": {"customer": {"key": "customer", "panes": panes, **entity}},
            "features": {"hour": {"expression": "hour(at)"}} | features,
        }
    )


def plan(*args: Any, **entity: Any) -> PanedPlan:
    found = FeatureSet(catalog(*args, **entity)).entities[0]
    assert isinstance(found, PanedPlan)
    return found


@pytest.mark.parametrize(
    ("panes", "windows", "told"),
    [
        (30, [(30, 0)], 1),
        (60, [(30, 0), (7, 0), (1, 0)], 0.5),
        (37, [(30, 7), (1, 7)], 1),
        (2, [(10, 10)], 10),
    ],
)
def test_the_longest_span_and_its_delay_are_cut_into_panes(panes, windows, told):
    assert pane_width_ms("", panes, [(s * DAY_MS, d * DAY_MS) for s, d in windows]) == told * DAY_MS


@pytest.mark.parametrize(
    ("panes", "windows", "expected"),
    [
        (7, [(30, 0), (1, 0)], "(1d, 30d) into whole panes; expected 30 (panes of 1d)"),
        (45, [(30, 0), (7, 0)], "(7d, 30d) into whole panes; expected 30 (panes of 1d) or 60 (panes of 12h)"),
        (36, [(30, 7), (30, 14)], "(7d, 14d, 30d) into whole panes; expected 44 (panes of 1d)"),
        (366, [(1, 0), (400, 0)], "expected other spans, no number of panes up to 366 does that"),
    ],
)
def test_panes_that_cut_a_span_are_refused_with_the_nearest_that_do_not(panes, windows, expected):
    with pytest.raises(ValueError, match=f"^entities.x.panes: found {panes}, which does not cut") as caught:
        pane_width_ms("entities.x.panes", panes, [(s * DAY_MS, d * DAY_MS) for s, d in windows])
    assert str(caught.value).endswith(expected)


def test_whatever_fits_is_whole_ms_and_reaches_exactly_back_to_the_longest_window():
    span_ms = 7_200_000
    for panes in range(PANES_MIN, PANES_MAX + 1):
        if span_ms % panes:
            with pytest.raises(ValueError, match="does not cut"):
                pane_width_ms("", panes, [(span_ms, 0)])
            continue
        width_ms = pane_width_ms("", panes, [(span_ms, 0)])
        assert width_ms * panes == span_ms
        assert panes_back(width_ms, span_ms, 0) == (panes - 1, 0)
        assert ring_panes(width_ms, [(span_ms, 0)], lateness_ms=1) == panes + 1


@pytest.mark.parametrize(
    ("window", "told"),
    [
        (
            {"aggregate": "std", "field": "clicks"},
            "features.w1.aggregate: found \"std\" over entity 'customer', which",
        ),
        ({"aggregate": "ewma", "field": "clicks", "half_life": "1d"}, "it weighs each event by the event's own age"),
        ({"aggregate": "time_since_last"}, "expected one of count, sum, mean, min, max: it asks for the time of one"),
        ({"aggregate": "risk"}, "labels are kept by event and at no fixed cost"),
        ({"aggregate": "sum", "field": "amount"}, 'features.w1.field: found \'amount\' of type "float" in a "sum"'),
        ({"aggregate": "mean", "field": "amount"}, 'expected an "int" or a "decimal": a sum of floats would depend'),
    ],
)
def test_what_panes_cannot_tell_is_refused_with_the_reason(window, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        catalog(30, COUNT, {"span": "1d", **window})


@pytest.mark.parametrize(
    ("panes", "entity", "told"),
    [
        (1, {}, "greater than or equal to 2"),
        (367, {}, "less than or equal to 366"),
        ("30", {}, "valid integer"),
        (
            30,
            {"key": "terminal", "order": "arrival", "labels": {"input": "labels", "field": "hit"}},
            "panes: found 30 beside `labels`, expected one of",
        ),
    ],
)
def test_panes_that_an_entity_cannot_have_are_refused(panes, entity, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        catalog(panes, COUNT, **entity)


def test_panes_without_a_window_are_refused():
    with pytest.raises(ValueError, match=r"entities.customer.panes: found 30, but no feature has a window"):
        catalog(30)


def fill(state: FeatureState, columns: Columns, keys: int) -> None:
    """One event of each of so many keys."""
    rows = np.arange(ROWS, dtype=np.int32)
    for first in range(0, keys, ROWS):
        columns.value[2, :] = np.arange(first, first + ROWS)
        part = rows[: keys - first]
        state.apply("events", columns, part, np.zeros_like(part), part.astype(np.int64))


def columns_of(state_of: FeatureSet) -> Columns:
    columns = Columns(state_of.catalog.decided.schema_, ROWS)
    columns.length[:] = NUMBER
    return columns


def test_a_key_costs_what_is_stated_however_many_events_it_has():
    clicks = {"field": "clicks", "span": "7d"}
    windows = (COUNT, {"aggregate": "mean", **clicks}, {"aggregate": "max", **clicks})
    features = FeatureSet(catalog(60, *windows, lateness="1h"))
    (stated,) = features.entities
    assert isinstance(stated, PanedPlan)
    assert stated.ring_bytes_a_key == 8 * (4 + 61 * 3)
    state, columns = features.new_state(1 << 30), columns_of(features)
    for day in range(3):
        columns.value[1, :] = day * DAY_MS
        fill(state, columns, KEYS)
    entity = state._local[0]["customer"]
    arena, used = entity._arena, state.used_bytes()["customer"]
    assert state.keys() == {"customer": KEYS}
    assert arena.used_bytes == KEYS * stated.ring_bytes_a_key
    assert (
        KEYS * stated.bytes_a_key < used < KEYS * (stated.bytes_a_key + stated.bytes_a_key - stated.ring_bytes_a_key)
    )
    held = resident_bytes(arena.address, len(arena._map)) / KEYS
    assert stated.ring_bytes_a_key <= held < stated.ring_bytes_a_key * 1.1


def resident_bytes(address: int, size: int) -> int:
    """What the kernel of the system has given to a run of memory."""
    pages = (ctypes.c_ubyte * (size // mmap.PAGESIZE))()
    assert ctypes.CDLL(None).mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), pages) == 0
    return int((np.frombuffer(pages, np.uint8) & 1).sum()) * mmap.PAGESIZE


def test_a_bound_that_is_reached_names_the_entity_every_time():
    features = FeatureSet(catalog(30, COUNT))
    state, columns = features.new_state(1 << 20), columns_of(features)
    with pytest.raises(StateFullError):
        fill(state, columns, 10_000)
    room = state.keys()["customer"] - 1
    for _ in range(2):
        with pytest.raises(StateFullError, match="entity 'customer': its state has reached the bound"):
            fill(state, columns, room + 1)
    fill(state, columns, room)
    assert room * plan(30, COUNT).bytes_a_key < state.used_bytes()["customer"] <= 1 << 20
