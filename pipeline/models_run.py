"""What a model or a rule was asked about at once, and what that took: what the bill is made of."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.tier import Session


@dataclass(frozen=True, slots=True)
class ModelRun:
    """`serving` ran for these rows: CPU time of the thread that ran it, and how long its session was on a GPU.

    A session of ours has one thread, the caller's (`models.session`), so that is all its CPU time on a CPU provider;
    what CUDA's own threads use is not in it, and part of the rest that all rows share.
    """

    serving: int
    slots: NDArray[np.int32]
    cpu_ns: int
    gpu_ns: int


class DeviceSession:
    """A session on a GPU, and how long it ran there: from handing rows over to having the answers."""

    def __init__(self, session: Session, now_ns: Callable[[], int]) -> None:
        self._session = session
        self._now_ns = now_ns
        self._took_ns = 0

    def run(self, rows: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Score, see `Session`."""
        started_ns = self._now_ns()
        self._session.run(rows, out)
        self._took_ns += self._now_ns() - started_ns

    def take_ns(self) -> int:
        """How long it ran since this was last asked."""
        took_ns, self._took_ns = self._took_ns, 0
        return took_ns
