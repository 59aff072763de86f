"""A model that costs about a millisecond a row, so that it and nothing else is the bottleneck: a wide perceptron."""

from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.manifest import Manifest, Trained, write_manifest
from models.repository import MANIFEST_FILE, MODEL_FILE, sha256_of

NAME, VERSION = "slow", "1"
WIDTH, LAYERS = 2880, 5


def write_slow_model(folder: Path, inputs: tuple[str, ...]) -> None:
    """Write a repository entry under `folder`; its weights are random, its scores mean nothing."""
    rng = np.random.default_rng(0)
    sizes = [len(inputs), *[WIDTH] * LAYERS, 1]
    nodes, weights, name = [], [], "rows"
    for number, (rows, columns) in enumerate(pairwise(sizes)):
        matrix = rng.normal(0, 1 / np.sqrt(rows), (rows, columns)).astype(np.float32)
        weights.append(numpy_helper.from_array(matrix, f"w{number}"))
        nodes.append(helper.make_node("MatMul", [name, f"w{number}"], [f"m{number}"]))
        nodes.append(helper.make_node("Tanh" if columns > 1 else "Sigmoid", [f"m{number}"], [f"a{number}"]))
        name = f"a{number}"
    graph = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, len(inputs)])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1])],
        weights,
    )
    target = folder / NAME / VERSION
    target.mkdir(parents=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, target / MODEL_FILE)
    write_manifest(
        target / MANIFEST_FILE,
        Manifest(
            name=NAME,
            version=VERSION,
            kind="perceptron",
            licence="Apache-2.0",
            inputs=inputs,
            input="rows",
            output=name,
            thresholds=(0.3, 0.8),
            sha256=sha256_of(target / MODEL_FILE),
            trained=Trained(when=date(2026, 11, 21), how="random weights", data="none", rows=0, positives=0, seed=0),
            quality={},
        ),
    )
