"""Recurrent models of random weights, and what they say of a card's whole history by plain NumPy."""

import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from models.manifest import Manifest, StateShape, Trained, write_manifest
from models.repository import Repository, sha256_of
from models.train.onnx_gru import INPUT, OUTPUT, STATE, STATE_NEXT, RecurrentWeights, step_onnx

Floats = NDArray[np.float32]
NAME = "tiny-gru"


def random_weights(features: int, hidden: int, seed: int = 1) -> RecurrentWeights:
    """A model that remembers: its state weighs as much as its features."""
    random = np.random.default_rng(seed)
    seen, head = 2 * features, 6

    def drawn(*shape: int) -> Floats:
        return random.normal(0, 0.7, shape).astype(np.float32)

    layers = {
        "input": drawn(seen, 3 * hidden),
        "state": drawn(hidden, 3 * hidden),
        "bias": drawn(3 * hidden),
        "state_bias": drawn(hidden),
        "head": drawn(seen + hidden, head),
        "head_bias": drawn(head),
        "last": drawn(head, 1),
        "last_bias": drawn(1),
    }
    ones = np.ones(features, np.float32)
    factor = random.uniform(0.2, 0.5, seen).astype(np.float32)
    return RecurrentWeights(ones * 0.1, factor, -factor, 3.0, layers)


def write_model(folder: Path, weights: RecurrentWeights, inputs: Sequence[str], **changes: Any) -> Path:
    """The model as version 1 of NAME under `folder`, which is returned; `changes` are to its manifest."""
    entry = folder / NAME / "1"
    entry.mkdir(parents=True, exist_ok=True)
    onnx.save(step_onnx(weights), entry / "model.onnx")
    given: dict[str, Any] = {
        "name": NAME,
        "version": "1",
        "kind": "random",
        "licence": "Apache-2.0",
        "inputs": tuple(inputs),
        "input": INPUT,
        "output": OUTPUT,
        "thresholds": (0.3, 0.8),
        "sha256": sha256_of(entry / "model.onnx"),
        "trained": Trained(when=date(2026, 2, 3), how="made up", data="none", rows=0, positives=0, seed=0),
        "quality": {"auc": 0.5},
        "state": StateShape(input=STATE, output=STATE_NEXT, size=weights.hidden),
    }
    write_manifest(entry / "manifest.toml", Manifest.model_validate({**given, **changes}))
    return folder


def whole_history(weights: RecurrentWeights, rows: Floats) -> NDArray[np.float64]:
    """The score after each event of one card, float64[n] of features float32[n, F], from zeros."""
    layers = {name: values.astype(np.float64) for name, values in weights.layers.items()}
    state, scores = np.zeros(weights.hidden), np.zeros(len(rows))
    size = weights.hidden
    for number, row in enumerate(rows.astype(np.float64)):
        both = np.concatenate([row, np.log1p(np.maximum(row * weights.gain, 0))])
        seen = np.clip(both * weights.factor + weights.shift, -weights.clip, weights.clip)
        of_input, of_state = seen @ layers["input"] + layers["bias"], state @ layers["state"]
        gates = 1 / (1 + np.exp(-(of_input[: 2 * size] + of_state[: 2 * size])))
        update, reset = gates[:size], gates[size:]
        fresh = np.tanh(of_input[2 * size :] + reset * (of_state[2 * size :] + layers["state_bias"]))
        state = (1 - update) * fresh + update * state
        layer = np.maximum(np.concatenate([seen, state]) @ layers["head"] + layers["head_bias"], 0)
        scores[number] = 1 / (1 + np.exp(-(layer @ layers["last"] + layers["last_bias"])[0]))
    return scores


def by_card(weights: RecurrentWeights, rows: Floats, card: Sequence[Any]) -> NDArray[np.float64]:
    """The same for the events of many cards, each event's in its place."""
    scores, cards = np.zeros(len(rows)), np.asarray(card)
    for one in np.unique(cards):
        own = np.flatnonzero(cards == one)
        scores[own] = whole_history(weights, rows[own])
    return scores


def fraud_models(folder: Path, inputs: Sequence[str], weights: RecurrentWeights) -> Path:
    """A repository with the model and what else the fraud pipeline needs."""
    shutil.copytree(Repository.shipped().folder / "fraud-lite", folder / "fraud-lite", dirs_exist_ok=True)
    return write_model(folder, weights, inputs)


def told_apart(weights: RecurrentWeights, decisions: Sequence[dict[str, Any]], cards: dict[str, Any]) -> float:
    """How far the scores of decisions are from those of each card's whole history, by the features they carry.

    The first decision of each source counts, in the order of offsets; `cards` has the card of each id.
    """
    first: dict[tuple[Any, ...], dict[str, Any]] = {}
    for decision in decisions:
        first.setdefault(tuple(decision["source"]), decision)
    ordered = [first[source] for source in sorted(first)]
    rows = np.array([list(decision["features"].values()) for decision in ordered], np.float32)
    expected = by_card(weights, rows, [cards[decision["id"]] for decision in ordered])
    return float(np.abs(expected - [decision["score"] for decision in ordered]).max())
