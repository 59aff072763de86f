"""When to stop reading and when to go on, so that a full ring is not refilled row by row. Pure."""


class Backpressure:
    """Reading stops when there is no room and goes on when there is room for `resume_rows` in one run.

    Meanwhile the lanes keep what the clients have fetched, within `queued.max.messages.kbytes`; the group's events
    are served on, so a slow model costs no rebalance. `held` counts how often reading stopped.
    """

    def __init__(self, resume_rows: int) -> None:
        self._resume_rows = resume_rows
        self._holding = False
        self.held = 0

    def rows_allowed(self, room_rows: int) -> int:
        """How many rows may be read now that there is room for so many."""
        if self._holding and room_rows < self._resume_rows:
            return 0
        holding = room_rows == 0
        self.held += holding and not self._holding
        self._holding = holding
        return room_rows
