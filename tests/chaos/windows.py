"""The fraud pipeline's features from the input records alone, in NumPy; nothing here is the product's."""

from typing import Any

import numpy as np

DAY_MS = 86_400_000
DELAY_MS = 7 * DAY_MS
SPANS = (1, 7, 30)
NAMES = (
    "amount",
    "weekend",
    "night",
    *(f"customer_{what}_{days}d" for days in SPANS for what in ("count", "mean")),
    *(f"terminal_{what}_{days}d" for days in SPANS for what in ("count", "risk")),
)
MARGIN_MS = 60 * DAY_MS
"""Room below a key's first time for a window that begins before it."""


class Line:
    """(key, time) pairs on one line, so that a search over all keys is one search."""

    def __init__(self, key: Any, time_ms: Any, zero_ms: int, stride_ms: int) -> None:
        self._zero_ms, self._stride_ms = zero_ms, stride_ms
        self.order = np.argsort(self._place(key, time_ms), kind="stable")
        self._places = self._place(key, time_ms)[self.order]

    def _place(self, key: Any, time_ms: Any) -> Any:
        return key * self._stride_ms + (time_ms - self._zero_ms)

    def up_to(self, key: Any, time_ms: Any) -> Any:
        """How many pairs, of all keys in order, lie at or before (key, time)."""
        return np.searchsorted(self._places, self._place(key, time_ms), side="right")

    def rank(self) -> Any:
        """For each pair how many lie at or before it, those of the same time in the order they were given."""
        ranks = np.empty(len(self.order), np.int64)
        ranks[self.order] = np.arange(1, len(self.order) + 1)
        return ranks


def features_of(events: dict[str, Any], labels: dict[str, Any]) -> Any:
    """float64[events, features]; `events` in the order of each partition, `labels` the last word on each event."""
    time_ms, cents = events["time_ms"], events["cents"]
    zero_ms = int(time_ms.min()) - MARGIN_MS
    stride_ms = int(time_ms.max()) - zero_ms + DAY_MS
    customer = Line(events["customer"], time_ms, zero_ms, stride_ms)
    terminal = Line(events["terminal"], time_ms, zero_ms, stride_ms)
    hits = Line(labels["terminal"], labels["time_ms"], zero_ms, stride_ms)
    spent = np.concatenate(([0], np.cumsum(cents[customer.order])))
    found = {
        "amount": cents / 100,
        "weekend": ((time_ms // DAY_MS + 3) % 7 >= 5).astype(np.float64),
        "night": (time_ms % DAY_MS // 3_600_000 <= 6).astype(np.float64),
    }
    own, until_ms = customer.rank(), time_ms - DELAY_MS
    known = terminal.up_to(events["terminal"], until_ms)
    frauds = hits.up_to(events["terminal"], until_ms)
    for days in SPANS:
        before = customer.up_to(events["customer"], time_ms - days * DAY_MS)
        found[f"customer_count_{days}d"] = own - before
        found[f"customer_mean_{days}d"] = (spent[own] - spent[before]) / 100 / (own - before)
        after_ms = until_ms - days * DAY_MS
        count = known - terminal.up_to(events["terminal"], after_ms)
        hit = np.minimum(frauds - hits.up_to(events["terminal"], after_ms), count)
        found[f"terminal_count_{days}d"] = count
        found[f"terminal_risk_{days}d"] = hit / np.maximum(count, 1)
    return np.stack([found[name].astype(np.float64) for name in NAMES], axis=1)
