"""How good a classifier of images is, and how far its probabilities can be taken at their word."""

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.manifest import Calibration, Speed
from models.train.onnx_conv import INPUT

BINS = 10
SPEED_BATCHES = (1, 8, 32)
SPEED_RUNS = 15
TEMPERATURES = np.exp(np.linspace(np.log(0.2), np.log(5.0), 400))
Floats = NDArray[np.float32]
Classes = NDArray[np.int64]


def probabilities_of(model: Path, images: Floats, batch: int = 32) -> Floats:
    """float32[rows, classes] of images float32[rows, C, H, W], by ONNX Runtime on one thread."""
    session = _session(model)
    parts = [session.run(None, {INPUT: images[at : at + batch]})[0] for at in range(0, len(images), batch)]
    return np.concatenate(parts)


def accuracy_of(probabilities: Floats, truth: Classes) -> float:
    """The share of rows whose likeliest class is the true one."""
    return float((probabilities.argmax(axis=1) == truth).mean())


def quality_of(probabilities: Floats, truth: Classes, clean: int | None) -> dict[str, float]:
    """Accuracy, the recall of the class that fares worst, and how often clean and defect are taken for each other."""
    found = probabilities.argmax(axis=1)
    recalls = [float((found[truth == label] == label).mean()) for label in np.unique(truth)]
    quality = {"accuracy": accuracy_of(probabilities, truth), "recall_min": min(recalls)}
    if clean is not None:
        quality["defects_missed"] = float((found[truth != clean] == clean).mean())
        quality["false_alarms"] = float((found[truth == clean] != clean).mean())
    return {name: round(value, 4) for name, value in quality.items()}


def confusion_of(probabilities: Floats, truth: Classes, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Of each true class, how many were put in which."""
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (truth, probabilities.argmax(axis=1)), 1)
    return {name: tuple(row) for name, row in zip(names, counts.tolist(), strict=True)}


def temperature_of(probabilities: Floats, truth: Classes) -> float:
    """What to divide the logits by, so that the images' classes become likeliest (Guo et al., 2017).

    The true class is to have (n + 1) / (n + classes), not 1 (after Platt, 1999): where all n images are put right,
    nothing else would keep the probabilities from being driven to 1.
    """
    logits = np.log(np.maximum(probabilities, 1e-30)).astype(np.float64)
    rows, classes = logits.shape
    wanted = np.full((rows, classes), 1 / (rows + classes))
    wanted[np.arange(rows), truth] = (rows + 1) / (rows + classes)

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        return float((np.log(np.exp(scaled - scaled.max(1, keepdims=True)).sum(1)) + scaled.max(1)).sum()
                     - (wanted * scaled).sum())  # fmt: skip

    return float(min(TEMPERATURES, key=loss))


def scaled(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities of the same logits at another temperature."""
    powers = np.maximum(probabilities, 1e-30).astype(np.float64) ** (1 / temperature)
    result: Floats = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


def calibration_of(before: Floats, after: Floats, truth: Classes, temperature: float) -> Calibration:
    """Reliability by bins of confidence, with the error before and after the temperature was set."""
    images, confidence, accuracy = _reliability(after, truth)
    return Calibration(
        temperature=round(temperature, 4),
        ece_before=_expected_error(*_reliability(before, truth)),
        ece_after=_expected_error(images, confidence, accuracy),
        images=tuple(images.tolist()),
        confidence=tuple(confidence.round(4).tolist()),
        accuracy=tuple(accuracy.round(4).tolist()),
    )


def _reliability(probabilities: Floats, truth: Classes) -> tuple[Any, Any, Any]:
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == truth
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    images = np.bincount(place, minlength=BINS)
    many = np.maximum(images, 1)
    return images, np.bincount(place, confidence, BINS) / many, np.bincount(place, right, BINS) / many


def _expected_error(images: Any, confidence: Any, accuracy: Any) -> float:
    return round(float((images * np.abs(confidence - accuracy)).sum() / images.sum()), 5)


def speeds_of(models: Sequence[Path], image_shape: tuple[int, int, int]) -> list[Speed]:
    """Time a row of each model on one thread, the models in turn, so that what disturbs one disturbs all.

    The fastest of some runs counts: what made the others slower was not the model.
    """
    sessions = [_session(model) for model in models]
    took: list[list[float]] = [[] for _ in models]
    for batch in SPEED_BATCHES:
        images = np.random.default_rng(batch).standard_normal((batch, *image_shape), np.float32)
        runs: list[list[int]] = [[] for _ in models]
        for _ in range(SPEED_RUNS + 1):
            for session, times in zip(sessions, runs, strict=True):
                started_ns = time.perf_counter_ns()
                session.run(None, {INPUT: images})
                times.append(time.perf_counter_ns() - started_ns)
        for times, us_a_row in zip(runs, took, strict=True):
            us_a_row.append(round(min(times[1:]) / 1e3 / batch, 1))
    return [
        Speed(
            machine=machine_name(),
            provider="CPUExecutionProvider",
            threads=1,
            batch=SPEED_BATCHES,
            us_a_row=tuple(us_a_row),
            file_bytes=model.stat().st_size,
        )
        for model, us_a_row in zip(models, took, strict=True)
    ]


def _session(model: Path) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def machine_name() -> str:
    """The processor in words, with how many of it there are."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} processors"
