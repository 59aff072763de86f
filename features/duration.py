"""Durations as people write them: "90s", "1d"."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_FORM = re.compile(r"(\d+)\s*([a-z]+)")


def duration_ms(text: Any) -> int:
    """A duration in ms. Raises ValueError that names what was found and the units there are."""
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in UNIT_MS:
        raise ValueError(f'found {text!r}, expected a duration such as "500ms", "90s", "15m", "1h" or "30d"')
    return int(match[1]) * UNIT_MS[match[2]]


DurationMs = Annotated[int, BeforeValidator(duration_ms)]
"""A field that is written as a duration and read as ms."""


def in_words(ms: int) -> str:
    """A duration as people write it, in the largest unit of which it is a whole number: 5_400_000 is "90m"."""
    unit = next(unit for unit, length_ms in reversed(UNIT_MS.items()) if ms % length_ms == 0)
    return f"{ms // UNIT_MS[unit]}{unit}"
