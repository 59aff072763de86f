"""The rows that wait for a batch, earliest deadline first."""

import numpy as np
from numpy.typing import NDArray

from pipeline.batch import NO_ROWS

_NO_NS: NDArray[np.int64] = np.empty(0, np.int64)


class Pending:
    """Slots ordered by deadline, equal ones as they were added. Taking from the front moves nothing.

    `deadline_ns` is the rows' own array: entries of added slots must not change until they are taken. `slots` and
    `due_ns`, a slot's deadline in the same place, are views that hold until the next call.
    """

    def __init__(self, deadline_ns: NDArray[np.int64], *, ordered: bool) -> None:
        self._deadline_ns = deadline_ns
        self._ordered = ordered
        self._added: list[NDArray[np.int32]] = []
        self._added_rows = 0
        self.slots: NDArray[np.int32] = NO_ROWS
        self.due_ns: NDArray[np.int64] = _NO_NS

    def __len__(self) -> int:
        return len(self.slots) + self._added_rows

    def add(self, slots: NDArray[np.int32]) -> None:
        """Take rows in; the array is copied by `settle`."""
        if len(slots):
            self._added.append(slots.copy())
            self._added_rows += len(slots)

    def settle(self) -> None:
        """Put what was added in its place: `slots` and `due_ns` are whole after this."""
        if not self._added:
            return
        slots = np.concatenate((self.slots, *self._added))
        self._added.clear()
        self._added_rows = 0
        due_ns = self._deadline_ns[slots]
        if self._ordered and (due_ns[1:] < due_ns[:-1]).any():
            # Stable means a merge sort over the runs that are there: nearly linear, as rows arrive nearly in order.
            order = np.argsort(due_ns, kind="stable")
            slots, due_ns = slots[order], due_ns[order]
        self.slots, self.due_ns = slots, due_ns

    def before(self, at_ns: int) -> int:
        """How many have a deadline before `at_ns`."""
        return int(np.searchsorted(self.due_ns, at_ns, side="left"))

    def take_first(self, rows: int) -> NDArray[np.int32]:
        """Take the first `rows` out."""
        taken = self.slots[:rows]
        self.slots, self.due_ns = self.slots[rows:], self.due_ns[rows:]
        return taken

    def take_at(self, places: NDArray[np.intp]) -> NDArray[np.int32]:
        """Take out those at `places`, which rise."""
        if len(places) and places[-1] == len(places) - 1:
            return self.take_first(len(places))
        taken = self.slots[places]
        self.slots, self.due_ns = np.delete(self.slots, places), np.delete(self.due_ns, places)
        return taken

    def drop(self, keep: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Take out the slots that are False in `keep`, which is indexed by slot."""
        self.settle()
        return self.take_at(np.flatnonzero(~keep[self.slots]))
