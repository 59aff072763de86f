"""A model repository small enough for a test: two models that add their inputs up."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.manifest import Manifest, Trained, write_manifest
from models.repository import sha256_of


def write_repository(folder: Path, inputs: Sequence[str], names: Sequence[str] = ("fraud-gbt", "fraud-lite")) -> Path:
    """Version 1 of each model under `folder`, which is returned."""
    for name in names:
        entry = folder / name / "1"
        entry.mkdir(parents=True)
        onnx.save(_model(len(inputs)), entry / "model.onnx")
        manifest = Manifest(
            name=name,
            version="1",
            kind="sum",
            licence="Apache-2.0",
            inputs=tuple(inputs),
            input="features",
            output="score",
            thresholds=(0.3, 0.8),
            sha256=sha256_of(entry / "model.onnx"),
            trained=Trained(when=date(2026, 2, 3), how="made up", data="none", rows=0, positives=0, seed=0),
            quality={"auc": 0.5},
        )
        write_manifest(entry / "manifest.toml", manifest)
    return folder


def _model(inputs: int) -> onnx.ModelProto:
    weights = helper.make_tensor("weights", TensorProto.FLOAT, [inputs, 1], np.full(inputs, 1e-3, np.float32))
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "weights"], ["sum"]),
            helper.make_node("Sigmoid", ["sum"], ["score"]),
        ],
        "sum",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", inputs])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model
