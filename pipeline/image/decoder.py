"""Stand-in: pixels straight into a model's input."""

import io
from ctypes import string_at

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.manifest import ImageInput
from pipeline.image.probe import BadImageError

MEASURES = ("exposure", "sharpness")


class ImageDecoder:
    """Stand-in."""

    def __init__(self, image: ImageInput, crop: tuple[float, float, float, float], pixels_max: int) -> None:
        self._image = image

    def decode(self, address: int, length: int, out: NDArray[np.float32], measures: NDArray[np.float64]) -> None:
        """Stand-in."""
        spec = self._image
        try:
            image = Image.open(io.BytesIO(string_at(address, length))).convert("L" if spec.channels == 1 else "RGB")
            pixels = np.asarray(image.resize((spec.width, spec.height)), np.float32) / 255
        except Exception as error:
            raise BadImageError("corrupt-image", f"cannot be decoded: {error}") from None
        pixels = pixels.reshape(spec.height, spec.width, spec.channels)
        out[:] = ((pixels - np.array(spec.mean)) / np.array(spec.std)).transpose(2, 0, 1)
        measures[:] = pixels.mean(), pixels.std()
