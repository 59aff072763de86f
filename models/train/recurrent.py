"""A gated recurrent unit over an entity's events and its training: needs JAX.

Features are seen twice, as they are and as logarithms, since amounts and counts matter by ratio and limits by value;
both are standardised. The unit's next state and the features go through one small layer to a score.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

_settings: Any = jax.config
_settings.update("jax_platforms", "cpu")  # the network is small, and a result is to be the same everywhere
Floats = NDArray[np.float32]
CLIP = 8.0
"""Standardised features beyond it say no more."""


@dataclass(frozen=True)
class Scaling:
    """How features are seen: x, then log(1 + max(x gain, 0)), both together by `factor` and `shift`, clipped."""

    gain: Floats
    factor: Floats
    shift: Floats

    @staticmethod
    def of(rows: Floats) -> "Scaling":
        """From rows float32[n, features]: the typical positive value is 1 before the logarithm."""
        positive = np.where(rows > 0, rows.astype(np.float64), np.nan)
        some = np.isfinite(positive).any(0)
        typical = np.ones(rows.shape[1])
        typical[some] = np.nanmedian(positive[:, some], axis=0)
        gain = (1 / typical).astype(np.float32)
        both = np.concatenate([rows, np.log1p(np.maximum(rows * gain, 0))], axis=1).astype(np.float64)
        factor = 1 / np.maximum(both.std(0), 1e-3)
        return Scaling(gain, factor.astype(np.float32), (-both.mean(0) * factor).astype(np.float32))

    def seen(self, rows: Any) -> Any:
        """float32[..., 2 * features] of float32[..., features]."""
        both = jnp.concatenate([rows, jnp.log1p(jnp.maximum(rows * self.gain, 0))], axis=-1)
        return jnp.clip(both * self.factor + self.shift, -CLIP, CLIP)


@dataclass(frozen=True)
class Sequences:
    """Runs of events of one entity each: rows float32[n, steps, features] and what is known of each step.

    `given`: 1 where there is an event, the empty steps first; `asked`: 1 where its score is to be learned.
    """

    rows: Floats
    fraud: Floats
    given: Floats
    asked: Floats


@dataclass(frozen=True)
class Recipe:
    """How to train: epochs of batches of sequences, AdamW with a rate that rises and falls to nothing.

    A fraud weighs as `fraud_weight` genuine events; the score's odds are divided by it afterwards, so that a score
    stays a probability.
    """

    hidden: int = 32
    head: int = 32
    epochs: int = 20
    batch: int = 128
    rate: float = 4e-3
    decay: float = 0.02
    dropout: float = 0.3
    fraud_weight: float = 2.0


class Recurrent:
    """Weights as JAX takes them; gates in the order update, reset, candidate (Cho et al., 2014).

    The reset gate works on the state's product, as in cuDNN, so that all products with the state are one.
    """

    def __init__(self, scaling: Scaling, recipe: Recipe, seed: int) -> None:
        self.scaling = scaling
        random = np.random.default_rng([seed, 0])
        seen, hidden, head = len(scaling.factor), recipe.hidden, recipe.head

        def drawn(rows: int, columns: int) -> Floats:
            return random.normal(0, np.sqrt(1 / rows), (rows, columns)).astype(np.float32)

        self.weights: dict[str, Any] = {
            "input": drawn(seen, 3 * hidden),
            "state": drawn(hidden, 3 * hidden),
            "bias": np.concatenate([np.ones(hidden), np.zeros(2 * hidden)]).astype(np.float32),
            "state_bias": np.zeros(hidden, np.float32),
            "head": drawn(seen + hidden, head),
            "head_bias": np.zeros(head, np.float32),
            "last": drawn(head, 1),
            "last_bias": np.full(1, -2.0, np.float32),
        }

    @property
    def hidden(self) -> int:
        """The size of the state."""
        return int(self.weights["state"].shape[0])

    def scores(self, rows: Floats, given: Floats | None = None) -> Floats:
        """float32[n, steps]: what the ONNX model has to give for rows float32[n, steps, features], from zeros."""
        given = np.ones(rows.shape[:2], np.float32) if given is None else given
        seen = self.scaling.seen(jnp.asarray(rows))
        return np.asarray(jax.nn.sigmoid(_logits(self.weights, seen, given, 1.0)))


def next_state(weights: Any, seen: Any, state: Any) -> Any:
    """The state after one event a row."""
    size = state.shape[-1]
    of_input = seen @ weights["input"] + weights["bias"]
    of_state = state @ weights["state"]
    update = jax.nn.sigmoid(of_input[:, :size] + of_state[:, :size])
    reset = jax.nn.sigmoid(of_input[:, size : 2 * size] + of_state[:, size : 2 * size])
    candidate = jnp.tanh(of_input[:, 2 * size :] + reset * (of_state[:, 2 * size :] + weights["state_bias"]))
    return candidate + update * (state - candidate)


def _logits(weights: Any, seen: Any, given: Any, keep: Any) -> Any:
    """[n, steps] of standardised features [n, steps, 2 * features]; steps not given leave the state alone."""

    def step(state: Any, at: Any) -> Any:
        features, there = at
        moved = next_state(weights, features, state)
        state = jnp.where(there[:, None] > 0, moved, state)
        return state, state

    begin = jnp.zeros((seen.shape[0], weights["state"].shape[0]))
    _, states = jax.lax.scan(step, begin, (seen.transpose(1, 0, 2), given.T))
    both = jnp.concatenate([seen, states.transpose(1, 0, 2)], axis=-1) * keep
    layer = jax.nn.relu(both @ weights["head"] + weights["head_bias"])
    return (layer @ weights["last"] + weights["last_bias"])[..., 0]


def fit(
    network: Recurrent,
    sequences: Sequences,
    recipe: Recipe,
    seed: int,
    progress: Callable[[int, float], None] = lambda epoch, loss: None,
) -> None:
    """Train in place, by back-propagation through whole sequences; the same for the same seed."""
    steps = max(1, len(sequences.rows) // recipe.batch) * recipe.epochs
    rate = optax.warmup_cosine_decay_schedule(recipe.rate / 20, recipe.rate, max(1, steps // 10), max(2, steps))
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=recipe.decay))

    def loss_of(weights: Any, seen: Any, fraud: Any, given: Any, asked: Any, keep: Any) -> Any:
        logits = _logits(weights, seen, given, keep)
        each = optax.sigmoid_binary_cross_entropy(logits, fraud) * (1 + (recipe.fraud_weight - 1) * fraud)
        return (each * asked).sum() / jnp.maximum(asked.sum(), 1)

    @jax.jit
    def move(weights: Any, state: Any, rows: Any, fraud: Any, given: Any, asked: Any, keep: Any) -> Any:
        seen = network.scaling.seen(rows)
        loss, slopes = jax.value_and_grad(loss_of)(weights, seen, fraud, given, asked, keep)
        changes, state = optimiser.update(slopes, state, weights)
        return optax.apply_updates(weights, changes), state, loss

    weights, state = network.weights, optimiser.init(network.weights)
    drops = np.random.default_rng([seed, 2])
    width = weights["head"].shape[0]
    for epoch in range(recipe.epochs):
        losses = []
        for rows, fraud, given, asked in _batches(sequences, recipe.batch, seed, epoch):
            kept = drops.random((len(rows), 1, width)) >= recipe.dropout
            keep = kept.astype(np.float32) / (1 - recipe.dropout)
            weights, state, loss = move(weights, state, rows, fraud, given, asked, keep)
            losses.append(loss)
        progress(epoch, float(np.mean([float(loss) for loss in losses])))
    found = {name: np.array(value) for name, value in jax.tree.map(np.asarray, weights).items()}
    found["last_bias"] = (found["last_bias"] - np.log(recipe.fraud_weight)).astype(np.float32)
    network.weights = found


def _batches(sequences: Sequences, size: int, seed: int, epoch: int) -> Iterator[tuple[Floats, ...]]:
    """All of one size, since another would be compiled anew; what is left over has its turn in another epoch."""
    order = np.random.default_rng([seed, 1, epoch]).permutation(len(sequences.rows))
    size = min(size, len(order))
    for first in range(0, len(order) - size + 1, size):
        some = order[first : first + size]
        yield sequences.rows[some], sequences.fraud[some], sequences.given[some], sequences.asked[some]
