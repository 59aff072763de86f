"""A small convolutional network and its training: the one place that needs JAX.

A chain of convolution, batch norm and ReLU, the mean and the most over what is left of the picture, one dense layer:
nothing but what quantises well and what ONNX Runtime has its best kernels for. The mean tells what the metal is like,
the most what is there in one place: a small streak is lost in a mean. The first layer's kernels sum to zero, see no
edge, and so nothing depends on how bright a picture is on the whole, which the next lamp changes.

A convolution with a stride is written as one matrix product over shifted copies: XLA's own takes up to half as long
again backwards on a CPU.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from models.train.onnx_conv import Folded, Layer, padding

_settings: Any = jax.config
_settings.update("jax_platforms", "cpu")  # the network is small, and a result is to be the same everywhere
NORM_EPSILON = 1e-5
NORM_MOMENTUM = 0.9
POOLS = 2
MOST_SHARE = 0.3
"""Of the weights of means at the start: the most of a channel is larger than its mean."""
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """How to train: epochs of batches, AdamW with a rate that rises for a tenth of the time and falls to nothing."""

    epochs: int
    batch: int = 16
    rate: float = 3e-3
    decay: float = 0.02
    smoothing: float = 0.05
    dropout: float = 0.1


class Network:
    """Weights by layer, as JAX takes them: kernels [k, k, in, out]."""

    def __init__(self, layers: tuple[Layer, ...], channels: int, classes: int, seed: int) -> None:
        self.layers = layers
        random = np.random.default_rng([seed, 0])
        self.weights: list[dict[str, Any]] = []
        self.running: list[dict[str, Any]] = []
        for layer in layers:
            fan_in = layer.kernel**2 * channels
            shape = (layer.kernel, layer.kernel, channels, layer.channels)
            self.weights.append(
                {
                    "kernel": random.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32),
                    "scale": np.ones(layer.channels, np.float32),
                    "shift": np.zeros(layer.channels, np.float32),
                }
            )
            self.running.append(
                {"mean": np.zeros(layer.channels, np.float32), "var": np.ones(layer.channels, np.float32)}
            )
            channels = layer.channels
        kernel = random.normal(0, np.sqrt(1 / channels), (POOLS * channels, classes))
        kernel[channels:] *= MOST_SHARE
        self.weights.append({"kernel": kernel.astype(np.float32), "shift": np.zeros(classes, np.float32)})

    def resume(self, folded: Folded, images: Floats) -> None:
        """Take over a trained network of the same layers, its norms set by images float32[rows, C, H, W].

        The dense layer is taken over where it has as many classes.
        """
        values = jnp.transpose(images, (0, 2, 3, 1))
        for number, layer in enumerate(self.layers):
            kernel, biases = folded.weights[number].transpose(2, 3, 1, 0), folded.biases[number]
            values = _convolve(values, kernel, layer, number)
            mean, var = (np.asarray(part) for part in (values.mean((0, 1, 2)), values.var((0, 1, 2))))
            self.weights[number] = {
                "kernel": kernel,
                "scale": np.sqrt(var + np.float32(NORM_EPSILON)),
                "shift": biases + mean,
            }
            self.running[number] = {"mean": mean, "var": var}
            values = jax.nn.relu(values + biases)
        if folded.dense.shape == self.weights[-1]["kernel"].shape:
            self.weights[-1] = {"kernel": folded.dense, "shift": folded.dense_bias}

    def probabilities(self, images: Floats) -> Floats:
        """float32[rows, classes] of images float32[rows, C, H, W], by JAX: what the ONNX model has to give."""
        values = jnp.transpose(images, (0, 2, 3, 1))
        for number, (layer, part, running) in enumerate(zip(self.layers, self.weights, self.running, strict=False)):
            raw = _convolve(values, part["kernel"], layer, number)
            values = jax.nn.relu(_normed(raw, part, running["mean"], running["var"]))
        logits = _pooled(values) @ self.weights[-1]["kernel"] + self.weights[-1]["shift"]
        return np.asarray(jax.nn.softmax(logits))

    def folded(self) -> Folded:
        """What runs: every norm is part of its convolution."""
        weights, biases = [], []
        for number, (part, running) in enumerate(zip(self.weights, self.running, strict=False)):
            factor = part["scale"] / np.sqrt(np.asarray(running["var"]) + NORM_EPSILON)
            kernel = np.asarray(part["kernel"] if number else _blind(part["kernel"]))
            weights.append(np.ascontiguousarray((kernel * factor).transpose(3, 2, 0, 1)))
            biases.append(np.asarray(part["shift"] - running["mean"] * factor))
        head = self.weights[-1]
        return Folded(
            self.layers, tuple(weights), tuple(biases), np.asarray(head["kernel"]), np.asarray(head["shift"])
        )


def _normed(values: Any, part: dict[str, Any], mean: Any, var: Any) -> Any:
    factor = part["scale"] * jax.lax.rsqrt(var + NORM_EPSILON)
    return values * factor + (part["shift"] - mean * factor)


def _pooled(values: Any) -> Any:
    """[rows, 2 * channels] of [rows, height, width, channels]: the mean of each channel, then the most of each."""
    return jnp.concatenate([values.mean((1, 2)), values.max((1, 2))], axis=-1)


def _blind(kernel: Any) -> Any:
    """A kernel that gives nothing for a picture of one tone."""
    return kernel - kernel.mean((0, 1), keepdims=True)


def _convolve(images: Any, kernel: Any, layer: Layer, number: int) -> Any:
    """What layer `number` makes of images [rows, height, width, channels]."""
    size, stride, pad = layer.kernel, layer.stride, padding(number, layer)
    if number == 0:
        kernel = _blind(kernel)
    rows, height, width, channels = images.shape
    if stride == 1:
        order = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(images, kernel, (1, 1), [(pad, pad)] * 2, dimension_numbers=order)
    high, wide = ((side + 2 * pad - size) // stride + 1 for side in (height, width))
    padded = jnp.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    shifted = [
        padded[:, y : y + stride * (high - 1) + 1 : stride, x : x + stride * (wide - 1) + 1 : stride]
        for y in range(size)
        for x in range(size)
    ]
    flat = jnp.concatenate(shifted, axis=-1).reshape(-1, size * size * channels)
    return (flat @ kernel.reshape(size * size * channels, -1)).reshape(rows, high, wide, -1)


def _forward(
    layers: tuple[Layer, ...], weights: Any, running: Any, images: Any, keep: Any
) -> tuple[Any, list[dict[str, Any]]]:
    """Logits of a batch float32[rows, C, H, W] by its own statistics, and the running ones moved towards them."""
    values = jnp.transpose(images, (0, 2, 3, 1))
    moved = []
    for number, (layer, part, old) in enumerate(zip(layers, weights, running, strict=False)):
        values = _convolve(values, part["kernel"], layer, number)
        mean, var = values.mean((0, 1, 2)), values.var((0, 1, 2))
        moved.append(
            {
                "mean": NORM_MOMENTUM * old["mean"] + (1 - NORM_MOMENTUM) * mean,
                "var": NORM_MOMENTUM * old["var"] + (1 - NORM_MOMENTUM) * var,
            }
        )
        values = jax.nn.relu(_normed(values, part, mean, var))
    pooled = _pooled(values) * keep
    return pooled @ weights[-1]["kernel"] + weights[-1]["shift"], moved


def fit(
    network: Network,
    batches: Callable[[int], Iterator[tuple[Floats, NDArray[np.int64]]]],
    steps_an_epoch: int,
    recipe: Recipe,
    seed: int,
    progress: Callable[[int, float], None] = lambda epoch, loss: None,
) -> None:
    """Train in place. `batches(epoch)` yields images float32[batch, C, H, W], all of one size, and their classes."""
    steps = steps_an_epoch * recipe.epochs
    rate = optax.warmup_cosine_decay_schedule(recipe.rate / 20, recipe.rate, max(1, steps // 10), max(2, steps))
    optimiser = optax.adamw(rate, weight_decay=recipe.decay)
    layers = network.layers

    def loss_of(weights: Any, running: Any, images: Any, truth: Any, keep: Any) -> Any:
        logits, moved = _forward(layers, weights, running, images, keep)
        wanted = optax.smooth_labels(jax.nn.one_hot(truth, logits.shape[1]), recipe.smoothing)
        return optax.softmax_cross_entropy(logits, wanted).mean(), moved

    @jax.jit
    def step(weights: Any, running: Any, state: Any, images: Any, truth: Any, keep: Any) -> Any:
        (loss, running), slopes = jax.value_and_grad(loss_of, has_aux=True)(weights, running, images, truth, keep)
        changes, state = optimiser.update(slopes, state, weights)
        weights = optax.apply_updates(weights, changes)
        return weights, running, state, loss

    weights, running = network.weights, network.running
    state = optimiser.init(weights)
    drops = np.random.default_rng([seed, 2])
    for epoch in range(recipe.epochs):
        losses = []
        for images, truth in batches(epoch):
            kept = drops.random((len(images), POOLS * layers[-1].channels)) >= recipe.dropout
            keep = kept.astype(np.float32) / (1 - recipe.dropout)
            weights, running, state, loss = step(weights, running, state, images, truth, keep)
            losses.append(loss)
        progress(epoch, float(np.mean([float(loss) for loss in losses])))
    network.weights = jax.tree.map(np.asarray, weights)
    network.running = jax.tree.map(np.asarray, running)
