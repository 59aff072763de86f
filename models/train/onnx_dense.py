"""From a LightGBM model of shallow trees to ONNX without branches: every split of every tree, for all rows at once.

The perfect tree traversal of Hummingbird (Nakandala et al., OSDI 2020), feature-major: one comparison a split as
`clip(input - threshold, 0, 1)` on numbers scaled by 2**60, then leaves blended upwards, `left + split * (right -
left)`, which is exact since a split is 0 or 1. The processor's vector units do the work, no branch is mispredicted,
and on a GPU nothing falls back to the CPU, where the tree operator has no kernel. It costs some 20 us a batch before
the first row, so it pays from batches of about 64 rows on.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from models.train.onnx_trees import INPUT, IR_VERSION, OPSET, OUTPUT, float32_at_most

DEPTH = 3
SCALE = 2.0**60
"""A power of two, so that scaling is exact; inputs 2**-60 or more above a threshold are on its right."""
THRESHOLD_MAX = float(np.finfo(np.float32).max) / SCALE
_NOWHERE = (0, 0.0)  # the split of a leaf above the lowest level: both of its sides are that leaf


class _PerfectTree:
    """One tree filled up to `DEPTH`: splits by level, left to right, and leaves."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.levels: list[list[tuple[int, float]]] = [[] for _ in range(DEPTH)]
        self.leaves: list[float] = []
        self._add(root, 0)

    def _add(self, node: dict[str, Any], level: int) -> None:
        leaf = "leaf_value" in node
        if level == DEPTH:
            if not leaf:
                raise ValueError(f"a tree deeper than {DEPTH}, which is the most that the dense layout takes")
            self.leaves.append(float(node["leaf_value"]))
            return
        self.levels[level].append(_NOWHERE if leaf else _split(node))
        for side in ("left_child", "right_child"):
            self._add(node if leaf else node[side], level + 1)


def _split(node: dict[str, Any]) -> tuple[int, float]:
    if node["decision_type"] != "<=":
        raise ValueError(f"split of type {node['decision_type']!r}, expected <= alone")
    threshold = float32_at_most(float(node["threshold"]))
    if abs(threshold) >= THRESHOLD_MAX:
        raise ValueError(f"threshold {threshold:g}, expected less than {THRESHOLD_MAX:g} for the dense layout")
    return int(node["split_feature"]), threshold


class _Graph:
    """Nodes and constants under construction; every method returns the name of what it made."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def split(self, source: str, rows: list[int], names: list[str]) -> list[str]:
        sizes = self.constant(f"{source}_rows", np.array(rows, np.int64))
        self.nodes.append(helper.make_node("Split", [source, sizes], names, axis=0))
        return names

    def blend(self, left: str, right: str, by: str, output: str) -> str:
        apart = self.add("Sub", [right, left], f"{output}_apart")
        part = self.add("Mul", [apart, by], f"{output}_part")
        return self.add("Add", [part, left], output)


def _column(values: list[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(-1, 1)


def _compare(graph: _Graph, splits: list[tuple[int, float]]) -> str:
    """float32[splits, rows]: 1 where a row goes right. NaN goes right, as in the tree operator."""
    columns = graph.add("Transpose", [INPUT], "columns", perm=[1, 0])
    missing = graph.add("IsNaN", [columns], "missing")
    present = graph.add("Where", [missing, graph.constant("infinity", np.float32(np.inf)), columns], "present")
    scaled = graph.add("Mul", [present, graph.constant("scale", np.float32(SCALE))], "scaled")
    features = graph.constant("split_features", np.array([feature for feature, _ in splits], np.int64))
    chosen = graph.add("Gather", [scaled, features], "chosen", axis=0)
    thresholds = graph.constant("thresholds", _column([threshold * SCALE for _, threshold in splits]))
    above = graph.add("Sub", [chosen, thresholds], "above")
    zero, one = graph.constant("zero", np.float32(0)), graph.constant("one", np.float32(1))
    return graph.add("Clip", [above, zero, one], "sides")


def trees_to_dense_onnx(dump: dict[str, Any], features: int) -> ModelProto:
    """An ONNX model of `Booster.dump_model()` of a binary objective; input float32[rows, features], output [rows, 1].

    Raises ValueError for trees deeper than `DEPTH` and for splits that are not `<=` (categorical features).
    """
    trees = [_PerfectTree(tree["tree_structure"]) for tree in dump["tree_info"]]
    n, graph = len(trees), _Graph()
    # Below the left of a node of the middle level, below its right, the middle level, the root.
    places = [(2, 0), (2, 2), (2, 1), (2, 3), (1, 0), (1, 1), (0, 0)]
    sides = _compare(graph, [tree.levels[level][place] for level, place in places for tree in trees])
    low_left, low_right, middle, root = graph.split(
        sides, [2 * n, 2 * n, 2 * n, n], ["low_left", "low_right", "middle", "root"]
    )
    blended = []
    for by, first in ((low_left, 0), (low_right, 2)):
        left = _column([tree.leaves[first + half] for half in (0, 4) for tree in trees])
        right = _column([tree.leaves[first + half + 1] for half in (0, 4) for tree in trees])
        part = graph.add("Mul", [by, graph.constant(f"{by}_apart", right - left)], f"{by}_part")
        blended.append(graph.add("Add", [part, graph.constant(f"{by}_leaf", left)], f"{by}_value"))
    halves = graph.split(graph.blend(blended[0], blended[1], middle, "halves"), [n, n], ["left", "right"])
    values = graph.blend(halves[0], halves[1], root, "values")
    summed = graph.add("ReduceSum", [values, graph.constant("trees", np.array([0], np.int64))], "summed", keepdims=0)
    graph.add("Sigmoid", [summed], "probability")
    graph.add("Unsqueeze", ["probability", graph.constant("last", np.array([1], np.int64))], OUTPUT)
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "gradient_boosted_trees_dense",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, features])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="headrace",
    )
