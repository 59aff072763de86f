"""A recurrent model ready to score: a row and what its entity's last event left in, a score and what is left out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import ModelError
from models.repository import ModelEntry
from models.session import CUDA, ModelSession


class RecurrentSession(ModelSession):
    """A session of a model whose manifest has `[state]`; any thread may call `step`. On the CPU alone.

    Raises ModelError naming the file, what was found and what was expected.
    """

    def __init__(
        self,
        entry: ModelEntry,
        *,
        providers: Sequence[str],
        buckets: Sequence[int],
        feature_names: Sequence[str] = (),
        threads: int = 1,
    ) -> None:
        state = entry.manifest.state
        if state is None:
            raise ModelError(f"{entry.path}: its manifest has no [state], expected one of a recurrent model")
        if providers[0] == CUDA:
            raise ModelError(f"{entry.path}: it keeps state between events, found {CUDA}, expected the CPU alone")
        self._state = state
        super().__init__(entry, providers=providers, buckets=buckets, feature_names=feature_names, threads=threads)

    @property
    def state_size(self) -> int:
        """How many float32 an entity's state is."""
        return self._state.size

    def _inputs(self) -> list[str]:
        return [*super()._inputs(), self._state.input]

    def _check_nodes(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        super()._check_nodes(inputs, outputs)
        state = self._state
        if state.output not in outputs:
            raise ModelError(f"{self._where}: its outputs are {', '.join(outputs)}, none is {state.output}")
        self._check_node("input", inputs[state.input], (state.size,))
        self._check_node("output", outputs[state.output], (state.size,))

    def step(
        self,
        rows: NDArray[np.float32],
        state: NDArray[np.float32],
        out: NDArray[np.float32],
        state_next: NDArray[np.float32],
    ) -> None:
        """One event of each of n entities: float32[n, features] and [n, state] into scores [n] and next states.

        Raises ValueError when the model gives another number of either.
        """
        names = [self._output, self._state.output]
        score, following = self._session.run(names, {self._input: rows, self._state.input: state})
        out[:] = score.reshape(out.shape)
        state_next[:] = following.reshape(state_next.shape)

    def run(self, rows: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """As ModelSession's, each row its entity's first event. Raises as `step`, and ModelError without a state."""
        state = np.zeros((len(rows), self.state_size), np.float32)
        following = np.empty_like(state)
        self.step(rows, state, out, following)
        if not np.isfinite(following).all():
            raise ModelError(f"{self._where}: output {self._state.output} is not finite for a first event")


def open_session(
    entry: ModelEntry,
    *,
    providers: Sequence[str],
    buckets: Sequence[int],
    feature_names: Sequence[str] = (),
    threads: int = 1,
) -> ModelSession:
    """The session that the manifest asks for. Raises ModelError as it does."""
    kind = ModelSession if entry.manifest.state is None else RecurrentSession
    return kind(entry, providers=providers, buckets=buckets, feature_names=feature_names, threads=threads)
