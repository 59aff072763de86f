"""The network itself: what it is blind to, what it is not, and that the ONNX file answers as it does."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jax", reason="networks are trained with the extra vision-train")
onnx = pytest.importorskip("onnx", reason="models are written with the extra vision-train")

from models.manifest import ImageInput  # noqa: E402
from models.train.classifier import probabilities_of  # noqa: E402
from models.train.network import Network, Recipe, fit  # noqa: E402
from models.train.onnx_conv import Layer, network_of, network_to_onnx  # noqa: E402

LAYERS = (Layer(5, 2, 8), Layer(3, 2, 12))
SIDE = 24
IMAGE = ImageInput(height=SIDE, width=SIDE, channels=1, mean=(0.5,), std=(0.25,))


def surfaces(rows: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (rows, 1, SIDE, SIDE)).astype(np.float32)


def trained(steps: int = 12) -> Network:
    """A network whose weights and norms are no longer those it started with."""
    network = Network(LAYERS, 1, 3, seed=2)
    truth = np.arange(12) % 3
    fit(network, lambda epoch: iter([(surfaces(12, epoch) + 0.7, truth)]), 1, Recipe(steps, batch=12), seed=3)
    return network


def test_how_bright_a_picture_is_on_the_whole_changes_nothing(tmp_path: Path) -> None:
    network = trained()
    onnx.save(network_to_onnx(network.folded(), IMAGE), tmp_path / "model.onnx")
    images = surfaces(6)
    expected = network.probabilities(images)
    assert np.ptp(expected, axis=0).max() > 0.01
    for level in (-2.0, 1.5):
        assert np.abs(network.probabilities(images + np.float32(level)) - expected).max() < 1e-4
        seen = probabilities_of(tmp_path / "model.onnx", images + np.float32(level))
        assert np.abs(seen - expected).max() < 1e-4


def test_one_place_counts_however_much_there_is_around_it() -> None:
    network = Network(LAYERS, 1, 3, seed=2)
    channels = LAYERS[-1].channels
    network.weights[-1]["kernel"][:channels] = 0  # the most of each channel alone
    small = np.zeros((1, 1, SIDE, SIDE), np.float32)
    small[0, 0, 8:14, 8:14] = 3
    large = np.zeros((1, 1, 4 * SIDE, 4 * SIDE), np.float32)
    large[0, 0, 40:46, 40:46] = 3
    told = network.probabilities(small)
    assert np.abs(network.probabilities(large) - told).max() < 1e-5
    assert np.abs(network.probabilities(np.zeros_like(small)) - told).max() > 0.01


def test_training_on_starts_where_training_stopped(tmp_path: Path) -> None:
    network = trained()
    path = tmp_path / "model.onnx"
    onnx.save(network_to_onnx(network.folded(), IMAGE), path)
    again = Network(LAYERS, 1, 3, seed=9)
    again.resume(network_of(path), surfaces(32, 5))
    images = surfaces(6)
    assert np.abs(again.probabilities(images) - network.probabilities(images)).max() < 1e-4
