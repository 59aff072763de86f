"""The exported step is the network, a sequence of it is the whole, and its weights come back from the file."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from models.manifest import ModelError
from models.repository import Repository
from models.train.onnx_gru import INPUT, STATE, recurrent_weights, sequence_onnx, step_onnx, steps_onnx
from tests.recurrent_models import random_weights, whole_history

WEIGHTS = random_weights(4, 6)
CARDS, STEPS = 3, 32


def session(model: onnx.ModelProto) -> ort.InferenceSession:
    onnx.checker.check_model(model)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(0).uniform(-2, 30, (STEPS, CARDS, 4)).astype(np.float32)


def test_steps_a_sequence_and_plain_arithmetic_say_the_same(rows: np.ndarray) -> None:
    step, state, score = session(step_onnx(WEIGHTS)), np.zeros((CARDS, 6), np.float32), None
    for at in rows:
        score, state = step.run(None, {INPUT: at, STATE: state})
    assert score is not None
    expected = [whole_history(WEIGHTS, rows[:, card])[-1] for card in range(CARDS)]
    np.testing.assert_allclose(score[:, 0], expected, atol=1e-6)
    for whole in (sequence_onnx(WEIGHTS, STEPS), steps_onnx(WEIGHTS, STEPS)):
        np.testing.assert_allclose(session(whole).run(None, {INPUT: rows})[0], score, atol=1e-6)


def test_weights_come_back_from_the_file(tmp_path: Path) -> None:
    onnx.save(step_onnx(WEIGHTS), tmp_path / "model.onnx")
    found = recurrent_weights(tmp_path / "model.onnx")
    assert found.layers.keys() == WEIGHTS.layers.keys()
    for name, values in WEIGHTS.layers.items():
        np.testing.assert_array_equal(found.layers[name], values)
    assert (found.clip, found.features, found.hidden) == (3.0, 4, 6)


def test_another_models_file_has_no_such_weights() -> None:
    path = Repository.shipped().load("fraud-lite", "1").path
    with pytest.raises(ModelError, match=r"model.onnx: it has no constant 'product', expected a recurrent model"):
        recurrent_weights(path)
