"""What an image says of itself before anything is decoded or allocated for it: its kind and size, or why not."""

import re
from typing import NamedTuple

import cffi
import numpy as np

from pipeline.image.found import CHANNELS, FIELDS, HEIGHT, WIDTH, BadImageError, fault_error
from pipeline.image.jpeg_structure import read_jpeg
from pipeline.image.png_structure import read_png

JPEG, PNG = "JPEG", "PNG"
_SIGNATURES = {JPEG: b"\xff\xd8\xff", PNG: b"\x89PNG\r\n\x1a\n"}
_OTHERS = {
    "a GIF": rb"GIF8[79]a",
    "a WebP": rb"RIFF....WEBP",
    "a BMP": rb"BM....\0\0\0\0",
    "a TIFF": rb"II\*\0|MM\0\*",
    "an AVIF or HEIF": rb"....ftyp(avi|hei|mif|msf)",
    "a JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "a JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "a PDF": rb"%PDF-",
    "JSON": rb"\s*[\[{]",
    "base64 of a JPEG or PNG": rb"/9j/|iVBORw0KGgo",
    "zero bytes": rb"\0+$",
    "text": rb"[\x20-\x7e\s]+$",
}
_LOOKED_AT_BYTES = 32
_NO_BYTES = np.empty(0, np.uint8)
_NO_PALETTE = np.empty((0, 4), np.uint8)
_ffi = cffi.FFI()


class Probed(NamedTuple):
    """An image's header: `JPEG` or `PNG`, its size as stored, and its samples a pixel."""

    format: str
    width: int
    height: int
    channels: int


def bytes_at(address: int, length: int) -> memoryview:
    """The bytes at an address as a buffer, not copied. The caller keeps them alive."""
    return memoryview(_ffi.buffer(_ffi.cast("char *", address), length))


def probe(address: int, length: int, pixels_max: int) -> Probed:
    """Read the header of the image at an address, in microseconds and without allocating for what it says.

    Raises BadImageError, its code one of tombstone (no value: address 0 or a negative length), empty, not-an-image,
    truncated-header, corrupt-image, unsupported-image and too-many-pixels. What is good here may still be refused
    when it is decoded: this reads no pixels.
    """
    name = format_at(address, length)
    found = np.zeros(len(FIELDS), np.int64)
    if name == JPEG:
        fault = read_jpeg(address, length, False, found, np.zeros(3, np.uint64))
    else:
        fault = read_png(address, length, False, found, _NO_PALETTE, _NO_BYTES)
    read = found.tolist()
    if fault:
        raise fault_error(name, fault, read)
    check_pixels(name, read, pixels_max)
    return Probed(name, read[WIDTH], read[HEIGHT], read[CHANNELS])


def check_pixels(name: str, found: list[int], pixels_max: int) -> None:
    """Raise BadImageError when a header promises more pixels than are allowed."""
    if found[WIDTH] * found[HEIGHT] > pixels_max:
        raise BadImageError(
            "too-many-pixels",
            f"the {name} is {found[WIDTH]} x {found[HEIGHT]} pixels = {found[WIDTH] * found[HEIGHT]}, "
            f"expected at most {pixels_max} (pixels_max)",
        )


def format_at(address: int, length: int) -> str:
    """`JPEG` or `PNG` by the signature. Raises BadImageError naming what is there instead."""
    if address == 0 or length < 0:
        raise BadImageError("tombstone", "the record has no value, expected a JPEG or PNG")
    if length == 0:
        raise BadImageError("empty", "the record's value has 0 bytes, expected a JPEG or PNG")
    start = bytes(bytes_at(address, min(length, _LOOKED_AT_BYTES)))
    for name, signature in _SIGNATURES.items():
        if start.startswith(signature):
            return name
        if signature.startswith(start):
            raise BadImageError("truncated-header", f"the value ends after {length} bytes of a {name}'s signature")
    kind = next((kind for kind, form in _OTHERS.items() if re.match(form, start, re.DOTALL)), "of no kind known here")
    raise BadImageError(
        "not-an-image", f"the value is {kind} (it begins with {start[:8].hex(' ')}), expected a JPEG or PNG"
    )
