"""Frames without Kafka: each stage for itself, decode and inference alone (the limit), and the plain loop a frame."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from models.repository import ModelEntry
from models.session import CPU, ModelSession
from pipeline.image.decoder import ImageDecoder
from pipeline.image.measures import MEASURES

Step = Callable[[], int]
"""Does some frames and returns how many."""
STAGE_S = 0.4
RUNS_MIN = 5


def session_of(entry: ModelEntry, rows: int) -> ModelSession:
    """As the pipeline opens it."""
    return ModelSession(entry, providers=[CPU], buckets=[rows], feature_names=())


class Batches:
    """Decodes batches of frames and has them classified, by the pipeline's own decoder and session."""

    def __init__(self, session: ModelSession, values: Sequence[bytes], rows: int) -> None:
        image = session.entry.manifest.image
        assert image is not None
        self._session, self._rows, self._next = session, rows, 0
        self._values = [np.frombuffer(value, np.uint8) for value in values]
        self._where = [(value.ctypes.data, len(value)) for value in self._values]
        self._decoder = ImageDecoder(image)
        self._measures = np.zeros((rows, len(MEASURES)))
        self._tensor = np.zeros((rows, image.channels, image.height, image.width), np.float32)
        self._probabilities = np.zeros((rows, len(session.entry.manifest.classes)), np.float32)

    def decode(self) -> None:
        """The next frames into the tensor."""
        for row in range(self._rows):
            address, length = self._where[self._next % len(self._where)]
            self._next += 1
            self._decoder.decode(address, length, self._tensor[row], self._measures[row])

    def infer(self) -> None:
        """What the tensor holds."""
        self._session.run(self._tensor, self._probabilities)

    def step(self) -> int:
        """Both."""
        self.decode()
        self.infer()
        return self._rows


def stages(entry: ModelEntry, values: Sequence[bytes], rows: int) -> dict[str, float]:
    """us a frame of decode and preparation, and of inference, on one thread: medians of batches."""
    batches = Batches(session_of(entry, rows), values, rows)
    batches.step()
    took: list[tuple[int, int]] = []
    until = time.perf_counter() + STAGE_S
    while time.perf_counter() < until or len(took) < RUNS_MIN:
        started = time.perf_counter_ns()
        batches.decode()
        decoded = time.perf_counter_ns()
        batches.infer()
        took.append((decoded - started, time.perf_counter_ns() - decoded))
    decode_us, infer_us = (float(np.median(part)) / rows / 1000 for part in zip(*took, strict=True))
    total_us = decode_us + infer_us
    return {"decode_us": decode_us, "inference_us": infer_us, "us": total_us, "frames_s": 1e6 / total_us}


def frames_a_second(steps: Sequence[Step], seconds: float) -> float:
    """Of steps repeated side by side, each on a thread of its own."""
    for step in steps:
        step()
    started = time.perf_counter()

    def repeat(step: Step) -> float:
        done = 0
        while time.perf_counter() < started + seconds:
            done += step()
        return done / (time.perf_counter() - started)

    with ThreadPoolExecutor(len(steps)) as pool:
        return sum(pool.map(repeat, steps))


def limit(session: ModelSession, values: Sequence[bytes], rows: int, threads: int, seconds: float) -> float:
    """Frames a second of decode and inference alone. The threads share the session, as in the pipeline."""
    return frames_a_second([Batches(session, values, rows).step for _ in range(threads)], seconds)


def plain(entry: ModelEntry, values: Sequence[bytes], threads: int, seconds: float) -> float | None:
    """Frames a second of a loop a frame on each thread; None where OpenCV is absent."""
    steps = [plain_step(entry, values) for _ in range(threads)]
    return frames_a_second([step for step in steps if step], seconds) if all(steps) else None


def plain_step(entry: ModelEntry, values: Sequence[bytes]) -> Step | None:
    """What one writes with OpenCV and ONNX Runtime: decode, resize by area, normalise, run, one frame at a time."""
    try:
        import cv2
    except ModuleNotFoundError:
        return None
    import onnxruntime as ort

    cv2.setNumThreads(1)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session: Any = ort.InferenceSession(str(entry.path), options, providers=[CPU])
    image, name = entry.manifest.image, entry.manifest.input
    assert image is not None
    mean, std = np.float32(image.mean), np.float32(image.std)
    buffers = [np.frombuffer(value, np.uint8) for value in values]
    number = 0

    def step() -> int:
        nonlocal number
        value = buffers[number % len(buffers)]
        number += 1
        pixels = cv2.imdecode(value, cv2.IMREAD_GRAYSCALE if image.channels == 1 else cv2.IMREAD_COLOR)
        pixels = cv2.resize(pixels, (image.width, image.height), interpolation=cv2.INTER_AREA)
        if image.channels == 1:
            tensor = ((pixels.astype(np.float32) / 255 - mean) / std)[None, None]
        else:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
            tensor = np.ascontiguousarray(((pixels.astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1))[None]
        session.run(None, {name: tensor})
        return 1

    return step
