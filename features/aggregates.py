"""What a window tells: one number from the entries at [low, high) of a key's set."""

from typing import Any

import numpy as np

from features.kernel import kernel
from features.labels import count_labels
from features.memory import load_float, load_word
from features.windows import NEWEST, SEGMENT, TAIL, TOTALS

COUNT, SUM, MEAN, MIN, MAX, STD, EWMA, TIME_SINCE_LAST, RISK, DELTA, BEHIND = range(11)
OP, FIELD, FROM_AGE, TO_AGE, COLUMN, HALF_LIFE = range(6)
"The columns of a window's row in the table of windows; ages are indices into the entity's `ages_ms`."


@kernel()
def _sum_before(arena: int, key: int, words: int, field: int, place: int) -> int:
    if place == load_word(key, TAIL):
        return load_word(key, TOTALS + field)
    return load_word(arena, load_word(key, SEGMENT) + place * words + 1 + field)


@kernel()
def _value(arena: int, key: int, words: int, field: int, place: int, exact: bool, scale: float) -> float:
    if exact:
        return (
            _sum_before(arena, key, words, field, place + 1) - _sum_before(arena, key, words, field, place)
        ) / scale
    return float(load_float(arena, load_word(key, SEGMENT) + place * words + 1 + field))


@kernel()
def _scan(
    op: int, arena: int, key: int, words: int, field: int, low: int, high: int, exact: bool, scale: float
) -> Any:
    """Aggregates that look at each entry, in the order of the set: the same bits whatever came first."""
    first = _value(arena, key, words, field, low, exact, scale)
    total, least, most = (first, first, first)
    for place in range(low + 1, high):
        value = _value(arena, key, words, field, place, exact, scale)
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
        deviation = _value(arena, key, words, field, place, exact, scale) - mean
        squares += deviation * deviation
    return np.sqrt(squares / count)


@kernel()
def _ewma(
    arena: int,
    key: int,
    words: int,
    field: int,
    low: int,
    high: int,
    exact: bool,
    scale: float,
    half_life_ms: int,
) -> float:
    """The mean with weights halved for each half-life of age.

    Ages count from the window's newest entry: the ratio is the same, and old windows do not vanish to 0 / 0.
    """
    total, weights = (0.0, 0.0)
    times = load_word(key, SEGMENT)
    newest_ms = load_word(arena, times + (high - 1) * words)
    for place in range(low, high):
        weight = 0.5 ** ((newest_ms - load_word(arena, times + place * words)) / half_life_ms)
        total += weight * _value(arena, key, words, field, place, exact, scale)
        weights += weight
    return total / weights


@kernel()
def answer_windows(
    arena: int,
    key: int,
    words: int,
    labels: int,
    time_ms: int,
    floor: int,
    floor_ms: int,
    windows: Any,
    edges: Any,
    ages_ms: Any,
    exact: Any,
    scales: Any,
    row: int,
    out: Any,
) -> None:
    """Write every window's number at `time_ms` to out[row, its column].

    Entries below the place `floor`, and labels of events up to `floor_ms`, are no longer kept and do not count,
    whether or not their memory was taken back yet. A risk is a share: hits beyond the window's events (labels of
    events that never came) do not count. `delta` is the window's last value less the one before it; `behind` is how
    far the newest event taken in so far is ahead, which the order of arrival decides.

    Nothing in the window: counts, sums, means, spreads, extremes, deltas and risk are 0, `time_since_last` is -1.
    """
    for window in range(len(windows)):
        op, field = windows[window, OP], windows[window, FIELD]
        low, high = max(edges[windows[window, FROM_AGE]], floor), edges[windows[window, TO_AGE]]
        count = high - low
        answer = 0.0
        if op == TIME_SINCE_LAST:
            # the last entry of a window without delay is the event itself
            answer, last = -1.0, 1 if ages_ms[windows[window, TO_AGE]] > 0 else 2
            if count >= last:
                answer = (time_ms - load_word(arena, load_word(key, SEGMENT) + (high - last) * words)) / 1000.0
        elif op == BEHIND:
            answer = (load_word(key, NEWEST) - time_ms) / 1000.0
        elif count <= 0:
            answer = 0.0
        elif op == COUNT:
            answer = float(count)
        elif op == DELTA:
            if count > 1:
                answer = _value(arena, key, words, field, high - 1, exact[field], scales[field])
                answer -= _value(arena, key, words, field, high - 2, exact[field], scales[field])
        elif op == RISK:
            after_ms = max(time_ms - ages_ms[windows[window, FROM_AGE]], floor_ms)
            until_ms = time_ms - ages_ms[windows[window, TO_AGE]]
            answer = min(max(count_labels(labels, key, after_ms, until_ms), 0), count) / count
        elif exact[field] and op in (SUM, MEAN):
            units = _sum_before(arena, key, words, field, high) - _sum_before(arena, key, words, field, low)
            answer = units / scales[field] if op == SUM else units / scales[field] / count
        elif op == EWMA:
            half_life_ms = windows[window, HALF_LIFE]
            answer = _ewma(arena, key, words, field, low, high, exact[field], scales[field], half_life_ms)
        else:
            answer = _scan(op, arena, key, words, field, low, high, exact[field], scales[field])
        out[row, windows[window, COLUMN]] = answer
