"""A trained recurrent network as ONNX: one step, and the same weights over a whole sequence.

The step is one product of features and state side by side: on a CPU that takes half of what ONNX's own GRU operator
takes in batches of a hundred.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from models.manifest import ModelError

INPUT, OUTPUT, STATE, STATE_NEXT = "features", "score", "hidden", "hidden_next"
OPSET, IR_VERSION = 17, 8
Floats = NDArray[np.float32]
Shapes = Mapping[str, Sequence[int | None]]


@dataclass(frozen=True)
class RecurrentWeights:
    """`gain`, `factor`, `shift` and `clip` scale features; the others are `models.train.recurrent.Recurrent`'s."""

    gain: Floats
    factor: Floats
    shift: Floats
    clip: float
    layers: Mapping[str, Floats]

    @property
    def features(self) -> int:
        """How many the model takes."""
        return len(self.gain)

    @property
    def hidden(self) -> int:
        """The size of the state."""
        return int(self.layers["state"].shape[0])


class _Graph:
    """Nodes and constants under construction; every method returns the name of what it made."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, name: str, value: object) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def split(self, source: str, sizes: list[int], names: list[str]) -> list[str]:
        given = self.constant(f"{source}_sizes", np.array(sizes, np.int64))
        self.nodes.append(helper.make_node("Split", [source, given], names, axis=1))
        return names

    def model(self, name: str, inputs: Shapes, outputs: Shapes) -> ModelProto:
        def tensors(shapes: Shapes) -> list[ValueInfoProto]:
            return [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in shapes.items()]

        graph = helper.make_graph(self.nodes, name, tensors(inputs), tensors(outputs), self.constants)
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="headrace")


def _scale(graph: _Graph, weights: RecurrentWeights) -> str:
    """Standardised features and their logarithms, side by side in the last axis."""
    gained = graph.add("Mul", [INPUT, graph.constant("gain", weights.gain)], "gained")
    positive = graph.add("Relu", [gained], "positive")
    more = graph.add("Add", [positive, graph.constant("one", np.float32(1))], "more")
    logarithm = graph.add("Log", [more], "logarithm")
    both = graph.add("Concat", [INPUT, logarithm], "both", axis=-1)
    scaled = graph.add("Mul", [both, graph.constant("factor", weights.factor)], "scaled")
    moved = graph.add("Add", [scaled, graph.constant("shift", weights.shift)], "moved")
    low, high = graph.constant("low", np.float32(-weights.clip)), graph.constant("high", np.float32(weights.clip))
    return graph.add("Clip", [moved, low, high], "seen")


def _head(graph: _Graph, weights: RecurrentWeights, seen: str, state: str) -> None:
    layers = weights.layers
    told = graph.add("Concat", [seen, state], "told", axis=1)
    inputs = [told, graph.constant("head", layers["head"]), graph.constant("head_bias", layers["head_bias"])]
    layer = graph.add("Relu", [graph.add("Gemm", inputs, "head_sum")], "layer")
    last = [layer, graph.constant("last", layers["last"]), graph.constant("last_bias", layers["last_bias"])]
    graph.add("Sigmoid", [graph.add("Gemm", last, "logit")], OUTPUT)


def _product(layers: Mapping[str, Floats]) -> Floats:
    """The one product of features and state, [features + state, 4 * state]: update, reset, candidate of either.

    What comes of features and what of the state stay apart in the candidate: the reset gate is for the latter.
    """
    of_seen, of_state = layers["input"], layers["state"]
    size = len(of_state)
    above = [of_seen, np.zeros((len(of_seen), size), np.float32)]
    below = [of_state[:, : 2 * size], np.zeros((size, size), np.float32), of_state[:, 2 * size :]]
    return np.concatenate([np.concatenate(above, axis=1), np.concatenate(below, axis=1)])


def _step(graph: _Graph, size: int, seen: str, state: str, following: str, of: str = "") -> None:
    """One step from `state` to `following`, whose own names end in `of`; the constants are there already."""
    both = graph.add("Concat", [seen, state], f"seen_and_state{of}", axis=1)
    sums = graph.add("Gemm", [both, "product", "bias"], f"sums{of}")
    gates, fresh, kept = graph.split(sums, [2 * size, size, size], [f"gates{of}", f"fresh{of}", f"kept{of}"])
    opened = graph.add("Sigmoid", [gates], f"opened{of}")
    update, reset = graph.split(opened, [size, size], [f"update{of}", f"reset{of}"])
    partly = graph.add("Mul", [reset, kept], f"partly{of}")
    candidate = graph.add("Tanh", [graph.add("Add", [fresh, partly], f"candidate_sum{of}")], f"candidate{of}")
    apart = graph.add("Sub", [state, candidate], f"apart{of}")
    graph.add("Add", [candidate, graph.add("Mul", [update, apart], f"stays{of}")], following)


def _with_product(weights: RecurrentWeights) -> _Graph:
    graph, layers = _Graph(), weights.layers
    graph.constant("product", _product(layers))
    graph.constant("bias", np.concatenate([layers["bias"], layers["state_bias"]]))
    return graph


def step_onnx(weights: RecurrentWeights) -> ModelProto:
    """One event a row: float32[rows, F] and float32[rows, H] give score [rows, 1] and the next state [rows, H]."""
    graph, size = _with_product(weights), weights.hidden
    seen = _scale(graph, weights)
    _step(graph, size, seen, STATE, STATE_NEXT)
    _head(graph, weights, seen, STATE_NEXT)
    hidden = [None, size]
    return graph.model(
        "recurrent_step",
        {INPUT: [None, weights.features], STATE: hidden},
        {OUTPUT: [None, 1], STATE_NEXT: hidden},
    )


def recurrent_weights(path: Path) -> RecurrentWeights:
    """The weights back from a step's file. Raises ModelError when it is none that `step_onnx` wrote."""
    constants = {each.name: numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}
    try:
        product, bias, seen = constants["product"], constants["bias"], len(constants["factor"])
        size = product.shape[1] // 4
        layers = {name: constants[name] for name in ("head", "head_bias", "last", "last_bias")}
        layers["input"] = product[:seen, : 3 * size]
        layers["state"] = np.concatenate([product[seen:, : 2 * size], product[seen:, 3 * size :]], axis=1)
        layers["bias"], layers["state_bias"] = bias[: 3 * size], bias[3 * size :]
        scaling = (constants["gain"], constants["factor"], constants["shift"], float(constants["high"]))
    except KeyError as missing:
        raise ModelError(f"{path}: it has no constant {missing}, expected a recurrent model trained here") from None
    return RecurrentWeights(*scaling, layers)


def steps_onnx(weights: RecurrentWeights, steps: int) -> ModelProto:
    """As `sequence_onnx`, every step written out."""
    graph, size = _with_product(weights), weights.hidden
    seen = _scale(graph, weights)
    ones = graph.constant("ones", np.ones(steps, np.int64))
    names = [f"seen_{step}" for step in range(steps)]
    graph.nodes.append(helper.make_node("Split", [seen, ones], [f"{name}_of" for name in names], axis=0))
    first = graph.constant("first", np.array([0], np.int64))
    for name in names:
        graph.add("Squeeze", [f"{name}_of", first], name)
    nothing = graph.constant("nothing", np.zeros((2 * weights.features, size), np.float32))
    state = graph.add("MatMul", [names[0], nothing], "state_0")
    for step, name in enumerate(names):
        _step(graph, size, name, state, f"state_{step + 1}", f"_{step}")
        state = f"state_{step + 1}"
    _head(graph, weights, names[-1], state)
    return graph.model("recurrent_steps", {INPUT: [steps, None, weights.features]}, {OUTPUT: [None, 1]})


def sequence_onnx(weights: RecurrentWeights, steps: int) -> ModelProto:
    """What there is without state: features float32[steps, rows, F] from zeros -> the last step's score [rows, 1].

    By ONNX's own GRU operator, so it is also a second implementation of the step.
    """
    graph, size, layers = _Graph(), weights.hidden, weights.layers
    seen = _scale(graph, weights)
    nothing = np.zeros(2 * size, np.float32)
    bias = np.concatenate([layers["bias"], nothing, layers["state_bias"]])[None]
    inputs = [
        seen,
        graph.constant("of_input", np.ascontiguousarray(layers["input"].T)[None]),
        graph.constant("of_state", np.ascontiguousarray(layers["state"].T)[None]),
        graph.constant("bias", bias),
    ]
    graph.nodes.append(helper.make_node("GRU", inputs, ["", "ended"], hidden_size=size, linear_before_reset=1))
    first = graph.constant("first", np.array([0], np.int64))
    state = graph.add("Squeeze", ["ended", first], "state")
    last = graph.constant("steps_last", np.array([steps - 1], np.int64))
    newest = graph.add("Squeeze", [graph.add("Gather", [seen, last], "newest", axis=0), first], "newest_seen")
    _head(graph, weights, newest, state)
    return graph.model("recurrent_sequence", {INPUT: [steps, None, weights.features]}, {OUTPUT: [None, 1]})
