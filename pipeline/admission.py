"""Which of the waiting rows a tier can serve before their deadlines, the least valuable left out. Pure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel

LEVELS = 256
_SIGN = np.int64(-(2**63))


def levels_of(priority: NDArray[np.float64]) -> NDArray[np.int64]:
    """Priorities as whole numbers of the same order: four to each doubling, so a fifth apart at most counts as equal.

    From the bits of the number, whose order is that of positive floats (IEEE 754), so the unit does not matter.
    NaN counts as the least.
    """
    bits = np.where(np.isnan(priority), -np.inf, priority + 0.0).view(np.int64)
    ordered = np.where(bits < 0, ~(bits ^ _SIGN), bits)
    return ordered >> 50


@kernel("int64(int64[::1], int64[::1], int64, int64, int64, int64[::1], int64[::1], boolean[::1])")
def admit(
    due_ns: Any, level: Any, ready_ns: int, batch_ns: int, batch_rows: int, top: Any, below: Any, admitted: Any
) -> int:
    """Mark the rows that can all be served: as many as can be, and of those the most valuable.

    Rows come by rising `due_ns`; whoever is due at d can be in one of the floor((d - ready_ns) / batch_ns) runs that
    end by then, each of `batch_rows` rows. Jobs of equal length with deadlines are a matroid, so taking rows by
    deadline and giving up the least valuable taken one whenever there are too many is optimal (Lawler, Combinatorial
    Optimization, 1976, section 7). Of equal value the latest is given up. `top` (int64[LEVELS]) and `below`
    (int64[rows]) are room to work in. Returns how many rows are not admitted.
    """
    highest = level[0]
    for row in range(len(due_ns)):
        highest = max(highest, level[row])
    for each in range(len(top)):
        top[each] = -1
    least, taken, left_out = len(top), 0, 0
    for row in range(len(due_ns)):
        admitted[row] = True
        place = max(0, level[row] - highest + len(top) - 1)
        below[row] = top[place]
        top[place] = row
        least = min(least, place)
        taken += 1
        runs = min(max(0, due_ns[row] - ready_ns) // batch_ns, len(due_ns))
        while taken > runs * batch_rows:
            while top[least] < 0:
                least += 1
            admitted[top[least]] = False
            top[least] = below[top[least]]
            taken -= 1
            left_out += 1
    return left_out
