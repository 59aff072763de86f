"""From float32 to eight bits: static quantisation of a network, and the gate that it has to pass.

Weights are symmetric int8, a scale for each output channel, and activations uint8, which loses nothing behind a
ReLU. Weights keep to seven bits: processors without VNNI add pairs of products in sixteen bits, where two of eight
bits may overflow, and a model must not score worse on an older machine. The first convolution stays float32: with
one channel of pixels to read it is as fast that way, and what it gives is quantised all the same. Pooling and the
dense layer stay float32 too: next to nothing of the work, and the most of a channel is so much larger than its mean
that one scale for both would be coarse for the mean.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from models.manifest import ModelError, Parity
from models.train.classifier import Classes, Floats, accuracy_of
from models.train.onnx_conv import HEAD, INPUT, STEM

AGREEMENT_MIN = 0.98
ACCURACY_DROP_MAX = 0.005
BATCH = 16


class QuantisationError(ModelError):
    """A quantised model too far from the one it was made from."""


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Batches of what the ranges of activations are taken from."""

    def __init__(self, images: NDArray[np.float32], entry: str) -> None:
        self._parts = iter([{entry: images[at : at + BATCH]} for at in range(0, len(images), BATCH)])

    def get_next(self) -> dict[str, Any] | None:
        """The next batch, or None."""
        return next(self._parts, None)


def quantise(
    model: Path,
    images: Floats,
    out: Path,
    kept: Sequence[str] = (STEM, *HEAD),
    form: QuantFormat = QuantFormat.QDQ,
    entry: str = INPUT,
    operators: Sequence[str] | None = None,
) -> None:
    """Write `out`, the model with int8 convolutions, ranges taken from images float32[rows, C, H, W] of training.

    Nodes named in `kept` stay float32, and where `operators` are given all that are none of them; `entry` is the
    model's input.
    """
    with tempfile.TemporaryDirectory() as folder:
        shaped = Path(folder) / "shaped.onnx"
        inferred = onnx.shape_inference.infer_shapes(onnx.load(model))
        add_pre_process_metadata(inferred)
        onnx.save(inferred, shaped)
        quantize_static(
            shaped,
            out,
            _Pictures(images, entry),
            quant_format=form,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_exclude=list(kept),
            op_types_to_quantize=None if operators is None else list(operators),
        )


def parity_of(
    reference: str,
    expected: Floats,
    found: Floats,
    truth: Classes,
    agreement_min: float = AGREEMENT_MIN,
    accuracy_drop_max: float = ACCURACY_DROP_MAX,
) -> Parity:
    """What quantising cost, from both models' probabilities float32[rows, classes] of the same held-out images.

    Raises QuantisationError when it is more than the limits allow: such a model is not registered.
    """
    agreement = float((expected.argmax(axis=1) == found.argmax(axis=1)).mean())
    drop = accuracy_of(expected, truth) - accuracy_of(found, truth)
    if agreement < agreement_min or drop > accuracy_drop_max + 1e-9:
        raise QuantisationError(
            f"the int8 model of {reference} is not registered: on {len(truth)} held-out images it agrees with fp32 "
            f"on {agreement:.2%}, expected at least {agreement_min:.2%}, and its accuracy is {drop * 100:.2f} points "
            f"lower, expected at most {accuracy_drop_max * 100:.2f}"
        )
    return Parity(
        reference=reference,
        images=len(truth),
        agreement=round(agreement, 4),
        agreement_min=agreement_min,
        accuracy_drop=round(drop, 4),
        accuracy_drop_max=accuracy_drop_max,
    )
