"""What a window tells: one number from the entries at [low, high) of a key's set."""

from typing import Any

import numpy as np

from features.arena import class_entries
from features.kernel import kernel
from features.labels import count_labels
from features.memory import load_float, load_word
from features.windows import CLASS, HEAD, SEGMENT, TAIL, TOTALS

COUNT, SUM, MEAN, MIN, MAX, STD, EWMA, TIME_SINCE_LAST, RISK = range(9)
OP, FIELD, FROM_AGE, TO_AGE, COLUMN, HALF_LIFE = range(6)
"The columns of a window's row in the table of windows; ages are indices into the entity's `ages_ms`."


@kernel()
def _sum_before(arena: int, key: int, field: int, place: int) -> int:
    if place == load_word(key, TAIL):
        return load_word(key, TOTALS + field)
    return load_word(arena, load_word(key, SEGMENT) + (1 + field) * class_entries(load_word(key, CLASS)) + place)


@kernel()
def _value(arena: int, key: int, field: int, place: int, exact: bool, scale: float) -> float:
    if exact:
        return (_sum_before(arena, key, field, place + 1) - _sum_before(arena, key, field, place)) / scale
    return load_float(arena, load_word(key, SEGMENT) + (1 + field) * class_entries(load_word(key, CLASS)) + place)


@kernel()
def _scan(op: int, arena: int, key: int, field: int, low: int, high: int, exact: bool, scale: float) -> float:
    """Aggregates that look at each entry, in the order of the set: the same bits whatever came first."""
    first = _value(arena, key, field, low, exact, scale)
    total, least, most = (first, first, first)
    for place in range(low + 1, high):
        value = _value(arena, key, field, place, exact, scale)
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
    mean, squares = (total / count, 0.0)
    for place in range(low, high):
        deviation = _value(arena, key, field, place, exact, scale) - mean
        squares += deviation * deviation
    return np.sqrt(squares / count)


@kernel()
def _ewma(
    arena: int,
    key: int,
    field: int,
    low: int,
    high: int,
    exact: bool,
    scale: float,
    now_ms: int,
    half_life_ms: int,
) -> float:
    """The mean with weights halved for each half-life of age."""
    total, weights = (0.0, 0.0)
    for place in range(low, high):
        weight = 0.5 ** ((now_ms - load_word(arena, load_word(key, SEGMENT) + place)) / half_life_ms)
        total += weight * _value(arena, key, field, place, exact, scale)
        weights += weight
    return total / weights


@kernel()
def answer_windows(
    arena: int,
    key: int,
    labels: int,
    time_ms: int,
    windows: Any,
    edges: Any,
    ages_ms: Any,
    exact: Any,
    scales: Any,
    row: int,
    out: Any,
) -> None:
    """Write every window's number at `time_ms` to out[row, its column].

    Nothing in the window: counts, sums, means, spreads, extremes and risk are 0, `time_since_last` is -1.
    """
    head = load_word(key, HEAD)
    for window in range(len(windows)):
        op, field = windows[window, OP], windows[window, FIELD]
        low, high = max(edges[windows[window, FROM_AGE]], head), edges[windows[window, TO_AGE]]
        count = high - low
        answer = 0.0
        if op == TIME_SINCE_LAST:
            answer = -1.0
            if count > 1:
                answer = (time_ms - load_word(arena, load_word(key, SEGMENT) + high - 2)) / 1000.0
        elif count <= 0:
            answer = 0.0
        elif op == COUNT:
            answer = float(count)
        elif op == RISK:
            after_ms = time_ms - ages_ms[windows[window, FROM_AGE]]
            until_ms = time_ms - ages_ms[windows[window, TO_AGE]]
            answer = count_labels(labels, key, after_ms, until_ms) / count
        elif exact[field] and op in (SUM, MEAN):
            units = _sum_before(arena, key, field, high) - _sum_before(arena, key, field, low)
            answer = units / scales[field] if op == SUM else units / scales[field] / count
        elif op == EWMA:
            half_life_ms = windows[window, HALF_LIFE]
            answer = _ewma(arena, key, field, low, high, exact[field], scales[field], time_ms, half_life_ms)
        else:
            answer = _scan(op, arena, key, field, low, high, exact[field], scales[field])
        out[row, windows[window, COLUMN]] = answer
