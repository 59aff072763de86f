"""Why a tree model scored a row as it did: each feature's exact contribution to the log-odds.

Path-dependent TreeSHAP (Lundberg et al., "From local explanations to global understanding with explainable AI for
trees", 2020): the Shapley values of the game in which a feature that has not joined sends a row down both sides of
its splits, weighed by how many training rows went there. They sum, with `bias`, to the row's log-odds.
"""

import numpy as np
from numpy.typing import NDArray

from models.explain_kernel import contributions, largest
from models.explain_tables import Group, groups_of, paths_of, table_bytes_of
from models.manifest import ModelError
from models.trees import Trees

FEATURES_A_PATH_MAX = 12
TABLE_BYTES_MAX = 64 << 20


class Explainer:
    """Contributions of features to the log-odds of rows. Any thread may call it; nothing of it changes.

    Raises ModelError naming `name` where a leaf lies behind more than FEATURES_A_PATH_MAX features, or the tables
    would be larger than TABLE_BYTES_MAX.
    """

    def __init__(self, trees: Trees, name: str = "trees") -> None:
        groups: list[Group] = []
        self.bias = 0.0
        """The log-odds that is expected of a row of which nothing is known."""
        self.table_bytes = 0
        for root in trees.roots.tolist():
            paths, splits = paths_of(trees, root)
            behind = max(len(path.parts) for path in paths)
            if behind > FEATURES_A_PATH_MAX:
                raise ModelError(
                    f"{name}: a leaf lies behind {behind} features, reasons are told for at most "
                    f"{FEATURES_A_PATH_MAX}: make shallower trees, or do without reasons"
                )
            self.table_bytes += table_bytes_of(paths, splits)
            if self.table_bytes > TABLE_BYTES_MAX:
                raise ModelError(
                    f"{name}: reasons would take tables of more than {TABLE_BYTES_MAX >> 20} MiB: make fewer or "
                    f"shallower trees, or do without reasons"
                )
            self.bias += sum(path.expected for path in paths)
            groups += groups_of(paths, splits)
        tests = np.array([test for group in groups for test in group.tests], np.float64).reshape(-1, 3)
        self._tables = (
            _firsts([len(group.tests) for group in groups]),
            tests[:, 0].astype(np.int32),
            tests[:, 1].astype(np.float32),
            tests[:, 2].astype(np.float32),
            _firsts([len(group.features) for group in groups]),
            np.array([feature for group in groups for feature in group.features], np.int32),
            _firsts([group.table.size for group in groups])[:-1].copy(),
            np.concatenate([np.zeros(0), *(group.table.ravel() for group in groups)]),
        )

    def contributions(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64[rows, features] of float32[rows, features]."""
        out = np.empty(rows.shape, np.float64)
        contributions(rows, *self._tables, out)
        return out

    def largest(
        self,
        slots: NDArray[np.int32],
        rows: NDArray[np.float32],
        features: NDArray[np.int32],
        numbers: NDArray[np.float32],
    ) -> None:
        """Write of each slot of `rows` the largest contributions by absolute value, in that order.

        As many as `features` is wide: `features[slot]` are the columns of `rows`, `numbers[slot]` the contributions,
        NaN where no other feature contributed.
        """
        largest(slots, rows, *self._tables, features, numbers)


def _firsts(counts: list[int]) -> NDArray[np.int64]:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(np.array(counts, np.int64))))
