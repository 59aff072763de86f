"""The shipped surface models: as good as their manifests say, on surfaces that were drawn for nothing else."""

from functools import partial

import numpy as np
import pytest
import simplejpeg

from models.repository import Repository
from models.session import CPU, ModelSession
from pipeline.image.folder import read_pictures, shown
from pipeline.sim.surfaces import CLASSES, CLEAN, SurfaceSource

NAMES = ("surface-cnn", "surface-cnn-int8")
EACH = 12
BYTES_MAX = 2_000_000


def probabilities(name: str) -> tuple[np.ndarray, np.ndarray]:
    """float32[pictures, classes] of fresh surfaces by the model's session, and the true classes."""
    source = SurfaceSource(20260)
    truth = np.repeat(np.arange(len(CLASSES)), EACH)
    drawn = [source.draw(number, CLASSES[label]).pixels for number, label in enumerate(truth.tolist())]
    encoded = [partial(bytes, simplejpeg.encode_jpeg(pixels[:, :, None], 90, "GRAY")) for pixels in drawn]
    entry = Repository.shipped().load(name, "1")
    assert entry.manifest.image is not None
    rows = shown(read_pictures(CLASSES, encoded, truth, 96, 1, str), entry.manifest.image)
    out = np.zeros((len(rows), len(CLASSES)), np.float32)
    ModelSession(entry, providers=[CPU], buckets=[len(rows)]).run(rows, out)
    return out, truth


@pytest.mark.parametrize("name", NAMES)
def test_the_manifest_is_whole(name: str) -> None:
    entry = Repository.shipped().load(name, "1")
    manifest = entry.manifest
    assert manifest.classes == CLASSES
    assert manifest.clean == CLEAN
    assert entry.path.stat().st_size < BYTES_MAX
    assert manifest.speed is not None
    assert manifest.speed.file_bytes == entry.path.stat().st_size
    assert manifest.calibration is not None
    counts = np.array(list(manifest.confusion.values()))
    assert counts.trace() / counts.sum() == pytest.approx(manifest.quality["accuracy"], abs=1e-4)
    assert sum(manifest.calibration.images) == counts.sum()


def test_int8_passed_its_gate_and_is_smaller() -> None:
    full, small = (Repository.shipped().load(name, "1").manifest for name in NAMES)
    assert full.parity is None
    assert small.parity is not None
    assert small.parity.reference == "surface-cnn/1"
    assert small.parity.agreement >= small.parity.agreement_min >= 0.98
    assert full.quality["accuracy"] - small.quality["accuracy"] <= small.parity.accuracy_drop_max + 1e-4 <= 0.0051
    assert full.speed is not None
    assert small.speed is not None
    assert small.speed.file_bytes * 3 < full.speed.file_bytes
    assert min(small.speed.us_a_row) < min(full.speed.us_a_row)


def test_fresh_surfaces_are_told_apart_as_the_manifest_says() -> None:
    full, truth = probabilities(NAMES[0])
    small, _ = probabilities(NAMES[1])
    assert full.sum(axis=1) == pytest.approx(1, abs=1e-5)
    promised = Repository.shipped().load(NAMES[0], "1").manifest.quality["accuracy"]
    assert (full.argmax(axis=1) == truth).mean() > promised - 0.08
    assert (full.argmax(axis=1) == small.argmax(axis=1)).mean() > 0.93
