"""Variants of any graph: optimised offline, in half precision, in eight bits, with weights of four."""

import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic

from models.optimise.four_bits import four_bits
from models.optimise.made import Variant, not_made
from models.train.quantise import quantise

DENSE = ("MatMul", "Gemm")
HEAVY = ("Conv", *DENSE)
"""The operators in which eight bits are worth the way there and back."""
SERIALISING_QUIET = 3


def graph_variants(model: Path, folder: Path, ranges: NDArray[np.float32]) -> list[Variant]:
    """All that can be had of an ONNX file, written under `folder`; `ranges` are inputs to take value ranges from."""
    graph = onnx.load(model).graph
    heavy = [node for node in graph.node if node.op_type in HEAVY]
    kinds = ", ".join(sorted({node.op_type for node in graph.node}))
    none = f"needs a {', '.join(HEAVY[:-1])} or {HEAVY[-1]}; its operators are {kinds}"
    tried: list[tuple[str, str, str, Callable[[Path], None]]] = [
        ("graph", "ONNX Runtime's extended optimisation, saved", "", lambda out: _optimised(model, out)),
        ("fp16", "half precision inside, float32 outside", "", lambda out: _half(model, out)),
    ]
    static = [("int8", QuantFormat.QDQ, False), ("int8-all", QuantFormat.QDQ, True)]
    static.append(("int8-qoperator", QuantFormat.QOperator, False))
    for name, form, all_ in static:
        kept = [] if all_ else _kept(graph)
        how = f"static int8, {form.name} format, {'all of it' if all_ else 'first and last operators float32'}"
        why = none if not heavy else _unnamed(graph) or ("" if len(heavy) > len(kept) else "no operator is between")
        tried.append((name, how, why, _static(model, ranges, graph.input[0].name, kept, form, all_)))
    tried.append(
        ("int8-dynamic", "int8 weights, activations quantised as they come", none if not heavy else "",
         lambda out: _dynamic(model, out))
    )  # fmt: skip
    variants = [_tried(*each, folder / f"{each[0]}.onnx") for each in tried]
    return [*variants, _weights_of_four(model, folder / "int4.onnx", kinds)]


def _tried(name: str, how: str, why: str, make: Callable[[Path], None], out: Path) -> Variant:
    if why:
        return not_made(name, how, why)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # converters warn of numbers that they clip: parity measures what it does
            logging.disable(logging.WARNING)
            make(out)
    except Exception as error:  # converters raise whatever an operator that they do not know leads to
        return not_made(name, how, f"the converter failed: {type(error).__name__}: {str(error).splitlines()[0]}")
    finally:
        logging.disable(logging.NOTSET)
    return Variant(name, how, out)


def _optimised(model: Path, out: Path) -> None:
    options = ort.SessionOptions()
    # One level more would lay weights out for this processor alone.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(out)
    options.log_severity_level = SERIALISING_QUIET
    ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _half(model: Path, out: Path) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(model), keep_io_types=True), out)


def _static(
    model: Path, ranges: NDArray[np.float32], entry: str, kept: Sequence[str], form: QuantFormat, all_: bool
) -> Callable[[Path], None]:
    operators = None if all_ else HEAVY
    return lambda out: quantise(model, ranges, out, kept, form, entry, operators)


def _dynamic(model: Path, out: Path) -> None:
    quantize_dynamic(model, out, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)


def _kept(graph: onnx.GraphProto) -> list[str]:
    """What stays float32: the first convolution and the last dense layer, in which errors weigh most."""
    convolutions = [node.name for node in graph.node if node.op_type == "Conv"]
    dense = [node.name for node in graph.node if node.op_type in DENSE]
    return [*convolutions[:1], *dense[-1:]]


def _unnamed(graph: onnx.GraphProto) -> str:
    names = [node.name for node in graph.node if node.op_type in HEAVY]
    return "" if all(names) and len(set(names)) == len(names) else "its operators have no names of their own"


def _weights_of_four(model: Path, out: Path, kinds: str) -> Variant:
    how = "weights of 4 bits in blocks of 32 (MatMulNBits), float32 activations"
    loaded: ModelProto = onnx.load(model)
    changed = four_bits(loaded)
    if not changed:
        why = f"needs a MatMul or Gemm of constant weights with 32 inputs or more; its operators are {kinds}"
        return not_made("int4", how, why)
    onnx.save(loaded, out)
    return Variant("int4", how, out)
