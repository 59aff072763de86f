"""How many rows may be explained now: a share of the time, and never a deadline's. Pure."""

SAVED_NS_MAX = 100_000_000
"""What is not spent is saved up for so long a stretch of the loop's time, in its share of it."""
CALL_ROWS = 2
"""What a call costs beside its rows, in rows."""
LEARNED = 0.1
HASTE = 2
"""A row may take so many times what it took so far, and the deadlines are still kept."""


class ReasonBudget:
    """Rows are bought with time. Times are ns of one monotonic clock and are told.

    `row_ns` is what a row takes, learned from what rows took; it begins at what the warm-up says.
    """

    def __init__(self, share: float, now_ns: int, row_ns: float) -> None:
        self._share = share
        self._saved_ns = share * SAVED_NS_MAX
        self._at_ns = now_ns
        self.row_ns = row_ns

    def rows(self, wanted: int, now_ns: int, until_ns: int) -> int:
        """How many of the wanted rows can be explained now and be done at `until_ns`, within the share."""
        earned_ns = self._share * max(0, now_ns - self._at_ns)
        self._saved_ns = min(self._share * SAVED_NS_MAX, self._saved_ns + earned_ns)
        self._at_ns = max(now_ns, self._at_ns)
        time_ns = min(self._saved_ns, (until_ns - now_ns) / HASTE)
        return max(0, min(wanted, int(time_ns / self.row_ns) - CALL_ROWS))

    def spent(self, rows: int, took_ns: int) -> None:
        """So many rows, at least one, took so long."""
        self._saved_ns -= took_ns
        self.row_ns += LEARNED * (max(1, took_ns) / (rows + CALL_ROWS) - self.row_ns)
