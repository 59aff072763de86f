"""The trees of a gradient-boosted model as arrays, and the file beside the model that they are read from.

An ONNX graph does not say how many training rows went each way at a split, and reasons are weighed by that.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.manifest import ModelError

TREES_FILE = "trees.json"
TREES_VERSION = 1
LEAF = -1


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    roots: list[int]
    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]
    value: list[float]
    cover: list[float]


@dataclass(frozen=True)
class Trees:
    """Nodes of all trees in one run each: a parent before its children, `roots` the first node of each tree.

    A row goes left at a node when `row[feature] <= threshold`, in float32, and right when not (also where it is NaN).
    `feature` is LEAF at a leaf, whose `value` is added to the log-odds; `cover` is how many training rows passed.
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    cover: NDArray[np.float64]

    def encode(self) -> bytes:
        """The file's contents; the same for the same trees."""
        named = {name: getattr(self, name).tolist() for name in _File.__struct_fields__[1:]}
        return msgspec.json.encode({"v": TREES_VERSION, **named})


def read_trees(path: Path, features: int) -> Trees:
    """Read and check a file of trees over so many features. Raises ModelError naming the file and what is wrong."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError:
        raise ModelError(f"{path}: there are no trees") from None
    except msgspec.DecodeError as error:
        raise ModelError(f"{path}: {error}") from None
    if found.v != TREES_VERSION:
        raise ModelError(f"{path}: version {found.v}, expected {TREES_VERSION}")
    problem = _problem(found, features)
    if problem:
        raise ModelError(f"{path}: {problem}")
    return Trees(
        np.array(found.roots, np.int32),
        np.array(found.feature, np.int32),
        np.array(found.threshold, np.float32),
        np.array(found.left, np.int32),
        np.array(found.right, np.int32),
        np.array(found.value, np.float64),
        np.array(found.cover, np.float64),
    )


def _problem(found: _File, features: int) -> str:
    nodes = len(found.feature)
    arrays = (found.threshold, found.left, found.right, found.value, found.cover)
    if any(len(array) != nodes for array in arrays):
        return f"{nodes} features, but {', '.join(str(len(array)) for array in arrays)} of the other arrays"
    if any(not 0 <= root < nodes for root in found.roots):
        return f"a root outside its {nodes} nodes"
    for node, feature in enumerate(found.feature):
        if not found.cover[node] > 0 or not math.isfinite(found.value[node] + found.cover[node]):
            return f"node {node}: value {found.value[node]} and cover {found.cover[node]}, expected a cover above 0"
        if feature == LEAF:
            continue
        if not 0 <= feature < features:
            return f"node {node}: feature {feature}, the model has {features}"
        if not (node < found.left[node] < nodes and node < found.right[node] < nodes):
            return f"node {node}: children {found.left[node]} and {found.right[node]}, expected nodes after it"
    return ""
