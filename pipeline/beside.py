"""A batch whose rows are shared out between the stable version and a candidate: whatever the candidate does, each row
has its score."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.image_rows import Told
from pipeline.rows import Rows

Score = Callable[[NDArray[np.int32]], Told]


@dataclass(frozen=True, slots=True)
class Tried:
    """What a candidate made of its rows of a batch: of `asked`, `slots` have their score from it.

    The others have theirs from the stable version: `not_finite` of them since the candidate gave no finite number,
    all of them when its session raised, as `error` says. `cost_ns` is what `cost_rows` took, 0 when it raised.
    """

    asked: int
    slots: NDArray[np.int32]
    not_finite: int
    error: str | None
    cost_rows: int
    cost_ns: int


def try_candidate(
    score: Score, asked: NDArray[np.int32], rows: Rows, now_ns: Callable[[], int]
) -> tuple[Tried, Told, NDArray[np.int32]]:
    """Score `asked` by the candidate: what came of it, what it told, and the rows left to the stable version."""
    started_ns = now_ns()
    try:
        told = score(asked)
    except Exception as error:  # ONNX Runtime's own exceptions have no common class
        text = (str(error).splitlines() or [""])[0]
        failed = Tried(len(asked), asked[:0], 0, f"{type(error).__name__}: {text}", 0, 0)
        return failed, Told(asked[:0], [], 0, 0), asked
    took_ns = now_ns() - started_ns - told.lost_ns
    finite = np.isfinite(rows.score[told.slots])
    good, bad = told.slots[finite], told.slots[~finite]
    tried = Tried(len(asked), good, len(bad), None, told.cost_rows, took_ns)
    return tried, told._replace(slots=good), bad


def both(first: Told, second: Told) -> Told:
    """Two parts of a batch as one."""
    return Told(
        np.concatenate((first.slots, second.slots)),
        [*first.rejected, *second.rejected],
        first.cost_rows + second.cost_rows,
        first.lost_ns + second.lost_ns,
        first.lookup_ns + second.lookup_ns,
    )
