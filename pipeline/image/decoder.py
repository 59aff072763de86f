"""From a frame's bytes to a row of the model's input: decode, crop, resize and normalise, and measure on the way."""

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from models.manifest import ImageInput
from models.preprocess import Scratch, prepare
from pipeline.image.found import (
    CHANNELS,
    CORRUPT,
    FIELDS,
    HEIGHT,
    KIND,
    ORIENTATION,
    TRUNCATED,
    WIDTH,
    BadImageError,
    fault_error,
)  # fmt: skip
from pipeline.image.jpeg_structure import read_jpeg
from pipeline.image.measures import SUMS, difference_hash, measure
from pipeline.image.png_pixels import channels_of, unpack_png
from pipeline.image.png_structure import read_png
from pipeline.image.probe import JPEG, bytes_at, check_pixels, format_at

WHOLE = (0.0, 0.0, 1.0, 1.0)
REDUCTIONS = (8, 4, 2)
"""What a JPEG decoder can divide each side by at a gain; its other factors are slower than no reduction."""
MIRRORED, FLIPPED, TRANSPOSED = (2, 3, 6, 7), (3, 4, 7, 8), (5, 6, 7, 8)
"""EXIF's orientations of which the picture as shown is turned left to right, top to bottom, and then has its sides
changed, to be the picture as stored."""
_ENDS_EARLY = "Premature end"


class ImageDecoder:
    """Decodes frames for one model. One a thread: it owns working memory, which grows to the largest frame it met.

    That memory is bounded by `pixels_max` times 3 bytes of pixels, and by the longest payload for a PNG; while a PNG
    is unpacked up to twice its raw size (8 bytes a pixel at most) comes on top, while a progressive JPEG is decoded
    6 bytes a pixel.
    """

    def __init__(
        self,
        image: ImageInput,
        crop: tuple[float, float, float, float] = WHOLE,
        pixels_max: int = 1 << 25,
        *,
        reduce: bool = True,
    ) -> None:
        """crop: left, top, right, bottom as fractions of the picture as a viewer shows it.

        reduce: let the JPEG decoder itself halve the sides as often as the model's resolution allows.
        """
        self._height, self._width, self._channels = image.height, image.width, image.channels
        self._mean, self._std = np.array(image.mean, np.float32), np.array(image.std, np.float32)
        self._crop, self._pixels_max, self._reduce = crop, pixels_max, reduce
        self._found = np.zeros(len(FIELDS), np.int64)
        self._covered = np.zeros(3, np.uint64)
        self._palette = np.zeros((257, 4), np.uint8)
        self._packed, self._pixels = np.empty(0, np.uint8), np.empty(0, np.uint8)
        self._luma = np.empty((image.height, image.width), np.float32)
        self._sums = np.empty((SUMS, image.width), np.float32)
        self._scratch = Scratch()
        self.perceptual_hash = 0
        """difference_hash of the last frame decoded (uint64)."""

    def decode(self, address: int, length: int, out: NDArray[np.float32], measures: NDArray[np.float64]) -> None:
        """Write the frame at an address as float32[C, H, W] and its MEASURES as float64[4].

        Raises BadImageError (codes as of `probe`, and truncated-image, corrupt-image, unsupported-image of what only
        its pixels show); `out` and `measures` then hold anything. Releases the GIL while it decodes and resizes. The
        caller keeps the bytes alive until it returns.
        """
        name = format_at(address, length)
        pixels, reduction = self._jpeg(address, length) if name == JPEG else self._png(address, length)
        orientation = int(self._found[ORIENTATION])
        box = self._box(reduction, orientation)
        prepare(
            *(pixels, box, self._mean, self._std, _turned(out, orientation), self._scratch),
            _turned(self._luma[None], orientation)[0],
        )
        measure(self._luma, self._sums, measures)
        self.perceptual_hash = int(difference_hash(self._luma, self._sums))

    @property
    def transposed(self) -> bool:
        """Whether the last frame decoded is shown with its sides changed (EXIF)."""
        return int(self._found[ORIENTATION]) in TRANSPOSED

    def _jpeg(self, address: int, length: int) -> tuple[NDArray[np.uint8], int]:
        fault = read_jpeg(address, length, True, self._found, self._covered)
        found = self._checked(JPEG, fault)
        reduction = self._reduction() if self._reduce else 1
        height, width = -(-found[HEIGHT] // reduction), -(-found[WIDTH] // reduction)
        channels = 1 if self._channels == 1 or found[CHANNELS] == 1 else 3
        try:
            pixels = simplejpeg.decode_jpeg(
                bytes_at(address, length),
                "GRAY" if channels == 1 else "RGB",
                min_height=height,
                min_width=width,
                buffer=self._room(height * width * channels),
            )
        except (ValueError, RuntimeError) as error:
            code = TRUNCATED if _ENDS_EARLY in str(error) else CORRUPT
            raise BadImageError(code, f"the JPEG cannot be decoded: {error}") from None
        if pixels.shape != (height, width, channels):
            raise BadImageError(
                CORRUPT, f"the JPEG decodes to {pixels.shape}, its header says {(height, width, channels)}"
            )
        return pixels, reduction

    def _png(self, address: int, length: int) -> tuple[NDArray[np.uint8], int]:
        if len(self._packed) < length:
            self._packed = np.empty(length, np.uint8)
        fault = read_png(address, length, True, self._found, self._palette, self._packed)
        found = self._checked("PNG", fault)
        shape = (found[HEIGHT], found[WIDTH], channels_of(found[KIND]))
        pixels = self._room(shape[0] * shape[1] * shape[2]).reshape(shape)
        unpack_png(found, self._packed, self._palette, pixels)
        return pixels, 1

    def _checked(self, name: str, fault: int) -> list[int]:
        found: list[int] = self._found.tolist()
        if fault:
            raise fault_error(name, fault, found)
        check_pixels(name, found, self._pixels_max)
        return found

    def _room(self, size: int) -> NDArray[np.uint8]:
        if len(self._pixels) < size:
            self._pixels = np.empty(size, np.uint8)
        return self._pixels[:size]

    def _reduction(self) -> int:
        """The largest division of the sides that leaves the crop as large as the model's input, or larger."""
        left, top, right, bottom = self._box(1, int(self._found[ORIENTATION]))
        height, width = self._height, self._width
        if self._found[ORIENTATION] in TRANSPOSED:
            height, width = width, height
        return next((by for by in REDUCTIONS if right - left >= by * width and bottom - top >= by * height), 1)

    def _box(self, reduction: int, orientation: int) -> tuple[float, float, float, float]:
        """The crop in the stored picture's own pixels, once its sides are divided by `reduction`."""
        left, top, right, bottom = self._crop
        if orientation in MIRRORED:
            left, right = 1 - right, 1 - left
        if orientation in FLIPPED:
            top, bottom = 1 - bottom, 1 - top
        if orientation in TRANSPOSED:
            left, top, right, bottom = top, left, bottom, right
        width, height = self._found[WIDTH] / reduction, self._found[HEIGHT] / reduction
        return float(left * width), float(top * height), float(right * width), float(bottom * height)


def _turned(out: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """A view of [C, H, W] that is written in the stored picture's order and so holds the picture as it is shown."""
    if orientation in MIRRORED:
        out = out[:, :, ::-1]
    if orientation in FLIPPED:
        out = out[:, ::-1]
    return out.transpose(0, 2, 1) if orientation in TRANSPOSED else out
