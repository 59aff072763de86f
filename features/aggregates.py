"""What a window tells: one number from the entries at [low, high) of a key's set."""

from typing import Any

import numpy as np

from features.arena import class_entries
from features.kernel import kernel
from features.labels import count_labels
from features.windows import CLASS, HEAD, SEGMENT, TAIL, TOTALS

COUNT, SUM, MEAN, MIN, MAX, STD, EWMA, TIME_SINCE_LAST, RISK = range(9)
OP, FIELD, FROM_AGE, TO_AGE, COLUMN, HALF_LIFE = range(6)
"""The columns of a window's row in the table of windows; ages are indices into the entity's `ages_ms`."""


@kernel()
def _sum_before(arena: Any, key: Any, field: int, place: int) -> int:
    if place == key[TAIL]:
        return key[TOTALS + field]
    return arena[key[SEGMENT] + (1 + field) * class_entries(key[CLASS]) + place]


@kernel()
def _value(arena: Any, floats: Any, key: Any, field: int, place: int, exact: bool, scale: float) -> float:
    if exact:
        return (_sum_before(arena, key, field, place + 1) - _sum_before(arena, key, field, place)) / scale
    return floats[key[SEGMENT] + (1 + field) * class_entries(key[CLASS]) + place]


@kernel()
def _scan(
    op: int, arena: Any, floats: Any, key: Any, field: int, low: int, high: int, exact: bool, scale: float
) -> float:
    """Aggregates that look at each entry, in the order of the set: the same bits whatever came first."""
    first = _value(arena, floats, key, field, low, exact, scale)
    total, least, most = first, first, first
    for place in range(low + 1, high):
        value = _value(arena, floats, key, field, place, exact, scale)
        total += value
        least = min(least, value)
        most = max(most, value)
    if op == MIN:
        return least
    if op == MAX:
        return most
    count = high - low
    if op == SUM:
        return total
    if op == MEAN:
        return total / count
    mean, squares = total / count, 0.0
    for place in range(low, high):
        deviation = _value(arena, floats, key, field, place, exact, scale) - mean
        squares += deviation * deviation
    return np.sqrt(squares / count)


@kernel()
def _ewma(
    arena: Any,
    floats: Any,
    key: Any,
    field: int,
    low: int,
    high: int,
    exact: bool,
    scale: float,
    now_ms: int,
    half_life_ms: int,
) -> float:
    """The mean with weights halved for each half-life of age."""
    total, weights = 0.0, 0.0
    for place in range(low, high):
        weight = 0.5 ** ((now_ms - arena[key[SEGMENT] + place]) / half_life_ms)
        total += weight * _value(arena, floats, key, field, place, exact, scale)
        weights += weight
    return total / weights


@kernel()
def aggregate(
    arena: Any,
    floats: Any,
    key: Any,
    labels: Any,
    window: Any,
    edges: Any,
    ages_ms: Any,
    time_ms: int,
    exact: Any,
    scales: Any,
) -> float:
    """One window's number at `time_ms`; `floats` is `arena` seen as float64.

    Nothing in the window: counts, sums, means, spreads, extremes and risk are 0, `time_since_last` is -1.
    """
    op, field = window[OP], window[FIELD]
    low, high = max(edges[window[FROM_AGE]], key[HEAD]), edges[window[TO_AGE]]
    count = high - low
    if op == TIME_SINCE_LAST:
        return (time_ms - arena[key[SEGMENT] + high - 2]) / 1000.0 if count > 1 else -1.0
    if count <= 0:
        return 0.0
    if op == COUNT:
        return float(count)
    if op == RISK:
        hits = count_labels(
            labels, key, time_ms - ages_ms[window[FROM_AGE]], time_ms - ages_ms[window[TO_AGE]]
        )
        return hits / count
    if op == EWMA:
        return _ewma(
            arena,
            floats,
            key,
            field,
            low,
            high,
            exact[field],
            scales[field],
            time_ms,
            window[HALF_LIFE],
        )
    if exact[field] and (op == SUM or op == MEAN):
        total = (_sum_before(arena, key, field, high) - _sum_before(arena, key, field, low)) / scales[field]
        return total if op == SUM else total / count
    return _scan(op, arena, floats, key, field, low, high, exact[field], scales[field])
