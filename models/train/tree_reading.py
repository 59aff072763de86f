"""Trees back out of ONNX: what `onnx_trees` and `onnx_dense` wrote, as the nodes that they were written from."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, helper, numpy_helper

from models.manifest import ModelError
from models.train.onnx_dense import SCALE

Tree = dict[str, Any]
"""As LightGBM dumps one: `split_feature`, `threshold`, `left_child`, `right_child`, or `leaf_value`."""


def trees_of(path: Path) -> list[Tree]:
    """Every tree, in order, its leaves log-odds. Raises ModelError for a file made another way."""
    graph = onnx.load(path).graph
    operators = [node.op_type for node in graph.node]
    if operators == ["TreeEnsembleRegressor", "Sigmoid"]:
        return _walked(graph, path)
    if graph.name == "gradient_boosted_trees_dense":
        return _dense(graph)
    raise ModelError(
        f"{path}: no trees that can be read: expected a model of `headrace train fraud`, or a TreeEnsembleRegressor "
        f"with a Sigmoid behind it; its operators are {', '.join(sorted(set(operators)))}"
    )


def depth_of(tree: Tree) -> int:
    """How many splits the longest way to a leaf has."""
    if "leaf_value" in tree:
        return 0
    return 1 + max(depth_of(tree["left_child"]), depth_of(tree["right_child"]))


def dump_of(trees: list[Tree]) -> dict[str, Any]:
    """As `Booster.dump_model()` has them, which is what is written to ONNX."""
    return {"tree_info": [{"tree_structure": tree} for tree in trees]}


def _walked(graph: GraphProto, path: Path) -> list[Tree]:
    given = {part.name: helper.get_attribute_value(part) for part in graph.node[0].attribute}
    modes = set(given["nodes_modes"])
    if given["n_targets"] != 1 or modes - {b"LEAF", b"BRANCH_LEQ"}:
        told = ", ".join(sorted(mode.decode() for mode in modes))
        raise ModelError(
            f"{path}: {given['n_targets']} targets and nodes {told}; expected 1, LEAF and BRANCH_LEQ alone"
        )
    columns = ("modes", "featureids", "values", "truenodeids", "falsenodeids")
    nodes = {
        (tree, node): row
        for tree, node, *row in zip(
            given["nodes_treeids"],
            given["nodes_nodeids"],
            *(given[f"nodes_{column}"] for column in columns),
            strict=True,
        )
    }
    leaves = dict(
        zip(
            zip(given["target_treeids"], given["target_nodeids"], strict=True),
            given["target_weights"],
            strict=True,
        )
    )
    base = given.get("base_values", [0.0])[0]

    def grown(tree: int, node: int) -> Tree:
        mode, feature, value, left, right = nodes[tree, node]
        if mode == b"LEAF":
            return {"leaf_value": leaves.get((tree, node), 0.0)}
        return _split(feature, value, grown(tree, left), grown(tree, right))

    trees = [grown(tree, 0) for tree in dict.fromkeys(given["nodes_treeids"])]
    return [*trees, {"leaf_value": base}] if base else trees


def _split(feature: int, threshold: float, left: Tree, right: Tree) -> Tree:
    return {
        "split_feature": int(feature),
        "threshold": float(threshold),
        "decision_type": "<=",
        "left_child": left,
        "right_child": right,
    }


def _dense(graph: GraphProto) -> list[Tree]:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    features = constants["split_features"].reshape(7, -1)
    thresholds = constants["thresholds"].reshape(7, -1).astype(np.float64) / SCALE
    sides = {}
    for name in ("low_left", "low_right"):
        left = constants[f"{name}_leaf"].reshape(2, -1)
        sides[name] = left, left + constants[f"{name}_apart"].reshape(2, -1)

    def split(place: int, tree: int, left: Tree, right: Tree) -> Tree:
        return _split(features[place, tree], thresholds[place, tree], left, right)

    def lowest(place: int, tree: int, name: str, half: int) -> Tree:
        values: list[Tree] = [{"leaf_value": float(side[half, tree])} for side in sides[name]]
        return split(place, tree, *values)

    # The order in which `onnx_dense` compares: below the left of the middle, below its right, the middle, the root.
    return [
        split(
            6,
            tree,
            split(4, tree, lowest(0, tree, "low_left", 0), lowest(2, tree, "low_right", 0)),
            split(5, tree, lowest(1, tree, "low_left", 1), lowest(3, tree, "low_right", 1)),
        )
        for tree in range(features.shape[1])
    ]
