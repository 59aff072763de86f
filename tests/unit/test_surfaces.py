"""Drawn surfaces: the same for the same seed, each class unlike the others, in any size."""

import numpy as np
import pytest

from pipeline.sim.defects import DEFECTS, noise
from pipeline.sim.surfaces import CLASSES, CLEAN, SurfaceSource

SHAPE = (160, 160)


def test_a_surface_is_made_from_seed_and_number_alone() -> None:
    source = SurfaceSource(7, 64, 80)
    first = [surface.pixels for surface, _ in zip(source.surfaces(), range(5), strict=False)]
    again = SurfaceSource(7, 64, 80)
    for number in (3, 0, 4):
        assert np.array_equal(again.draw(number).pixels, first[number])
    assert not np.array_equal(SurfaceSource(8, 64, 80).draw(0).pixels, first[0])
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize("shape", [(16, 16), (200, 200), (1080, 1920)])
def test_any_size(shape: tuple[int, int]) -> None:
    for name in CLASSES if shape[0] < 1000 else CLASSES[:2]:
        surface = SurfaceSource(1, *shape).draw(0, name)
        assert surface.name == name
        assert surface.pixels.shape == shape
        assert surface.pixels.dtype == np.uint8
        assert surface.pixels.std() > 1


def test_too_small_is_told() -> None:
    with pytest.raises(ValueError, match="8 x 300 pixels: expected 16 or more"):
        SurfaceSource(1, 300, 8)


def test_there_are_six_kinds_of_defect_and_each_has_its_share() -> None:
    assert len(DEFECTS) >= 6
    names = [SurfaceSource(1, 16, 16).draw(number).name for number in range(200)]
    assert set(names) == set(CLASSES)
    mostly = [SurfaceSource(1, 16, 16, clean_share=0.9).draw(number).name for number in range(150)]
    assert 0.8 < mostly.count(CLEAN) / len(mostly) < 0.97


def covered(name: str, seed: int) -> float:
    """The share of a picture that a defect changes by more than the grain hides."""
    plane = DEFECTS[name](SHAPE, SHAPE[0] / 200, np.random.default_rng([seed, 1]))
    assert plane.shape == SHAPE
    assert plane.dtype == np.float32
    assert np.isfinite(plane).all()
    return float((np.abs(plane) > 0.05).mean())


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("scratches", 0.001, 0.12),
        ("pits", 0.003, 0.15),
        ("inclusion", 0.003, 0.2),
        ("crazing", 0.03, 0.35),
        ("scale", 0.02, 0.5),
        ("patches", 0.1, 0.7),
    ],
)
def test_each_kind_is_seen_and_covers_what_it_should(name: str, least: float, most: float) -> None:
    shares = [covered(name, seed) for seed in range(12)]
    assert least <= np.median(shares) <= most
    assert min(shares) > 0


def test_pits_are_many_and_scratches_long() -> None:
    for seed in range(6):
        pits = DEFECTS["pits"](SHAPE, 0.8, np.random.default_rng([seed, 2])) < -0.05
        scratch = np.abs(DEFECTS["scratches"](SHAPE, 0.8, np.random.default_rng([seed, 2]))) > 0.05
        assert extent(scratch) > 20
        assert starts(pits) >= 8


def extent(marked: np.ndarray) -> int:
    """The longer side of what is marked."""
    rows, columns = np.nonzero(marked)
    return int(max(np.ptp(rows), np.ptp(columns))) + 1


def starts(marked: np.ndarray) -> int:
    """How often a marked pixel has none above it and none to its left."""
    padded = np.pad(marked, 1)
    return int((padded[1:-1, 1:-1] & ~padded[:-2, 1:-1] & ~padded[1:-1, :-2]).sum())


def test_noise_is_smooth_and_of_one_strength() -> None:
    plane = noise((300, 400), 8, 20, np.random.default_rng(0))
    assert abs(plane.mean()) < 0.1
    assert 0.7 < plane.std() < 1.3
    assert np.abs(np.diff(plane, axis=1)).max() < np.abs(np.diff(plane, axis=0)).max() < 1.5
