"""A score by arithmetic on features: what is left when there is no time for a model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.expression import Expressible, compile_expression, run_program


class _Names(Expressible):
    """Feature names as an expression's fields."""

    def __init__(self, where: str, names: Sequence[str]) -> None:
        self._where, self._names = where, list(names)

    def index(self, name: str) -> int:
        if name not in self._names:
            raise ValueError(f"{self._where}: no feature {name!r}; there are {', '.join(self._names)}")
        return self._names.index(name)


class Rule:
    """An expression over feature values, as the expressions of features are over fields.

    Raises ValueError naming `where`, and the feature or the part that is not possible.
    """

    def __init__(self, where: str, expression: str, names: Sequence[str]) -> None:
        self._program = compile_expression(where, expression, _Names(where, names))
        self._floats = np.zeros(len(names))

    def score(self, features64: NDArray[np.float64], slots: NDArray[np.int32], score: NDArray[Any]) -> None:
        """Write score[slot], float32, from features64[slot] for each of the slots."""
        columns = np.ascontiguousarray(features64[slots].T).view(np.int64)
        out = np.empty((len(slots), 1))
        rows = np.arange(len(slots), dtype=np.int32)
        run_program(self._program.steps, self._program.constants, columns, self._floats, rows, out, 0)
        score[slots] = out[:, 0]
