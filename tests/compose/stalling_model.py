"""A model repository whose first model stalls for seconds when a row of the batch has a certain amount.

It is as quick as any while it is warmed, so nothing is known of the stall before it comes: as with a hanging device.
"""

import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.manifest import Manifest, Trained, write_manifest
from models.repository import MANIFEST_FILE, MODEL_FILE, sha256_of

NAME, VERSION = "stalling", "1"
STALLS_ABOVE = 1e6
WIDTH, TURNS = 512, 300
"""A turn multiplies two square matrices: some milliseconds."""
SHIPPED = Path(__file__).parents[2] / "models" / "repository"


def write_stalling_repository(folder: Path, inputs: Sequence[str]) -> None:
    """The stalling model beside the shipped lite one, readable by any user."""
    shutil.copytree(SHIPPED / "fraud-lite", folder / "fraud-lite")
    target = folder / NAME / VERSION
    target.mkdir(parents=True)
    onnx.save(_model(list(inputs)), target / MODEL_FILE)
    write_manifest(
        target / MANIFEST_FILE,
        Manifest(
            name=NAME,
            version=VERSION,
            kind="loop",
            licence="Apache-2.0",
            inputs=tuple(inputs),
            input="rows",
            output="score",
            thresholds=(0.3, 0.8),
            sha256=sha256_of(target / MODEL_FILE),
            trained=Trained(when=date(2026, 11, 21), how="made up", data="none", rows=0, positives=0, seed=0),
            quality={},
        ),
    )
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _model(inputs: list[str]) -> onnx.ModelProto:
    """score = sigmoid(sum of the inputs / 1e9) + 0 x (what the loop computed)."""
    nodes = [
        helper.make_node("Gather", ["rows", "amount"], ["amounts"], axis=1),
        helper.make_node("ReduceMax", ["amounts"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "limit"], ["stalls"]),
        helper.make_node("Cast", ["stalls"], ["once"], to=TensorProto.INT64),
        helper.make_node("Mul", ["once", "turns"], ["trips"]),
        helper.make_node("Loop", ["trips", "", "square"], ["turned"], body=_turn()),
        helper.make_node("ReduceMean", ["turned"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["no_change"]),
        helper.make_node("MatMul", ["rows", "weights"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["likely"]),
        helper.make_node("Add", ["likely", "no_change"], ["score"]),
    ]
    constants = {
        "amount": np.array([inputs.index("amount")], np.int64),
        "limit": np.array(STALLS_ABOVE, np.float32),
        "turns": np.array(TURNS, np.int64),
        "square": np.full((WIDTH, WIDTH), 1 / WIDTH, np.float32),
        "nothing": np.array(0, np.float32),
        "weights": np.full((len(inputs), 1), 1e-9, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, len(inputs)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _turn() -> onnx.GraphProto:
    """One turn of the loop: the matrix times itself, kept small."""
    shape = [WIDTH, WIDTH]
    return helper.make_graph(
        [
            helper.make_node("MatMul", ["before", "before"], ["product"]),
            helper.make_node("Tanh", ["product"], ["after"]),
            helper.make_node("Identity", ["goes_on"], ["still"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, shape),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, shape),
        ],
    )
