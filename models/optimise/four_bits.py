"""Weights of four bits: ONNX Runtime's operator MatMulNBits (com.microsoft, version 1) in place of dense layers."""

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

BLOCK = 32
DOMAIN = "com.microsoft"
_MIDDLE = 8
"""The operator's zero point where none is given."""


def four_bits(model: ModelProto) -> int:
    """Change every dense layer of constant weights in place that has `BLOCK` inputs or more; returns how many."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    changed = 0
    nodes: list[NodeProto] = []
    for number, node in enumerate(graph.node):
        weights = _weights(node, constants)
        if weights is None or len(weights) < BLOCK:
            nodes.append(node)
            continue
        nodes += _replaced(model, node, weights, f"four_bits_{number}")
        changed += 1
    del graph.node[:]
    graph.node.extend(nodes)
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    if changed and DOMAIN not in {opset.domain for opset in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return changed


def packed(weights: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """uint8[outputs, blocks, BLOCK / 2] and scales float32[outputs * blocks] of weights float32[inputs, outputs].

    Symmetric, one scale a block of inputs: a value is (bits - 8) * scale, the lower four bits first.
    """
    inputs, outputs = weights.shape
    blocks = -(-inputs // BLOCK)
    padded = np.zeros((outputs, blocks * BLOCK), np.float32)
    padded[:, :inputs] = weights.T
    apart = padded.reshape(outputs, blocks, BLOCK)
    largest = np.take_along_axis(apart, np.abs(apart).argmax(axis=2, keepdims=True), axis=2)
    scale = np.where(largest == 0, np.float32(1), largest / -_MIDDLE)
    bits = np.clip(np.rint(apart / scale) + _MIDDLE, 0, 15).astype(np.uint8)
    return bits[:, :, 0::2] | (bits[:, :, 1::2] << 4), scale.reshape(-1).astype(np.float32)


def _weights(node: NodeProto, constants: dict[str, TensorProto]) -> NDArray[np.float32] | None:
    if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in constants:
        return None
    given = {part.name: helper.get_attribute_value(part) for part in node.attribute}
    if given.get("transA", 0) or given.get("alpha", 1.0) != 1.0 or given.get("beta", 1.0) != 1.0:
        return None
    weights: NDArray[np.float32] = numpy_helper.to_array(constants[node.input[1]])
    if weights.ndim != 2 or weights.dtype != np.float32:
        return None
    return weights.T if given.get("transB", 0) else weights


def _replaced(model: ModelProto, node: NodeProto, weights: NDArray[np.float32], name: str) -> list[NodeProto]:
    bits, scales = packed(weights)
    model.graph.initializer.append(numpy_helper.from_array(bits, f"{name}_bits"))
    model.graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scales"))
    biased = len(node.input) > 2 and bool(node.input[2])
    product = f"{name}_product" if biased else node.output[0]
    inputs, outputs = weights.shape
    nodes = [
        helper.make_node(
            "MatMulNBits",
            [node.input[0], f"{name}_bits", f"{name}_scales"],
            [product],
            name=name,
            domain=DOMAIN,
            K=inputs,
            N=outputs,
            bits=4,
            block_size=BLOCK,
        )
    ]
    if biased:
        nodes.append(helper.make_node("Add", [product, node.input[2]], [node.output[0]], name=f"{name}_bias"))
    return nodes
