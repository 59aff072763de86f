"""From a trained network to ONNX and back: convolutions with their norms folded in, softmax at the end."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from models.manifest import ImageInput, ModelError
from models.train.onnx_trees import IR_VERSION, OPSET

INPUT, OUTPUT = "image", "probabilities"
STEM, SOFTMAX = "convolution_0", "softmax"
HEAD = ("mean", "most", "pooled", "dense", SOFTMAX)
"""What comes behind the last convolution."""
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """One convolution: square kernels."""

    kernel: int
    stride: int
    channels: int


def padding(number: int, layer: Layer) -> int:
    """Zeros around what layer `number` reads: as many as keep it whole at stride 1, around a picture none.

    Beside zeros a kernel that is blind to tone would see how far a picture's edge is from the mean.
    """
    return 0 if number == 0 else layer.kernel // 2


@dataclass(frozen=True)
class Folded:
    """A trained network with its norms folded into the convolutions: weights float32[out, in, k, k], biases [out]."""

    layers: tuple[Layer, ...]
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]
    dense: Floats
    """float32[2 * channels, classes], for the means of all channels, then for the most of each."""
    dense_bias: Floats


def network_to_onnx(folded: Folded, image: ImageInput, temperature: float = 1.0) -> ModelProto:
    """An ONNX model: `image` float32[rows, C, H, W] in, `probabilities` float32[rows, classes] out.

    Logits are divided by the temperature, which the dense layer's weights take over.
    """
    nodes: list[NodeProto] = []
    tensors: list[TensorProto] = []
    values = INPUT
    for number, (layer, weights, biases) in enumerate(zip(folded.layers, folded.weights, folded.biases, strict=True)):
        name = f"convolution_{number}"
        tensors += [numpy_helper.from_array(weights, f"weights_{number}")]
        tensors += [numpy_helper.from_array(biases, f"biases_{number}")]
        nodes.append(
            helper.make_node(
                "Conv",
                [values, f"weights_{number}", f"biases_{number}"],
                [name],
                name=name,
                kernel_shape=[layer.kernel] * 2,
                strides=[layer.stride] * 2,
                pads=[padding(number, layer)] * 4,
            )
        )
        values = f"rectified_{number}"
        nodes.append(helper.make_node("Relu", [name], [values], name=values))
    tensors.append(numpy_helper.from_array((folded.dense / temperature).astype(np.float32), "dense_weights"))
    tensors.append(numpy_helper.from_array((folded.dense_bias / temperature).astype(np.float32), "dense_biases"))
    nodes += [
        helper.make_node("GlobalAveragePool", [values], ["mean"], name="mean"),
        helper.make_node("GlobalMaxPool", [values], ["most"], name="most"),
        helper.make_node("Concat", ["mean", "most"], ["pooled"], name="pooled", axis=1),
        helper.make_node("Flatten", ["pooled"], ["flat"], name="flat"),
        helper.make_node("Gemm", ["flat", "dense_weights", "dense_biases"], ["logits"], name="dense"),
        helper.make_node("Softmax", ["logits"], [OUTPUT], name=SOFTMAX, axis=1),
    ]
    shape = ["rows", image.channels, image.height, image.width]
    graph = helper.make_graph(
        nodes,
        "image_classifier",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows", len(folded.dense_bias)])],
        tensors,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="headrace")


def network_of(path: Path) -> Folded:
    """The network in a file that `network_to_onnx` made. Raises ModelError for a file made another way."""
    try:
        graph = onnx.load(path).graph
        tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        count = sum(node.op_type == "Conv" for node in graph.node)
        weights = tuple(tensors[f"weights_{number}"] for number in range(count))
        biases = tuple(tensors[f"biases_{number}"] for number in range(count))
        strides = [next(part.ints[0] for part in node.attribute if part.name == "strides")
                   for node in graph.node if node.op_type == "Conv"]  # fmt: skip
        layers = tuple(Layer(part.shape[2], stride, len(part)) for part, stride in zip(weights, strides, strict=True))
        return Folded(layers, weights, biases, tensors["dense_weights"], tensors["dense_biases"])
    except (KeyError, StopIteration) as error:
        raise ModelError(
            f"{path}: not a network to train on from (no {error}): expected the fp32 model of "
            "`headrace train vision`, or a shipped one"
        ) from None
