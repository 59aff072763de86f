"""From a trained network to entries in a repository: float32, and int8 where it passes its gate."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from models.manifest import ImageInput, Manifest, ModelError, Parity, Speed, Trained, write_manifest
from models.repository import MANIFEST_FILE, MODEL_FILE, ModelEntry, Repository, sha256_of
from models.train.classifier import (
    Floats,
    calibration_of,
    confusion_of,
    probabilities_of,
    quality_of,
    scaled,
    speeds_of,
    temperature_of,
)
from models.train.network import Network
from models.train.onnx_conv import INPUT, OUTPUT, network_to_onnx
from models.train.pictures import Pictures
from models.train.quantise import parity_of, quantise

KIND = "image-classifier"
SMALL = "-int8"
"""What the name of the quantised model ends in."""
PARITY_MAX = 1e-4
RANGES_IMAGES = 256
THRESHOLDS = (0.3, 0.7)


Show = Callable[[Pictures, ImageInput], Floats]


@dataclass(frozen=True)
class Lineage:
    """What the manifests say that is not measured."""

    name: str
    version: str
    clean: str | None
    licence: str
    trained: Trained


def register(
    repository: Repository,
    network: Network,
    image: ImageInput,
    pictures: tuple[Pictures, Pictures, Pictures],
    lineage: Lineage,
    limits: tuple[float, float],
    show: Show,
    written: Callable[[ModelEntry], None],
) -> list[ModelEntry]:
    """Write both models, from pictures learnt from, to set the temperature on, and to measure on; tell of each.

    `limits` are the least agreement and the largest drop of accuracy of the int8 model. Raises ModelError when ONNX
    Runtime does not give what the network gives, and QuantisationError, after the float32 model is written, when
    the int8 model is outside its limits.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain, full, small = (folder / f"{part}.onnx" for part in ("plain", "full", "small"))
        learnt, tuned, tested = pictures
        images = show(tested, image)
        folded = network.folded()
        onnx.save(network_to_onnx(folded, image), plain)
        _check_parity(plain, network, images[:RANGES_IMAGES])
        temperature = temperature_of(probabilities_of(plain, show(tuned, image)), tuned.truth)
        onnx.save(network_to_onnx(folded, image, temperature), full)
        some = np.random.default_rng([lineage.trained.seed, 6]).permutation(len(learnt.images))[:RANGES_IMAGES]
        quantise(full, show(learnt.some(some), image), small)
        writer = _Writer(repository, image, tested, lineage, temperature)
        speeds = speeds_of((full, small), (image.channels, image.height, image.width))
        expected, found = probabilities_of(full, images), probabilities_of(small, images)
        entries = [writer.write(full, lineage.name, expected, speeds[0], None)]
        written(entries[0])
        parity = parity_of(f"{lineage.name}/{lineage.version}", expected, found, tested.truth, *limits)
        entries.append(writer.write(small, lineage.name + SMALL, found, speeds[1], parity))
        written(entries[1])
        return entries


def _check_parity(path: Path, network: Network, images: Floats) -> None:
    apart = float(np.abs(probabilities_of(path, images) - network.probabilities(images)).max())
    if not apart <= PARITY_MAX:
        raise ModelError(
            f"ONNX Runtime's probabilities are {apart:g} from the trained network's, {PARITY_MAX:g} allowed"
        )


@dataclass(frozen=True)
class _Writer:
    """What both entries have in common."""

    repository: Repository
    image: ImageInput
    tested: Pictures
    lineage: Lineage
    temperature: float

    def write(self, path: Path, name: str, probabilities: Floats, speed: Speed, parity: Parity | None) -> ModelEntry:
        lineage, names, truth = self.lineage, self.tested.names, self.tested.truth
        before = scaled(probabilities, 1 / self.temperature)
        folder = self.repository.folder / name / lineage.version
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MODEL_FILE).write_bytes(path.read_bytes())
        manifest = Manifest(
            name=name,
            version=lineage.version,
            kind=KIND,
            licence=lineage.licence,
            input=INPUT,
            output=OUTPUT,
            classes=names,
            clean=lineage.clean,
            thresholds=THRESHOLDS,
            sha256=sha256_of(path),
            trained=lineage.trained,
            quality=quality_of(probabilities, truth, None if lineage.clean is None else names.index(lineage.clean)),
            image=self.image,
            confusion=confusion_of(probabilities, truth, names),
            calibration=calibration_of(before, probabilities, truth, self.temperature),
            speed=speed,
            parity=parity,
        )
        write_manifest(folder / MANIFEST_FILE, manifest)
        return self.repository.load(name, lineage.version)
