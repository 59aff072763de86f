"""What benchmarks of the vision pipeline share: the frames they send, the models they ask, the settings of a run."""

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import simplejpeg
from confluent_kafka import Consumer, TopicPartition

from bench._cluster import make_topics
from models.repository import ModelEntry, Repository
from pipeline.config.load import load
from pipeline.config.model import PipelineConfig
from pipeline.sim.frames import Belt, FrameLoad, drive_frames
from pipeline.sim.surfaces import SurfaceSource

FP32, INT8 = "surface-cnn", "surface-cnn-int8"
MODELS = (FP32, INT8)
VERSION = "1"
SHIPPED = "vision"
HOUR_MS = 3_600_000
SETTLE_S = 2.0
"""After topics are made: until the broker leads all their partitions."""
TOPICS = {"frames": 4, "decisions": 4, "dead-letters": 1, "metrics": 1}
TINT = (1.0, 0.97, 0.9)
GRAIN = 3.0


@dataclass(frozen=True)
class Cameras(Belt):
    """A belt whose pictures may be in colour: a tint, and a grain of its own in each channel."""

    colour: bool = False

    def frames(self) -> list[bytes]:
        """The pictures as JPEGs, drawn once in a process."""
        return list(_drawn(self))


@cache
def _drawn(belt: Cameras) -> list[bytes]:
    if not belt.colour:
        return Belt.frames(belt)
    source = SurfaceSource(belt.seed, belt.height, belt.width, belt.clean_share)
    random, encoded = np.random.default_rng(belt.seed), []
    for number in range(belt.pictures):
        plane = source.draw(number).pixels[:, :, None] * np.float32(TINT)
        plane += random.standard_normal(plane.shape, np.float32) * np.float32(GRAIN)
        encoded.append(simplejpeg.encode_jpeg(np.clip(plane, 0, 255).astype(np.uint8), belt.quality, "RGB", "420"))
    return encoded


SIZES = {
    "200x200": Cameras(),
    "1920x1080": Cameras(height=1080, width=1920, pictures=12, colour=True),
}


def told(size: str) -> str:
    """A size with its channels, as tables say it."""
    return f"{size} {'colour' if SIZES[size].colour else 'grey'}"


def add_models_option(parser: argparse.ArgumentParser) -> None:
    """`--models FOLDER`, a repository that holds both models."""
    parser.add_argument("--models", type=Path, help="a repository with both models; else the shipped one")


def entries(folder: Path | None) -> dict[str, ModelEntry]:
    """Both models by name. Ends the program with a line where they are not there."""
    repository = Repository(folder) if folder else Repository.shipped()
    missing = [name for name in MODELS if (name, VERSION) not in repository.names()]
    if missing:
        raise SystemExit(f"no {' and no '.join(missing)} in {folder or 'the shipped models'}: skipped")
    return {name: repository.load(name, VERSION) for name in MODELS}


def configured(
    bootstrap: str, suffix: str, models: Path | None, settings: Sequence[str] = (), source: str = SHIPPED
) -> PipelineConfig:
    """The pipeline of a source, on topics and in a group of its own; `settings` come last."""
    folder = [f"models.folder={models}"] if models else []
    assignments = (
        f"kafka.bootstrap.servers={bootstrap}",
        f"kafka.group.id=vision{suffix}-{time.time_ns()}",
        f"inputs.frames.topic=frames{suffix}",
        *(f"topics.{name.replace('-', '_')}={name}{suffix}" for name in TOPICS if name != "frames"),
        *folder,
        *settings,
    )
    return load(source, environ=os.environ, assignments=assignments).config


def fill(bootstrap: str, suffix: str, belt: Belt, frames: int) -> None:
    """Make the topics of a run and send so many frames. Ends the program where the topic does not hold them all."""
    make_topics(bootstrap, {name + suffix: count for name, count in TOPICS.items()})
    time.sleep(SETTLE_S)
    topic = f"frames{suffix}"
    drive_frames({"bootstrap.servers": bootstrap}, FrameLoad(frames, 0, belt, topic))
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "vision-held"})
    ends = [reader.get_watermark_offsets(TopicPartition(topic, n), 10.0) for n in range(TOPICS["frames"])]
    reader.close()
    held = sum(end - start for start, end in ends)
    if held != frames:
        raise SystemExit(f"{frames} frames were sent and delivered, topic {topic} holds {held}")


def of_cameras(size: str, cameras: int) -> Cameras:
    """The frames of a size, from so many cameras."""
    return replace(SIZES[size], cameras=cameras)
