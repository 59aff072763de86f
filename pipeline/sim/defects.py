"""What can be wrong with a surface: each kind drawn as a change of grey, float32[height, width].

`unit` is the length that all others are given in, in pixels. Faint ones are drawn on purpose: a model that has never
seen one calls it clean.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Shape = tuple[int, int]


def noise(shape: Shape, cell_y: float, cell_x: float, random: np.random.Generator) -> Plane:
    """Smooth noise of mean 0 and deviation near 1 whose bumps are about a cell in size."""
    weights = []
    for side, cell in zip(shape, (cell_y, cell_x), strict=True):
        at = np.arange(side) / max(cell, 1.0) + random.random()
        low = at.astype(np.int64)
        share = at - low
        weights.append((low, (share * share * (3 - 2 * share)).astype(np.float32)))
    (rows, down), (columns, across) = weights
    grid = random.standard_normal((rows[-1] + 2, columns[-1] + 2), np.float32)
    lines = grid[:, columns] + (grid[:, columns + 1] - grid[:, columns]) * across
    plane: Plane = lines[rows] + (lines[rows + 1] - lines[rows]) * down[:, None]
    return plane * np.float32(1.35)  # interpolating takes a quarter of the deviation


def _either(random: np.random.Generator, low: float, high: float) -> np.float32:
    """A strength, darker or lighter than the metal."""
    return np.float32(random.uniform(low, high) * random.choice((-1, 1)))


def _step(values: Plane) -> Plane:
    """From 0 far below nought to 1 far above it."""
    plane: Plane = np.tanh(values * np.float32(0.5)) * np.float32(0.5) + np.float32(0.5)
    return plane


def _axes(shape: Shape) -> tuple[Plane, Plane]:
    return np.arange(shape[0], dtype=np.float32)[:, None], np.arange(shape[1], dtype=np.float32)[None, :]


def scratches(shape: Shape, unit: float, random: np.random.Generator) -> Plane:
    """A few long thin lines, nearly straight, that rise and fade along their way."""
    y, x = _axes(shape)
    plane = np.zeros(shape, np.float32)
    main = random.uniform(0, np.pi)
    strength = _either(random, 0.2, 0.45)
    for _ in range(random.integers(1, 5)):
        angle = main + random.normal(0, 0.12)
        sine, cosine = np.float32(np.sin(angle)), np.float32(np.cos(angle))
        middle_y, middle_x = random.uniform(0.2, 0.8) * shape[0], random.uniform(0.2, 0.8) * shape[1]
        along = (y - np.float32(middle_y)) * sine + (x - np.float32(middle_x)) * cosine
        across = (y - np.float32(middle_y)) * cosine - (x - np.float32(middle_x)) * sine
        length, width = random.uniform(40, 140) * unit, max(random.uniform(1.1, 2.6) * unit, 0.6)
        across += np.float32(random.normal(0, 3) * unit) * (along / np.float32(length)) ** 2
        near = np.exp(-((across / np.float32(width)) ** 2)) * (np.abs(along) < length / 2)
        fading = 1 - np.abs(along) / np.float32(length) * np.float32(random.uniform(0.2, 1.2))
        plane += strength * near * fading
    return plane


def _stamp(plane: Plane, middle: tuple[float, float], reach: float) -> tuple[Plane, Plane, Plane]:
    """The part of a plane around a place, with the distances down and right from it."""
    top, left = (max(0, int(at - reach)) for at in middle)
    part = plane[top : int(middle[0] + reach) + 2, left : int(middle[1] + reach) + 2]
    y, x = _axes((part.shape[0], part.shape[1]))
    return part, y + np.float32(top - middle[0]), x + np.float32(left - middle[1])


def pits(shape: Shape, unit: float, random: np.random.Generator) -> Plane:
    """Many small round holes, dark with a lit rim, here in a swarm and there alone."""
    plane = np.zeros(shape, np.float32)
    count = int(random.integers(15, 80))
    swarm = random.uniform(0.2, 0.8, 2)
    spread = random.uniform(0.12, 0.5)
    places = np.where(
        random.random((count, 1)) < 0.7, random.normal(swarm, spread, (count, 2)), random.random((count, 2))
    )
    depth, lit = random.uniform(0.2, 0.45), random.uniform(0.0, 0.12)
    for place in places:
        radius = max(random.uniform(1.2, 4.0) * unit, 0.8)
        middle = (float(place[0] * shape[0]), float(place[1] * shape[1]))
        if not (0 <= middle[0] < shape[0] and 0 <= middle[1] < shape[1]):
            continue
        part, y, x = _stamp(plane, middle, 3 * radius)
        far = (y * y + x * x) / np.float32(radius * radius)
        rim = np.exp(-((np.sqrt(far) - np.float32(1.4)) ** 2) * 6)
        part += np.float32(lit) * rim - np.float32(depth * random.uniform(0.6, 1.2)) * np.exp(-far * far)
    return plane


def inclusion(shape: Shape, unit: float, random: np.random.Generator) -> Plane:
    """Foreign matter rolled in: a few dark slivers along one direction, with ragged edges."""
    plane = np.zeros(shape, np.float32)
    main = random.uniform(0, np.pi)
    depth = np.float32(random.uniform(0.15, 0.4))
    for _ in range(random.integers(1, 6)):
        angle = main + random.normal(0, 0.08)
        length, width = random.uniform(12, 38) * unit, random.uniform(2.5, 7) * unit
        middle = (random.uniform(0.15, 0.85) * shape[0], random.uniform(0.15, 0.85) * shape[1])
        part, y, x = _stamp(plane, middle, 1.3 * length)
        along = y * np.float32(np.sin(angle)) + x * np.float32(np.cos(angle))
        across = y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle))
        far = (along / np.float32(length)) ** 2 + (across / np.float32(width)) ** 2
        far += noise((part.shape[0], part.shape[1]), 3 * unit, 3 * unit, random) * np.float32(0.22)
        part -= depth * _step((np.float32(0.8) - far.astype(np.float32, copy=False)) * 9)
    return plane


def patches(shape: Shape, unit: float, random: np.random.Generator) -> Plane:
    """Large blotches with a plain edge, over a third of the picture or so."""
    coarse = noise(shape, 45 * unit, 45 * unit, random) + noise(shape, 9 * unit, 9 * unit, random) * np.float32(0.2)
    level = np.quantile(coarse[::4, ::4], random.uniform(0.45, 0.8))
    edge = np.float32(random.uniform(6, 20))
    return _either(random, 0.1, 0.32) * _step((coarse - np.float32(level)) * edge)


def scale(shape: Shape, unit: float, random: np.random.Generator) -> Plane:
    """Oxide pressed in by the rolls: flecks a little longer than wide, dark and mottled, all over a part of it."""
    size, longer = random.uniform(5, 9) * unit, random.uniform(1.3, 2.6)
    flecks = noise(shape, size, size * longer, random) + noise(shape, size / 3, size / 2, random) * np.float32(0.4)
    where = noise(shape, 80 * unit, 80 * unit, random)
    covered = _step((where + np.float32(random.uniform(0.2, 1.2))) * 4)
    bare = np.float32(random.uniform(0.5, 1.1))
    dark = np.float32(random.uniform(0.14, 0.34)) * _step((flecks - bare) * 8)
    mottled = noise(shape, 1.5 * unit, 1.5 * unit, random) * np.float32(0.15) + 1
    plane: Plane = -dark * mottled * covered
    return plane


def crazing(shape: Shape, unit: float, random: np.random.Generator) -> Plane:
    """A net of hair cracks: where two sheets of noise change sign."""
    plane = np.zeros(shape, np.float32)
    depth = np.float32(random.uniform(0.18, 0.38))
    for _ in range(2):
        cell = random.uniform(11, 20) * unit
        sheet = noise(shape, cell, cell, random) + noise(shape, cell / 3, cell / 3, random) * np.float32(0.3)
        hair = np.float32(random.uniform(0.06, 0.12))
        plane = np.minimum(plane, -depth * np.exp(-((sheet / hair) ** 2)))
    return plane


DEFECTS: Mapping[str, Callable[[Shape, float, np.random.Generator], Plane]] = {
    "crazing": crazing,
    "inclusion": inclusion,
    "patches": patches,
    "pits": pits,
    "scale": scale,
    "scratches": scratches,
}
"""Every kind by its class's name."""
