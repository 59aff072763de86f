"""From a LightGBM model to the trees that lie beside it, with how many training rows passed each node."""

from typing import Any

import numpy as np

from models.train.onnx_trees import float32_at_most
from models.trees import LEAF, Trees


def trees_of(dump: dict[str, Any]) -> Trees:
    """The trees of `Booster.dump_model()`. Raises ValueError for splits that are not `<=` (categorical features)."""
    nodes: list[list[float]] = []
    roots = [_add(nodes, tree["tree_structure"]) for tree in dump["tree_info"]]
    feature, threshold, left, right, value, cover = zip(*nodes, strict=True)
    return Trees(
        np.array(roots, np.int32),
        np.array(feature, np.int32),
        np.array(threshold, np.float32),
        np.array(left, np.int32),
        np.array(right, np.int32),
        np.array(value, np.float64),
        np.array(cover, np.float64),
    )


def _add(nodes: list[list[float]], node: dict[str, Any]) -> int:
    """Add a node and what is below it; returns its number."""
    place = len(nodes)
    if "leaf_value" in node:
        nodes.append([LEAF, 0.0, LEAF, LEAF, float(node["leaf_value"]), float(node.get("leaf_count") or 1)])
        return place
    if node["decision_type"] != "<=":
        raise ValueError(f"split of type {node['decision_type']!r}, expected <= alone")
    threshold, cover = float32_at_most(float(node["threshold"])), float(node["internal_count"])
    nodes.append([int(node["split_feature"]), threshold, 0, 0, 0.0, cover])
    nodes[place][2] = _add(nodes, node["left_child"])
    nodes[place][3] = _add(nodes, node["right_child"])
    return place
