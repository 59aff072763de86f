"""Panes: windows at a fixed cost a key, for large key counts.

An entity with `panes = N` keeps no events. Its time is cut into panes of one width, the longest span with its delay
divided by N; pane borders are whole multiples of the width since 1970 UTC. Of each pane of a key only the count is
kept, the exact sums of its fields, and the least and greatest value where a feature asks for them.

What a window tells at event time t, the event itself included:

- **without delay**: the current, partial pane and the span / width - 1 panes before it. It begins where
  (t - span, t] does, rounded up to a pane border: less than one pane of the span is missing.
- **with a delay**: the span / width panes that had ended at t - delay or before. Both ends of
  (t - delay - span, t - delay] are rounded down to pane borders, so that nothing younger than the delay is told and
  nothing that partitions may still be behind with.

A pane is not divided: an event that comes out of order sees all that is known of its own pane, dated after it or not.

The ring holds the panes that windows reach at the newest event and at any event up to `lateness` before it (or the
shortest delay, where other partitions feed the entity). An older event is added to its pane as long as the ring holds
that, and what the ring tells depends on the events alone, not on the order they came in. An event older than the ring
is counted late and not inserted; its windows without delay tell of itself alone.
"""

import math
from collections.abc import Sequence

from features.duration import in_words

PANES_MIN, PANES_MAX = 2, 366


def pane_width_ms(where: str, panes: int, windows: Sequence[tuple[int, int]]) -> int:
    """How long a pane is, in ms, when the longest of `windows` (span, delay; in ms) and its delay take `panes`.

    Raises ValueError that names the nearest numbers of panes of which every span and delay is a whole number.
    """
    lengths_ms = sorted({length_ms for window in windows for length_ms in window if length_ms})
    if not lengths_ms:
        raise ValueError(f"{where}: found {panes}, but no feature has a window over this entity; expected one")
    reach_ms = max(span_ms + delay_ms for span_ms, delay_ms in windows)
    common_ms = math.gcd(*lengths_ms)
    fitting = [n for n in range(PANES_MIN, PANES_MAX + 1) if reach_ms % n == 0 and common_ms % (reach_ms // n) == 0]
    if panes in fitting:
        return reach_ms // panes
    declared = ", ".join(in_words(length_ms) for length_ms in lengths_ms)
    near = sorted({*[n for n in fitting if n < panes][-1:], *[n for n in fitting if n > panes][:1]})
    expected = " or ".join(f"{n} (panes of {in_words(reach_ms // n)})" for n in near)
    if not near:
        expected = f"other spans, no number of panes up to {PANES_MAX} does that"
    raise ValueError(
        f"{where}: found {panes}, which does not cut the spans and delays of its windows ({declared}) into whole "
        f"panes; expected {expected}"
    )


def ring_panes(width_ms: int, windows: Sequence[tuple[int, int]], lateness_ms: int) -> int:
    """How many panes a key's ring has: what the windows reach at an event that comes `lateness_ms` late."""
    return 1 + max(panes_back(width_ms, *window)[0] for window in windows) + -(-lateness_ms // width_ms)


def panes_back(width_ms: int, span_ms: int, delay_ms: int) -> tuple[int, int]:
    """A window's first and last pane, counted back from the pane of the event that asks."""
    newest = delay_ms // width_ms + 1 if delay_ms else 0
    return newest + span_ms // width_ms - 1, newest
