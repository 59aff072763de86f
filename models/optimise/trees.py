"""Variants of boosted trees: laid out another way, cut to the first of them, or taught to fewer or shallower ones."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import ModelError
from models.optimise.made import Variant, not_made
from models.train.onnx_dense import DEPTH, trees_to_dense_onnx
from models.train.onnx_trees import trees_to_onnx
from models.train.tree_reading import Tree, depth_of, dump_of, trees_of

FEWER = (0.75, 0.5, 0.25, 0.1)
TAUGHT = ((0.5, 0), (0.2, 0), (0.5, 1))
"""What share of the trees, and how much shallower."""
WALKED_TREES_MAX = 60
"""So many are cheaper to walk than to unroll, in batches of up to a few hundred rows."""
STUDENT: dict[str, Any] = {
    "objective": "regression",
    "max_bin": 4095,
    "min_data_in_leaf": 20,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}


def tree_variants(
    model: Path, folder: Path, learnt: NDArray[np.float32], scores: NDArray[np.float32], seed: int
) -> list[Variant]:
    """All that can be had of a model of trees, written under `folder`; none of a model of another kind.

    `learnt` are float32[rows, features] to teach from, without labels: what is taught is the model's own answers to
    them, `scores`.
    """
    try:
        trees = trees_of(model)
    except ModelError:
        return []
    features, depth, count = learnt.shape[1], max(map(depth_of, trees)), len(trees)
    variants = [_laid_out(trees, features, folder, dense) for dense in (False, True)]
    for share in FEWER:
        kept = max(1, round(count * share))
        how = f"the first {kept} of {count} trees"
        variants.append(_written(f"trees-{kept}", how, trees[:kept], features, folder))
    for share, shallower in TAUGHT:
        kept, deep = max(1, round(count * share)), max(1, depth - shallower)
        name, how = f"taught-{kept}x{deep}", f"{kept} trees of depth {deep}, taught the model's own log-odds"
        try:
            taught = _taught(learnt, scores, kept, deep, seed)
        except ModuleNotFoundError as error:
            variants.append(not_made(name, how, f"{error.name} is not installed: pip install 'headrace[train]'"))
        else:
            variants.append(_written(name, how, taught, features, folder))
    return variants


def _laid_out(trees: list[Tree], features: int, folder: Path, dense: bool) -> Variant:
    name, how = ("unrolled", "all splits at once") if dense else ("walked", "the tree operator")
    if dense and (deep := max(map(depth_of, trees))) > DEPTH:
        return not_made(name, how, f"its trees are {deep} deep, {DEPTH} is the most")
    return _written(name, how, trees, features, folder, dense)


def _written(
    name: str, how: str, trees: list[Tree], features: int, folder: Path, dense: bool | None = None
) -> Variant:
    if dense is None:
        dense = len(trees) > WALKED_TREES_MAX and max(map(depth_of, trees)) <= DEPTH
    made = (trees_to_dense_onnx if dense else trees_to_onnx)(dump_of(trees), features)
    path = folder / f"{name}.onnx"
    path.write_bytes(made.SerializeToString())
    return Variant(name, how, path)


def _taught(
    learnt: NDArray[np.float32], scores: NDArray[np.float32], trees: int, depth: int, seed: int
) -> list[Tree]:
    import lightgbm as lgb

    inside = np.clip(scores.astype(np.float64), 1e-7, 1 - 1e-7)
    wanted = np.log(inside / (1 - inside))
    # Few trees have to take long steps to arrive.
    rate = float(np.clip(10 / trees, 0.1, 0.5))
    settings = {**STUDENT, "max_depth": depth, "num_leaves": 2**depth, "learning_rate": rate, "seed": seed}
    booster = lgb.train(settings, lgb.Dataset(learnt, wanted), trees)
    return [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
