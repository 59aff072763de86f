"""What a row is looked up in to be explained: tests that make a number of it, and a table by that number.

A leaf's part in a feature's contribution depends on a row only by which of the features on its path the row agrees
with: with d of them there are 2**d cases. A whole tree of few splits has 2**splits cases, and one look-up in place of
one a leaf (Fast TreeSHAP v2, Yang 2021).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.explain_kernel import fill_leaves, join_leaves
from models.trees import LEAF, Trees

SPLITS_JOINED_MAX = 8
"""Of trees with more splits each leaf has a table of its own."""
_Floats = NDArray[np.float64]


class Part(NamedTuple):
    """One feature on the path to a leaf: the interval (low, high] that stays on it, and the share that did.

    The same by the tree's splits, numbered as they are met: left at those in `want` alone, of those in `mask`.
    """

    low: float = -np.inf
    high: float = np.inf
    share: float = 1.0
    mask: int = 0
    want: int = 0


class Path(NamedTuple):
    """A leaf, and the features that it lies behind."""

    value: float
    parts: dict[int, Part]

    @property
    def expected(self) -> float:
        """Its part in what is expected of a row of which nothing is known."""
        return self.value * float(np.prod([part.share for part in self.parts.values()]))


class Group(NamedTuple):
    """Tests (feature, low, high), whose answers are the bits of a case, and the case's numbers by feature."""

    tests: list[tuple[int, float, float]]
    features: list[int]
    table: _Floats
    """float64[2**tests, features]."""


def paths_of(trees: Trees, root: int) -> tuple[list[Path], list[tuple[int, float]]]:
    """All leaves of the tree at `root`, and its splits as (feature, threshold), in the order of their numbers."""
    paths: list[Path] = []
    splits: list[tuple[int, float]] = []
    waiting: list[tuple[int, dict[int, Part]]] = [(root, {})]
    while waiting:
        node, parts = waiting.pop()
        feature = int(trees.feature[node])
        if feature == LEAF:
            paths.append(Path(float(trees.value[node]), parts))
            continue
        bit, threshold, cover = 1 << len(splits), float(trees.threshold[node]), float(trees.cover[node])
        splits.append((feature, threshold))
        left, right = int(trees.left[node]), int(trees.right[node])
        low, high, share, mask, want = parts.get(feature, Part())
        went_right = Part(max(low, threshold), high, share * trees.cover[right] / cover, mask | bit, want)
        went_left = Part(low, min(high, threshold), share * trees.cover[left] / cover, mask | bit, want | bit)
        waiting.append((right, {**parts, feature: went_right}))
        waiting.append((left, {**parts, feature: went_left}))
    return paths, splits


def table_bytes_of(paths: Sequence[Path], splits: Sequence[tuple[int, float]]) -> int:
    """What the tables of a tree take."""
    if len(splits) <= SPLITS_JOINED_MAX:
        return 8 * (len({feature for feature, _ in splits}) << len(splits))
    return 8 * sum(len(path.parts) << len(path.parts) for path in paths)


def groups_of(paths: Sequence[Path], splits: Sequence[tuple[int, float]]) -> list[Group]:
    """The tables of one tree: one for all of it where its splits are few, else one a leaf."""
    paths = [path for path in paths if path.parts]
    if not paths:
        return []
    counts = np.array([len(path.parts) for path in paths], np.int64)
    sizes = counts << counts
    first = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))
    table_at = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)[:-1]))
    table = np.zeros(int(sizes.sum()))
    parts = [part for path in paths for part in path.parts.values()]
    fill_leaves(first, np.array([p.share for p in parts]), np.array([p.value for p in paths]), table_at, table)
    if len(splits) > SPLITS_JOINED_MAX:
        return [
            Group(
                [(feature, part.low, part.high) for feature, part in path.parts.items()],
                list(path.parts),
                table[at : at + size].reshape(-1, len(path.parts)),
            )
            for path, at, size in zip(paths, table_at.tolist(), sizes.tolist(), strict=True)
        ]
    features = sorted({feature for feature, _ in splits})
    column = np.array([features.index(feature) for path in paths for feature in path.parts], np.int64)
    mask, want = (np.array([part[field] for part in parts], np.int64) for field in (3, 4))
    joined = np.zeros((1 << len(splits), len(features)))
    join_leaves(first, mask, want, column, table_at, table, joined)
    return [Group([(feature, -np.inf, threshold) for feature, threshold in splits], features, joined)]
