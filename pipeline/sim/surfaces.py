"""Pictures of rolled metal, clean or with one kind of defect, the same for the same seed and number.

Nothing here is taken from a real picture. A surface is noise at several scales, drawn out along the direction of
rolling, under uneven light; a defect is drawn on top, faint or plain, and the camera adds its grain. Lengths are in
units of a two-hundredth of the shorter side, so that the same class looks alike in any size of picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.sim.defects import DEFECTS, noise

CLEAN = "clean"
CLASSES = (CLEAN, *sorted(DEFECTS))
"""All there are: clean, and the kinds of defect."""
UNITS = 200
_GREY_MAX = 255


@dataclass(frozen=True)
class Surface:
    """One picture: uint8[height, width] and the class it shows."""

    pixels: NDArray[np.uint8]
    name: str


class SurfaceSource:
    """Any number of surfaces, each made from the seed and its own number alone.

    `clean_share` of them are clean, and the defects share the rest alike; None gives every class the same share.
    """

    def __init__(self, seed: int, height: int = 200, width: int = 200, clean_share: float | None = None) -> None:
        if min(height, width) < 16:
            raise ValueError(f"surfaces of {width} x {height} pixels: expected 16 or more a side")
        self._seed, self._height, self._width = seed, height, width
        share = 1 / len(CLASSES) if clean_share is None else clean_share
        self._shares = [share, *[(1 - share) / len(DEFECTS)] * len(DEFECTS)]

    def draw(self, number: int, name: str | None = None) -> Surface:
        """The surface of that number; `name` asks for a class, where it is not to be drawn as well."""
        random = np.random.default_rng([self._seed, number])
        drawn = CLASSES[int(random.choice(len(CLASSES), p=self._shares))]
        name = drawn if name is None else name
        shape = (self._height, self._width)
        unit = min(shape) / UNITS
        plane = _texture(shape, unit, random)
        if name != CLEAN:
            plane += DEFECTS[name](shape, unit, random)
        plane += _light(shape, random)
        plane += random.standard_normal(shape, np.float32) * np.float32(random.uniform(0.004, 0.025))
        np.clip(plane, 0, 1, out=plane)
        return Surface((plane * np.float32(_GREY_MAX) + np.float32(0.5)).astype(np.uint8), name)

    def surfaces(self, first: int = 0) -> Iterator[Surface]:
        """One after another, from the number `first` on."""
        while True:
            yield self.draw(first)
            first += 1


def _texture(shape: tuple[int, int], unit: float, random: np.random.Generator) -> NDArray[np.float32]:
    """The metal itself: lines of rolling, coarse and fine mottling, each more or less strong."""
    along = float(np.exp(random.uniform(0, 3.5)))
    lying = bool(random.integers(2))

    def drawn_out(cell: float) -> tuple[float, float]:
        return (cell, cell * along) if lying else (cell * along, cell)

    strength = random.uniform(0.02, 0.055)
    plane = noise(shape, *drawn_out(1.5 * unit), random) * np.float32(strength)
    plane += noise(shape, *drawn_out(5 * unit), random) * np.float32(strength * random.uniform(0.2, 0.8))
    plane += noise(shape, 2 * unit, 2 * unit, random) * np.float32(random.uniform(0.0, 0.03))
    plane += noise(shape, 30 * unit, 30 * unit, random) * np.float32(random.uniform(0.0, 0.02))
    return plane


def _light(shape: tuple[int, int], random: np.random.Generator) -> NDArray[np.float32]:
    """Grey level and its slope over the picture, with darker corners at times."""
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :]
    level, slope_y, slope_x = random.uniform(0.3, 0.7), *random.normal(0, 0.04, 2)
    corners = random.uniform(0, 0.08)
    light: NDArray[np.float32] = (
        np.float32(level) + np.float32(slope_y) * y + np.float32(slope_x) * x - np.float32(corners) * (y * y + x * x)
    )
    return light
