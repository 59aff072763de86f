"""Models of images: shapes, classes and probabilities are what the manifest says, or the process does not start."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models.manifest import ModelError, read_manifest, write_manifest
from models.repository import ModelEntry, Repository, sha256_of
from models.session import CPU, ModelSession
from tests.frames import CLASSES, SIDE, probabilities, write_classifiers


def entry_of(folder: Path, model: onnx.ModelProto | None = None, **changes: Any) -> ModelEntry:
    """The tiny classifier, with another graph or another manifest."""
    write_classifiers(folder, ["tiny"])
    target = folder / "tiny" / "1"
    if model is not None:
        onnx.save(model, target / "model.onnx")
        changes["sha256"] = sha256_of(target / "model.onnx")
    manifest = read_manifest(target / "manifest.toml")
    write_manifest(target / "manifest.toml", manifest.model_copy(update=changes))
    return Repository(folder).load("tiny", "1")


def session_of(entry: ModelEntry) -> ModelSession:
    return ModelSession(entry, providers=[CPU], buckets=[1, 3])


def graph_of(shape: list[Any], out: list[Any], operator: str = "Softmax", **attributes: int) -> onnx.ModelProto:
    """Pixels averaged to a number, which is repeated for each class."""
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "axis"], ["column"]),
        helper.make_node("Concat", ["column"] * 3, ["wide"], axis=1),
        helper.make_node(operator, ["wide"], ["probabilities"], **attributes),
    ]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, out)]
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, [axis]), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    return model


def test_probabilities_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    session = session_of(entry_of(tmp_path))
    assert (session.row, session.answer) == ((1, SIDE, SIDE), (3,))
    assert {bucket: len(runs) for bucket, runs in session.warm().items()} == {1: 5, 3: 5}
    levels = np.array([0.1, 0.5, 0.9], np.float32)
    images = np.ones((3, 1, SIDE, SIDE), np.float32) * ((levels - 0.5) / 0.25)[:, None, None, None]
    together, alone = np.zeros((3, 3), np.float32), np.zeros((3, 3), np.float32)
    session.run(images, together)
    for row in range(3):
        session.run(images[row : row + 1], alone[row : row + 1])
    assert np.abs(together - alone).max() <= 1e-5
    assert together == pytest.approx(np.array([probabilities(level) for level in levels]), abs=1e-5)


@pytest.mark.parametrize(
    ("shape", "out", "told"),
    [
        (["rows", 3, SIDE, SIDE], ["rows", 3], r"input pixels is .*expected tensor\(float\)\[rows, 1, 16, 16\]"),
        (["rows", 1, SIDE, 32], ["rows", 3], r"expected tensor\(float\)\[rows, 1, 16, 16\]"),
        ([1, 1, SIDE, SIDE], [1, 3], r"expected tensor\(float\)\[rows, 1, 16, 16\]"),
    ],
)
def test_another_shape_is_refused(tmp_path: Path, shape: list[Any], out: list[Any], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        session_of(entry_of(tmp_path, graph_of(shape, out, axis=1)))


def test_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    entry = entry_of(tmp_path, classes=(*CLASSES, "torn"))
    with pytest.raises(ModelError, match=r"output probabilities is .*expected tensor\(float\)\[rows, 4\]"):
        session_of(entry)


def test_sizes_that_the_graph_leaves_open_are_as_good(tmp_path: Path) -> None:
    session = session_of(entry_of(tmp_path, graph_of(["n", "c", "h", "w"], ["n", "k"], axis=1)))
    session.warm()


def test_what_are_no_probabilities_is_refused_at_warm_up(tmp_path: Path) -> None:
    session = session_of(entry_of(tmp_path, graph_of(["n", 1, SIDE, SIDE], ["n", 3], "Identity")))
    with pytest.raises(ModelError, match="expected probabilities: none below 0, their sum 1"):
        session.warm()
