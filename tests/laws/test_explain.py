"""Contributions of features are what their definition says they are, to the last few bits."""

from collections.abc import Iterator
from itertools import combinations
from math import factorial
from typing import Any

import lightgbm as lgb
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models import explain_tables
from models.explain import Explainer
from models.explain_tables import SPLITS_JOINED_MAX
from models.repository import ModelEntry, Repository
from models.train.fraud import GBT, GBT_TREES, LITE, LITE_TREES
from models.train.onnx_trees import trees_to_onnx
from models.train.tree_file import trees_of
from models.trees import LEAF, TREES_FILE, Trees, read_trees

FEATURES = 4


@st.composite
def tree_models(draw: st.DrawFn) -> Trees:
    """A few trees of any shape, whose splits may repeat features and leave no row a way."""
    nodes: list[list[float]] = []

    def grow(depth: int, cover: int) -> int:
        place = len(nodes)
        if depth == 0 or cover < 2 or draw(st.integers(0, 4)) == 0:
            nodes.append([LEAF, 0.0, LEAF, LEAF, draw(st.integers(-8, 8)) / 4, cover])
            return place
        nodes.append([draw(st.integers(0, FEATURES - 1)), draw(st.integers(-3, 3)), 0, 0, 0.0, cover])
        left = draw(st.integers(1, cover - 1))
        nodes[place][2] = grow(depth - 1, left)
        nodes[place][3] = grow(depth - 1, cover - left)
        return place

    roots = [grow(draw(st.integers(0, 4)), draw(st.integers(1, 40))) for _ in range(draw(st.integers(1, 3)))]
    columns = zip(*nodes, strict=True)
    kinds = (np.int32, np.float32, np.int32, np.int32, np.float64, np.float64)
    arrays: list[Any] = [np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    return Trees(np.array(roots, np.int32), *arrays)


def value_of(trees: Trees, node: int, row: NDArray[np.float32], joined: tuple[int, ...]) -> float:
    """The tree's answer when only these features have joined: both sides of other splits, by their rows."""
    feature = int(trees.feature[node])
    if feature == LEAF:
        return float(trees.value[node])
    left, right = int(trees.left[node]), int(trees.right[node])
    if feature in joined:
        return value_of(trees, left if row[feature] <= trees.threshold[node] else right, row, joined)
    parts = (trees.cover[side] * value_of(trees, side, row, joined) for side in (left, right))
    return float(sum(parts) / trees.cover[node])


def by_definition(trees: Trees, row: NDArray[np.float32]) -> list[float]:
    """Shapley's formula over all subsets."""

    def answer(joined: tuple[int, ...]) -> float:
        return sum(value_of(trees, int(root), row, joined) for root in trees.roots)

    found = []
    for feature in range(FEATURES):
        others = [other for other in range(FEATURES) if other != feature]
        total = 0.0
        for size in range(FEATURES):
            weight = factorial(size) * factorial(FEATURES - size - 1) / factorial(FEATURES)
            total += weight * sum(
                answer((*joined, feature)) - answer(joined) for joined in combinations(others, size)
            )
        found.append(total)
    return found


@settings(max_examples=100, deadline=None)
@given(
    tree_models(),
    st.lists(st.integers(-4, 4), min_size=FEATURES, max_size=FEATURES),
    st.booleans(),
    st.sampled_from([0, SPLITS_JOINED_MAX]),
)
def test_contributions_are_shapley_values_and_sum_to_the_answer(
    trees: Trees, row: list[int], unknown: bool, joined_max: int
) -> None:
    rows = np.array([row], np.float32)
    if unknown:
        rows[0, 0] = np.nan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explain_tables, "SPLITS_JOINED_MAX", joined_max)
        explainer = Explainer(trees)
    found = explainer.contributions(rows)[0]
    assert found == pytest.approx(by_definition(trees, rows[0]), abs=1e-9)
    everything = tuple(range(FEATURES))
    answer = sum(value_of(trees, int(root), rows[0], everything) for root in trees.roots)
    assert found.sum() + explainer.bias == pytest.approx(answer, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(tree_models(), st.integers(1, FEATURES))
def test_the_largest_come_first_and_each_once(trees: Trees, top: int) -> None:
    rows = np.random.default_rng(top).integers(-4, 4, (5, FEATURES)).astype(np.float32)
    explainer = Explainer(trees)
    features, numbers = np.full((5, top), -1, np.int32), np.full((5, top), np.nan, np.float32)
    explainer.largest(np.array([3, 1], np.int32), rows, features, numbers)
    assert np.isnan(numbers[[0, 2, 4]]).all()
    whole = explainer.contributions(rows)
    for slot in (1, 3):
        told = ~np.isnan(numbers[slot])
        assert told.sum() == min(top, np.count_nonzero(whole[slot]))
        assert (np.diff(told.astype(int)) <= 0).all()
        assert len(set(features[slot, told])) == told.sum()
        assert numbers[slot, told] == pytest.approx(whole[slot, features[slot, told]], rel=1e-6)
        assert np.abs(numbers[slot, told]) == pytest.approx(
            np.sort(np.abs(whole[slot]))[::-1][: told.sum()], rel=1e-6
        )


def transactions(rows: int) -> NDArray[np.float32]:
    """Rows that look like the fraud pipeline's: few numbers are frequent, thresholds lie between like ones."""
    rng = np.random.default_rng(5)
    amounts = [rng.gamma(2, scale, rows).round(2) for scale in (30, 35, 36, 37)]
    counts = [rng.poisson(mean, rows) for mean in (2, 14, 60, 1, 9, 40)]
    risks = [np.where(rng.random(rows) < 0.1, rng.random(rows), 0) for _ in range(3)]
    flags = [rng.random(rows) < share for share in (0.3, 0.2)]
    return np.column_stack([*amounts, *counts, *risks, *flags]).astype(np.float32)


def trained(settings_: dict[str, Any], trees: int, rows: NDArray[np.float32]) -> lgb.Booster:
    log_odds = rows[:, 0] / 60 + 6 * rows[:, 11] + rows[:, 13] * rows[:, 5] / 14 - 4
    fraud = np.random.default_rng(6).random(len(rows)) < 1 / (1 + np.exp(-log_odds))
    fixed = {"seed": 1, "deterministic": True, "num_threads": 1, "verbose": -1}
    return lgb.train({**settings_, **fixed}, lgb.Dataset(rows, fraud), trees)


def splits_of(dump: dict[str, Any]) -> Iterator[tuple[int, float]]:
    """Each split's feature, and its threshold before it was rounded."""
    waiting = [tree["tree_structure"] for tree in dump["tree_info"]]
    while waiting:
        node = waiting.pop()
        if "threshold" in node:
            yield int(node["split_feature"]), float(node["threshold"])
            waiting += [node["left_child"], node["right_child"]]


@pytest.mark.parametrize(
    ("settings_", "trees"), [(GBT, GBT_TREES), (LITE, LITE_TREES), ({"objective": "binary", "num_leaves": 24}, 10)]
)
def test_10_000_rows_are_explained_as_lightgbm_explains_them(settings_: dict[str, Any], trees: int) -> None:
    """LightGBM compares in float64 what ONNX compares in float32: the thresholds are made to agree."""
    rows = transactions(12_000)
    booster = trained(settings_, trees, rows)
    found = trees_of(booster.dump_model())
    explainer, asked = Explainer(found), rows[:10_000]
    for row, (feature, threshold) in enumerate(splits_of(booster.dump_model())):
        asked[row % 5_000, feature] = np.float32(threshold)
    theirs = booster.predict(asked, pred_contrib=True)
    ours = explainer.contributions(asked)
    assert np.abs(ours - theirs[:, :-1]).max() < 1e-9
    assert explainer.bias == pytest.approx(theirs[0, -1], abs=1e-9)
    told = log_odds_of(trees_to_onnx(booster.dump_model(), rows.shape[1]), asked)
    assert np.abs(told - ours.sum(1) - explainer.bias).max() < 1e-4
    assert (len(found.feature) / len(found.roots) > 2 * SPLITS_JOINED_MAX + 1) == (settings_.get("num_leaves") == 24)


def log_odds_of(model: onnx.ModelProto, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """What goes into the model's logistic: scores near 0 and 1 do not hold their log-odds to 1e-4 any more."""
    logistic = next(node for node in model.graph.node if node.op_type == "Sigmoid")
    model.graph.output.append(helper.make_tensor_value_info(logistic.input[0], TensorProto.FLOAT, None))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run([logistic.input[0]], {model.graph.input[0].name: rows})[0].reshape(-1)
    return found


@pytest.mark.parametrize("name", ["fraud-gbt", "fraud-lite"])
def test_reasons_of_the_shipped_models_sum_to_their_scores_log_odds(name: str) -> None:
    entry = Repository.shipped().load(name, "1")
    explainer = explainer_of(entry)
    rng = np.random.default_rng(7)
    order = [0, 13, 14, 4, 1, 5, 2, 6, 3, 7, 10, 8, 11, 9, 12]
    rows = np.ascontiguousarray(transactions(10_000)[:, order])
    rows[:, 10:15:2] *= rng.random((len(rows), 3)) < 0.5
    found = explainer.contributions(rows).sum(1) + explainer.bias
    assert np.abs(log_odds_of(onnx.load(entry.path), rows) - found).max() < 1e-4
    score = ort.InferenceSession(entry.path).run(None, {"features": rows})[0].reshape(-1)
    assert np.abs(1 / (1 + np.exp(-found)) - score).max() < 1e-6
    assert found.std() > 0.5


def explainer_of(entry: ModelEntry) -> Explainer:
    path = entry.beside(TREES_FILE)
    assert path is not None
    return Explainer(read_trees(path, len(entry.manifest.inputs)))
