"""The dense layout gives the tree operator's scores, for every input that a float32 can be."""

from typing import Any

import lightgbm as lgb
import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto

from models.train.onnx_dense import SCALE, THRESHOLD_MAX, trees_to_dense_onnx
from models.train.onnx_trees import trees_to_onnx

FEATURES = 4


def grown(seed: int, **settings: Any) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    rows = np.round(rng.normal(0, 10, (4_000, FEATURES)), 1)
    wanted = (rows[:, 0] * rows[:, 1] > rows[:, 2] * 4) ^ (rows[:, 3] > 12)
    fixed = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": seed, "num_leaves": 8}
    dump: dict[str, Any] = lgb.train({**fixed, **settings}, lgb.Dataset(rows, wanted), 20).dump_model()
    return dump


def scored(model: ModelProto, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"features": rows})[0], np.float32)


DUMP = grown(1, max_depth=3)
DENSE, TREES = trees_to_dense_onnx(DUMP, FEATURES), trees_to_onnx(DUMP, FEATURES)
THRESHOLDS = [1.0, -1.0, *np.nextafter(np.float32([1, -1]), np.float32(0)).tolist()]
CELLS = st.one_of(
    st.floats(width=32),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 3.4e38, *THRESHOLDS]),
    st.integers(-300, 300).map(lambda tenths: tenths / 10),
)


@settings(max_examples=200)
@given(st.lists(st.tuples(*[CELLS] * FEATURES), min_size=1, max_size=40))
def test_scores_are_those_of_the_tree_operator(cells: list[tuple[float, ...]]) -> None:
    rows = np.array(cells, np.float64).astype(np.float32)
    rows[(np.abs(rows) > 0) & (np.abs(rows) < 1 / SCALE)] = 0  # closer to a threshold of zero than is told apart
    np.testing.assert_allclose(scored(DENSE, rows), scored(TREES, rows), atol=1e-6, rtol=0)


def test_a_row_exactly_at_every_threshold_goes_left() -> None:
    node = DUMP["tree_info"][0]["tree_structure"]
    row = np.zeros((1, FEATURES), np.float32)
    row[0, node["split_feature"]] = np.float32(node["threshold"])
    above = np.nextafter(row, np.float32(np.inf))
    assert scored(DENSE, row) == pytest.approx(scored(TREES, row), abs=1e-6)
    assert scored(DENSE, above) == pytest.approx(scored(TREES, above), abs=1e-6)


def test_trees_that_stop_early_are_filled_up() -> None:
    dump = grown(2, max_depth=3, num_leaves=3)
    rows = np.random.default_rng(5).normal(0, 10, (500, FEATURES)).astype(np.float32)
    found = scored(trees_to_dense_onnx(dump, FEATURES), rows)
    np.testing.assert_allclose(found, scored(trees_to_onnx(dump, FEATURES), rows), atol=1e-6, rtol=0)


def test_scores_do_not_depend_on_the_batch() -> None:
    rows = np.random.default_rng(6).normal(0, 10, (257, FEATURES)).astype(np.float32)
    alone = np.concatenate([scored(DENSE, rows[place : place + 1]) for place in range(0, 257, 16)])
    np.testing.assert_allclose(scored(DENSE, rows)[::16], alone, atol=1e-6, rtol=0)


def test_deeper_trees_are_refused() -> None:
    with pytest.raises(ValueError, match="deeper than 3"):
        trees_to_dense_onnx(grown(3, num_leaves=31), FEATURES)


def test_a_threshold_that_scaling_would_make_infinite_is_refused() -> None:
    tree = {"split_feature": 0, "decision_type": "<=", "threshold": THRESHOLD_MAX * 2}
    tree |= {"left_child": {"leaf_value": 0.0}, "right_child": {"leaf_value": 1.0}}
    with pytest.raises(ValueError, match="expected less than"):
        trees_to_dense_onnx({"tree_info": [{"tree_structure": tree}]}, FEATURES)


def test_a_categorical_split_is_refused() -> None:
    tree = {"split_feature": 0, "decision_type": "==", "threshold": 1.0}
    tree |= {"left_child": {"leaf_value": 0.0}, "right_child": {"leaf_value": 1.0}}
    with pytest.raises(ValueError, match="expected <= alone"):
        trees_to_dense_onnx({"tree_info": [{"tree_structure": tree}]}, FEATURES)
