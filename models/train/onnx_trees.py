"""From a LightGBM model to ONNX: one TreeEnsembleRegressor with the logistic at its end, float32[rows, 1] out.

The classifier operators of ONNX give labels and both classes' probabilities, which nobody reads here and every
batch would pay for.
"""

from collections import Counter
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8
INPUT, OUTPUT = "features", "score"


class _Nodes:
    """The flat arrays that the operator wants."""

    def __init__(self) -> None:
        self._nodes_of: Counter[int] = Counter()
        self.tree: list[int] = []
        self.node: list[int] = []
        self.feature: list[int] = []
        self.value: list[float] = []
        self.mode: list[str] = []
        self.left: list[int] = []
        self.right: list[int] = []
        self.leaf_tree: list[int] = []
        self.leaf_node: list[int] = []
        self.leaf_weight: list[float] = []

    def add(self, tree: int, node: dict[str, Any]) -> int:
        """Add a node and what is below it; returns its number in its tree."""
        number = self._nodes_of[tree]
        self._nodes_of[tree] += 1
        self.tree.append(tree)
        self.node.append(number)
        place = len(self.tree) - 1
        leaf = "leaf_value" in node
        self.mode.append("LEAF" if leaf else "BRANCH_LEQ")
        self.feature.append(0 if leaf else int(node["split_feature"]))
        self.value.append(0.0 if leaf else float32_at_most(float(node["threshold"])))
        self.left.append(0)
        self.right.append(0)
        if leaf:
            self.leaf_tree.append(tree)
            self.leaf_node.append(number)
            self.leaf_weight.append(float(node["leaf_value"]))
        else:
            if node["decision_type"] != "<=":
                raise ValueError(f"split of type {node['decision_type']!r}, expected <= alone")
            self.left[place] = self.add(tree, node["left_child"])
            self.right[place] = self.add(tree, node["right_child"])
        return number


def float32_at_most(threshold: float) -> float:
    """The largest float32 not above a threshold: float32 inputs then fall on the same side as in float64."""
    rounded = np.float32(threshold)
    return float(np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > threshold else rounded)


def trees_to_onnx(dump: dict[str, Any], features: int) -> ModelProto:
    """An ONNX model of `Booster.dump_model()` of a binary objective; input float32[rows, features].

    Raises ValueError for splits that are not `<=` (categorical features).
    """
    nodes = _Nodes()
    for number, tree in enumerate(dump["tree_info"]):
        nodes.add(number, tree["tree_structure"])
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        ["log_odds"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=nodes.tree,
        nodes_nodeids=nodes.node,
        nodes_featureids=nodes.feature,
        nodes_values=nodes.value,
        nodes_modes=nodes.mode,
        nodes_truenodeids=nodes.left,
        nodes_falsenodeids=nodes.right,
        nodes_hitrates=[1.0] * len(nodes.tree),
        nodes_missing_value_tracks_true=[0] * len(nodes.tree),
        target_treeids=nodes.leaf_tree,
        target_nodeids=nodes.leaf_node,
        target_ids=[0] * len(nodes.leaf_tree),
        target_weights=nodes.leaf_weight,
    )
    logistic = helper.make_node("Sigmoid", ["log_odds"], [OUTPUT])
    graph = helper.make_graph(
        [ensemble, logistic],
        "gradient_boosted_trees",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="headrace")
