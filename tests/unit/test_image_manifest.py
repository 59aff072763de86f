"""The manifest of a model that takes images."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from models.manifest import (
    Calibration,
    ImageInput,
    Manifest,
    ModelError,
    Parity,
    Speed,
    Trained,
    read_manifest,
    write_manifest,
)

CLASSES = ("clean", "pits", 'rolled "in"', "")


def manifest(**changes: Any) -> Manifest:
    parts: dict[str, Any] = {
        "name": "surface",
        "version": "1",
        "kind": "image-classifier",
        "licence": "Apache-2.0",
        "input": "image",
        "output": "probabilities",
        "classes": CLASSES,
        "clean": "clean",
        "thresholds": (0.5, 0.9),
        "sha256": "0" * 64,
        "trained": Trained(when=date(2026, 2, 3), how="made up", data="none", rows=0, positives=0, seed=0),
        "quality": {"accuracy": 0.5},
        "image": ImageInput(height=96, width=64, channels=3, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6)),
        "confusion": {name: tuple(range(len(CLASSES))) for name in CLASSES},
    }
    return Manifest(**{**parts, **changes})


@pytest.mark.parametrize("clean", ["clean", None])
def test_it_reads_back_as_it_was_written(tmp_path: Path, clean: str | None) -> None:
    whole = manifest(
        clean=clean,
        calibration=Calibration(
            temperature=1.25,
            ece_before=0.1,
            ece_after=1e-7,
            images=(0, 3),
            confidence=(0.0, 0.9),
            accuracy=(0.0, 1.0),
        ),
        speed=Speed(
            machine="two cores", provider="CPU", threads=1, batch=(1, 8), us_a_row=(10.5, 9.0), file_bytes=1234
        ),
        parity=Parity(
            reference="surface/1",
            images=7,
            agreement=1.0,
            agreement_min=0.98,
            accuracy_drop=-0.01,
            accuracy_drop_max=0.1,
        ),
    )
    for each in (whole, manifest(clean=clean)):
        write_manifest(tmp_path / "manifest.toml", each)
        assert read_manifest(tmp_path / "manifest.toml") == each


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": None}, "a model without .image. takes at least one feature"),
        ({"inputs": ("amount",)}, "a model with .image. takes no features"),
        ({"classes": ("pits",), "confusion": {}}, "expected at least two, each once"),
        ({"classes": ("pits", "pits"), "confusion": {}}, "expected at least two, each once"),
        ({"clean": "spotless"}, "clean is spotless, which is none of clean, pits"),
        ({"confusion": {"pits": (1, 2, 3, 4)}}, "confusion has pits, expected clean, pits"),
        ({"confusion": dict.fromkeys(CLASSES, (1, 2))}, "expected 4 counts for each class"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        manifest(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"std": (0.4, 0.5)}, "std has 2 numbers, expected one for each of 3 channels"),
        ({"mean": ()}, "mean has 0 numbers"),
        ({"std": (0.4, 0.0, 0.5)}, "expected numbers above 0"),
        ({"channels": 4}, "channels"),
        ({"height": 100_000}, "height"),
    ],
)
def test_an_image_input_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageInput(**{"height": 96, "width": 64, "channels": 3, "mean": (0.1,) * 3, "std": (0.4,) * 3, **changes})


def test_a_mistake_names_file_and_table(tmp_path: Path) -> None:
    path = tmp_path / "manifest.toml"
    write_manifest(path, manifest())
    path.write_text(path.read_text().replace("height = 96", 'height = "high"'))
    with pytest.raises(ModelError, match=r"manifest\.toml: image\.height"):
        read_manifest(path)
