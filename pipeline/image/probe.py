"""Stand-in: what an image says of itself."""

import io
from ctypes import string_at
from typing import NamedTuple

from PIL import Image


class BadImageError(ValueError):
    """Why bytes are no image that can be decided on."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Probed(NamedTuple):
    """Format and size."""

    format: str
    width: int
    height: int


def probe(address: int, length: int, pixels_max: int) -> Probed:
    """Stand-in."""
    raw = string_at(address, length)
    try:
        image = Image.open(io.BytesIO(raw))
    except Exception:
        raise BadImageError("not-an-image", f"found {raw[:4]!r}, expected a JPEG or PNG") from None
    if image.width * image.height > pixels_max:
        raise BadImageError("too-many-pixels", f"found {image.width} x {image.height}, expected {pixels_max} at most")
    return Probed(image.format or "", image.width, image.height)
