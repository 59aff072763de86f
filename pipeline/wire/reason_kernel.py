"""The reasons of a decision, written as pairs of a name and a number."""

from typing import Any

import numpy as np

from features.kernel import kernel
from features.memory import load_f32, load_i32, store_u8
from pipeline.wire.json_text import write_nth, write_score

_COMMA, _CLOSE_BRACKET = ord(","), ord("]")


@kernel()
def _write_reason(at: int, text: int, starts: Any, first: int, name: int, number: float, begun: bool) -> int:
    if begun:
        store_u8(at, _COMMA)
        at += 1
    else:
        at = write_nth(at, text, starts, first)
    at = write_score(write_nth(at, text, starts, first + 1 + name), number)
    store_u8(at, _CLOSE_BRACKET)
    return at + 1


@kernel()
def write_reasons(
    at: int, text: int, starts: Any, first: int, counts: tuple[int, int], told: tuple[int, int, int], slot: int
) -> int:
    """The reasons whose number is given, in their own order, then what explains the score; nothing where none is.

    Their pieces begin at `first`: how it begins, the reasons, the features. `counts` are how many of both kinds a row
    may have, `told` the addresses of `Rows.reasons`, `explained` and `attributions`.
    """
    reasons, explained = counts
    reasons_at, explained_at, attributions_at = told
    begun = False
    for index in range(reasons):
        number = load_f32(reasons_at + 4 * (reasons * slot + index))
        if not np.isnan(number):
            at = _write_reason(at, text, starts, first, index, number, begun)
            begun = True
    for place in range(explained * slot, explained * (slot + 1)):
        number = load_f32(attributions_at + 4 * place)
        if np.isnan(number):
            break
        name = reasons + load_i32(explained_at + 4 * place)
        at = _write_reason(at, text, starts, first, name, number, begun)
        begun = True
    if begun:
        store_u8(at, _CLOSE_BRACKET)
        at += 1
    return at
