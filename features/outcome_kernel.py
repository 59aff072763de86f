"""The kernel of outcome state: find the row's key, take its score and measures in, answer, row by row.

A key's words lie in one block, as a paned entity's do: its newest event's time, whether it has changed since a
checkpoint wrote it, then what each feature keeps.
"""

from typing import Any

import numpy as np

from features.entity_kernel import DONE, OUT_OF_MEMORY, STOPPED_AT
from features.kernel import kernel
from features.keys import FULL, find_key
from features.memory import load_float, load_word, store_word
from features.paned_kernel import NEWEST, TOUCHED, Ring, block_of

FIRST_WORD = 2
"""The first word of a block that belongs to a feature."""
RATE_ROWS, RATE_SPAN, DRIFT = range(3)
OP, WORD, SIZE, WIDTH_MS, FIELD, COLUMN = range(6)
"The columns of a feature's row: what it is, where its words begin, rows or panes, a pane's length, whence, whereto."
AT_LEAST, HALF_LIFE_MS = 0, 1
"The columns of its parameters."
OF_SCORE = -1
"""In place of a measure's column: the row's score."""
_COUNT, _NEXT, _HITS, _BITS = range(4)
_PANE, _PANES = range(2)
_ROWS, _LAST_MS, _RECENT, _USUAL = range(4)
_HITS_BITS = 32
_ONE_ROW = 1 << _HITS_BITS
_LOW = _ONE_ROW - 1


def words_of(op: int, size: int) -> int:
    """How many words a feature takes of a key's block."""
    return {RATE_ROWS: _BITS + -(-size // 64), RATE_SPAN: _PANES + size, DRIFT: _USUAL + 1}[op]


@kernel()
def _store_float(block: int, word: int, number: float) -> None:
    store_word(block, word, int(np.float64(number).view(np.int64)))


@kernel()
def _rate_of_rows(block: int, word: int, rows: int, hit: int, update: bool) -> Any:
    """The share of hits in a ring of the last rows, one bit a row."""
    count, hits = load_word(block, word + _COUNT), load_word(block, word + _HITS)
    if update:
        place = load_word(block, word + _NEXT)
        bits, bit = word + _BITS + place // 64, int(np.int64(1) << np.int64(place % 64))
        held = load_word(block, bits)
        if count == rows:
            hits -= 1 if held & bit else 0
        else:
            count += 1
        store_word(block, bits, held | bit if hit else held & ~bit)
        hits += hit
        store_word(block, word + _COUNT, count)
        store_word(block, word + _HITS, hits)
        store_word(block, word + _NEXT, place + 1 if place + 1 < rows else 0)
    return hits / count if count else 0.0


@kernel()
def _rate_of_span(block: int, word: int, panes: int, width_ms: int, time_ms: int, hit: int, update: bool) -> Any:
    """The share of hits in the panes that end with the newest; a pane's word is rows << 32 | hits."""
    pane, first = time_ms // width_ms, word + _PANES
    newest = load_word(block, word + _PANE)
    if update and pane > newest:
        for new in range(max(newest, pane - panes) + 1, pane + 1):
            store_word(block, first + new % panes, 0)
        store_word(block, word + _PANE, pane)
        newest = pane
    if update and pane > newest - panes:
        at = first + pane % panes
        store_word(block, at, load_word(block, at) + _ONE_ROW + hit)
    rows = hits = 0
    for index in range(panes):
        held = load_word(block, first + index)
        rows += held >> _HITS_BITS
        hits += held & _LOW
    return hits / rows if rows else 0.0


@kernel()
def _drift(block: int, word: int, rows: int, half_life_ms: float, time_ms: int, number: float, update: bool) -> Any:
    """How far the recent mean lies from the usual one, as a share of that."""
    seen = load_word(block, word + _ROWS)
    recent, usual = load_float(block, word + _RECENT), load_float(block, word + _USUAL)
    if update:
        last_ms = load_word(block, word + _LAST_MS)
        if seen < rows:
            usual += (number - usual) / (seen + 1)
            recent = usual
        else:
            recent += (number - recent) * 2.0 / (rows + 1)
            usual += (number - usual) * (1.0 - 2.0 ** (-max(0, time_ms - last_ms) / half_life_ms))
        seen += 1
        store_word(block, word + _ROWS, seen)
        store_word(block, word + _LAST_MS, max(last_ms, time_ms) if seen > 1 else time_ms)
        _store_float(block, word + _RECENT, recent)
        _store_float(block, word + _USUAL, usual)
    return recent / usual - 1.0 if seen > rows and usual != 0.0 else 0.0


@kernel()
def _answer(block: int, feature: Any, parameters: Any, time_ms: int, number: float, update: bool) -> Any:
    """What one feature says with this row; a number that is none is not taken in."""
    word, size = feature[WORD], feature[SIZE]
    update, hit = update and np.isfinite(number), 1 if number >= parameters[AT_LEAST] else 0
    if feature[OP] == RATE_ROWS:
        return _rate_of_rows(block, word, size, hit, update)
    if feature[OP] == RATE_SPAN:
        return _rate_of_span(block, word, size, feature[WIDTH_MS], time_ms, hit, update)
    return _drift(block, word, size, parameters[HALF_LIFE_MS], time_ms, number, update)


# fmt: off
@kernel(
    "void(int64[:, ::1], int32[:, ::1], int32[::1], boolean[::1], int64[::1], int32[::1], int64[::1], int32[::1],"
    " uint8[::1], int64[::1], int64[:, ::1], float64[:, ::1], int64[::1], float32[::1], float64[:, ::1],"
    " float64[:, ::1], int64[::1])"
)
def apply_outcomes(
    value: Any, length: Any, rows: Any, update: Any, plan: Any, table: Any, keys: Any, lengths: Any, text: Any,
    key_meta: Any, features: Any, parameters: Any, event_time_ms: Any, score: Any, measures: Any, out: Any,
    counts: Any,
) -> None:
    # fmt: on
    """Take scored rows in, in the order of `rows`, and write each feature to out[row, its column].

    plan: [key column, first row, the address of the arena and of its meta, words of a block]. `update` has a cell for
    each of `rows`: False where it is in the state already and only asked for. counts: as `apply_paned_events`.
    """
    ring = Ring(0, 0, 0, 0, FIRST_WORD, plan[4])
    counts[STOPPED_AT] = DONE
    for index in range(plan[1], len(rows)):
        row = rows[index]
        key = find_key(value[plan[0], row], length[plan[0], row], True, table, keys, lengths, text, key_meta)
        block = block_of(key, ring, plan[2], plan[3]) if key != FULL else 0
        if not block:
            counts[STOPPED_AT], counts[OUT_OF_MEMORY] = index, key != FULL
            return
        time_ms = event_time_ms[row]
        for feature in range(len(features)):
            field = features[feature, FIELD]
            number = np.float64(score[row]) if field == OF_SCORE else measures[row, field]
            told = _answer(block, features[feature], parameters[feature], time_ms, number, update[index])
            out[row, features[feature, COLUMN]] = told
        if update[index]:
            store_word(block, NEWEST, max(load_word(block, NEWEST), time_ms))
            store_word(block, TOUCHED, 1)
