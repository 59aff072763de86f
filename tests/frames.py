"""What tests of the vision pipeline share: frames, a classifier small enough to reckon with, records with headers."""

import io
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from confluent_kafka import Producer
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

from models.manifest import ImageInput, Manifest, Trained, write_manifest
from models.repository import sha256_of
from pipeline.config.load import load
from pipeline.config.model import PipelineConfig
from tests.traffic import assignments

CLASSES = ("bright", "clean", "dark")
"""By the mean of a frame's luma: above three quarters, between, below one quarter."""
SLOPE = 40.0
TIERS = ("surface-cnn", "surface-cnn-int8")
SIDE = 16
TOPICS = {"frames": 2, "decisions": 2, "dead-letters": 1, "metrics": 1}
Headers = list[tuple[str, bytes | None]]


class Frame(NamedTuple):
    """A record: key, value, headers."""

    key: bytes | None
    value: bytes | None
    headers: Headers


def probabilities(mean: float) -> NDArray[np.float64]:
    """What the tiny classifier says of a frame whose luma has this mean in [0, 1]."""
    powers = np.exp([SLOPE * (mean - 0.75), 0.0, SLOPE * (0.25 - mean)])
    return powers / powers.sum()


def write_classifiers(
    folder: Path, names: Sequence[str] = TIERS, *, clean: str | None = "clean", classes: Sequence[str] = CLASSES
) -> Path:
    """Version 1 of each classifier under `folder`, which is returned."""
    for name in names:
        entry = folder / name / "1"
        entry.mkdir(parents=True)
        onnx.save(_classifier(), entry / "model.onnx")
        manifest = Manifest(
            name=name,
            version="1",
            kind="image-classifier",
            licence="Apache-2.0",
            input="pixels",
            output="probabilities",
            classes=tuple(classes),
            clean=clean,
            thresholds=(0.3, 0.7),
            sha256=sha256_of(entry / "model.onnx"),
            trained=Trained(when=date(2026, 2, 3), how="made up", data="none", rows=0, positives=0, seed=0),
            quality={"accuracy": 1.0},
            image=ImageInput(height=SIDE, width=SIDE, channels=1, mean=(0.5,), std=(0.25,)),
        )
        write_manifest(entry / "manifest.toml", manifest)
    return folder


def _classifier() -> onnx.ModelProto:
    """The mean of the normalised pixels, times a slope for each class, softmax."""
    weights = np.array([[SLOPE * 0.25, 0.0, -SLOPE * 0.25]], np.float32)
    offset = np.array([SLOPE * (0.5 - 0.75), 0.0, SLOPE * (0.25 - 0.5)], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["mean", "weights"], ["sloped"]),
            helper.make_node("Add", ["sloped", "offset"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "brightness",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 3])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [1, 3], weights),
            helper.make_tensor("offset", TensorProto.FLOAT, [3], offset),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def image(level: int, width: int = 32, height: int = 24, form: str = "JPEG") -> bytes:
    """A grey frame of one level."""
    out = io.BytesIO()
    Image.fromarray(np.full((height, width), level, np.uint8)).save(
        out, form, **({"quality": 95} if form == "JPEG" else {})
    )
    return out.getvalue()


def headers_of(camera: str, frame: int | str, captured_ms: int | None = None) -> Headers:
    """The headers of a frame."""
    captured_ms = time.time_ns() // 1_000_000 if captured_ms is None else captured_ms
    return [("camera_id", camera.encode()), ("frame_id", str(frame).encode()), ("captured_at", b"%d" % captured_ms)]


def frame(camera: str, number: int, value: bytes | None) -> Frame:
    """A frame of a camera with all its headers."""
    return Frame(camera.encode(), value, headers_of(camera, number))


def send_frames(bootstrap: str, frames: Sequence[Frame], topic: str = "frames") -> None:
    """Produce frames and wait."""
    settings = {"enable.idempotence": True, "partitioner": "murmur2_random", "message.max.bytes": 20_000_000}
    producer = Producer({"bootstrap.servers": bootstrap, **settings})
    for one in frames:
        while True:
            try:
                producer.produce(topic, one.value, one.key, headers=one.headers)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(30) == 0


def vision(bootstrap: str, models: Path, *more: str, suffix: str = "") -> PipelineConfig:
    """The shipped vision pipeline over the tiny classifiers, with patience enough for a slow machine."""
    fraud = [text for text in assignments(bootstrap, suffix=suffix) if not text.startswith("inputs.")]
    own = [f"inputs.frames.topic=frames{suffix}", f"models.folder={models}"]
    return load("vision", environ={}, assignments=[*fraud, *own, *more]).config
