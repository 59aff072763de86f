"""How many rows a run takes, by what runs of each size cost and when rows are due. Pure."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.batch import TierCost


def head_rows(sizes: Sequence[int], tier: TierCost, due_ns: NDArray[np.int64], ready_ns: int) -> int:
    """The most rows, from the first on, of a run that ends by the first one's deadline; 0 if none does.

    `due_ns` rises. A run that begins when decisions would be delivered at `ready_ns` is as long as promised.
    """
    fitting = [min(size, len(due_ns)) for size in sizes]
    return max((size for size in fitting if tier.promised_ns(size) <= due_ns[0] - ready_ns), default=0)


def best_size(
    sizes: Sequence[int],
    cost_ns: Callable[[int], int],
    tier: TierCost,
    due_ns: NDArray[np.int64],
    ready_ns: int,
) -> tuple[int, int]:
    """How many rows a run must have to score the most a second in time, and the place of the first that can be in it.

    A run of so many rows is counted on to take `cost_ns(rows)`; rates are of what is expected. (0, 0) if no row can
    be served. Of a batch that must be full and a row with little time left, the row gives way: Nexus (SOSP 2019)
    calls it early drop.
    """
    pending, best_rate, best = len(due_ns), 0.0, (0, 0)
    for bucket in sizes:
        size = min(bucket, pending)
        first = int(np.searchsorted(due_ns, ready_ns + cost_ns(size)))
        rows = min(size, pending - first)
        if rows < size and rows and cost_ns(rows) > due_ns[first] - ready_ns:
            continue  # fewer rows may take longer: a curve need not rise
        if rows and (rate := rows / tier.expected_ns(rows)) > best_rate:
            best_rate, best = rate, (rows, first)
        if size == pending:
            break
    return best
