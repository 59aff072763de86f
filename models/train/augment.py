"""Pictures as training sees them: through the stream's own kernel, each time a little different."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import ImageInput
from models.preprocess import Scratch, prepare
from models.train.pictures import Pictures

EXPOSURES = (0.15, 1.0)
"""The mean that a picture of another exposure has, of white."""
UNEVENNESS = 0.35
"""How far its light rises or falls: the deviation of its logarithm at nine places."""
DARKEST = 0.01
"""A black picture stays one."""


@dataclass(frozen=True)
class Augmentation:
    """How far a picture is changed.

    It shows the same class in the mirror and upside down. A quarter turn is another matter: the camera stands where
    it stands, and along or across the belt is what tells one kind of line from another.
    """

    shrink: float = 0.5
    """At most this share of each side is left out."""
    widen: float = 0.6
    """Of half of the pictures at most this share of each side is seen beyond it, by reflection: the camera stands
    further away, and what is small in training is smaller still."""
    shading: float = 0.7
    """How much light rises or falls across and down: from the middle to an edge by a factor of up to e to this."""
    exposed: float = 0.5
    """This share of pictures is seen as bright as chance has it, in light that rises and falls over the picture, up
    to white where it is too much: how light or dark metal is tells nothing of what is wrong with it."""
    brightness: float = 0.2
    contrast: float = 0.3
    noise: float = 0.02
    mirrored: bool = True
    turned: bool = False
    """By a quarter, too."""


def _through_three(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[places, 3]: what values at -1, 0 and 1 count at each place of the parabola through them."""
    return np.stack([at * (at - 1) / 2, 1 - at * at, at * (at + 1) / 2], axis=1)


def shown(pictures: Pictures, image: ImageInput) -> NDArray[np.float32]:
    """float32[rows, C, H, W]: whole pictures as the stream would show their pixels."""
    images = pictures.images
    out = np.empty((len(images), image.channels, image.height, image.width), np.float32)
    mean, std = np.array(image.mean, np.float32), np.array(image.std, np.float32)
    scratch = Scratch()
    for pixels, place in zip(images, out, strict=True):
        prepare(pixels, (0.0, 0.0, pixels.shape[1], pixels.shape[0]), mean, std, place, scratch)
    return out


class Augmenter:
    """Batches of changed pictures; the same for the same seed and epoch."""

    def __init__(
        self,
        pictures: Pictures,
        image: ImageInput,
        augmentation: Augmentation,
        batch: int,
        seed: int,
    ) -> None:
        self._images, self._truth = pictures.images, pictures.truth
        self._image, self._augmentation = image, augmentation
        self._batch, self._seed = min(batch, len(self._images)), seed
        self._mean, self._std = np.array(image.mean, np.float32), np.array(image.std, np.float32)
        self._scratch = Scratch()

    @property
    def batches_an_epoch(self) -> int:
        """Batches of one size: what is left over waits for another epoch's order."""
        return len(self._images) // self._batch

    def batches(self, epoch: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """All pictures once in a new order."""
        random = np.random.default_rng([self._seed, 3, epoch])
        order = random.permutation(len(self._images))
        for number in range(self.batches_an_epoch):
            rows = order[number * self._batch : (number + 1) * self._batch]
            yield self._changed(rows, random), self._truth[rows]

    def _changed(self, rows: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.float32]:
        image, how = self._image, self._augmentation
        out = np.empty((len(rows), image.channels, image.height, image.width), np.float32)
        for row, place in zip(rows, out, strict=True):
            pixels = self._widened(self._images[row], random)
            height, width = pixels.shape[:2]
            high, wide = (side * (1 - how.shrink * random.random()) for side in (height, width))
            left, top = random.random() * (width - wide), random.random() * (height - high)
            box = (left, top, min(left + wide, width), min(top + high, height))
            prepare(pixels, box, self._mean, self._std, self._mirrored(place, random), self._scratch)
        mean, std = (values.reshape(1, -1, 1, 1) for values in (self._mean, self._std))
        contrast = np.exp(random.uniform(-how.contrast, how.contrast, (len(rows), 1, 1, 1)))
        shift = random.uniform(-how.brightness, how.brightness, (len(rows), 1, 1, 1))
        grain = random.standard_normal(out.shape, np.float32) * random.uniform(0, how.noise, (len(rows), 1, 1, 1))
        middle = (out * std + mean).mean((2, 3), keepdims=True)
        light = self._light(len(rows), random) * self._exposure(middle, random)
        changed = ((out * std + mean - middle) * contrast + middle + shift) * light + grain
        result: NDArray[np.float32] = ((np.clip(changed, 0, 1) - mean) / std).astype(np.float32)
        return result

    def _widened(self, pixels: NDArray[Any], random: np.random.Generator) -> NDArray[Any]:
        """The picture, half of the time with what its mirror images show around it."""
        if not self._augmentation.widen or random.random() < 0.5:
            return pixels
        sides = [int(side * random.random() * self._augmentation.widen / 2) for side in pixels.shape[:2]]
        return np.ascontiguousarray(np.pad(pixels, [(side, side) for side in sides] + [(0, 0)], mode="reflect"))

    def _light(self, rows: int, random: np.random.Generator) -> NDArray[np.float64]:
        """float64[rows, 1, H, W]: what light leaves of each picture's places."""
        if not self._augmentation.shading:
            return np.ones((rows, 1, 1, 1))
        across, down = (np.linspace(-1, 1, side) for side in (self._image.width, self._image.height))
        slopes = random.uniform(-self._augmentation.shading, self._augmentation.shading, (2, rows, 1, 1, 1))
        light: NDArray[np.float64] = np.exp(slopes[0] * across + slopes[1] * down[:, None])
        return light

    def _exposure(self, middle: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float64]:
        """float64[rows, 1, H, W]: by what the light of some pictures differs, given the mean of each."""
        light: NDArray[np.float64] = np.ones((len(middle), 1, self._image.height, self._image.width))
        chosen = random.random(len(middle)) < self._augmentation.exposed
        level = random.uniform(*EXPOSURES, (int(chosen.sum()), 1, 1, 1))
        nodes = random.normal(0, UNEVENNESS, (len(level), 1, 3, 3))
        across, down = (_through_three(np.linspace(-1, 1, side)) for side in (self._image.width, self._image.height))
        mean = np.maximum(middle[chosen].mean(1, keepdims=True), DARKEST)
        light[chosen] = level / mean * np.exp(down @ nodes @ across.T)
        return light

    def _mirrored(self, place: NDArray[Any], random: np.random.Generator) -> NDArray[Any]:
        """A view of the place of one picture, in some attitude: what is written to it is mirrored or turned."""
        if not self._augmentation.mirrored:
            return place
        turns = random.integers(8 if self._augmentation.turned else 4)
        if turns & 1:
            place = place[:, :, ::-1]
        if turns & 2:
            place = place[:, ::-1]
        square = place.shape[1] == place.shape[2]
        return place.transpose(0, 2, 1) if turns & 4 and square else place
