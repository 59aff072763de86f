"""From a PNG's chunks to grey or RGB pixels: inflated by zlib up to the size that the header allows, never beyond."""

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from pipeline.image.found import (
    BITS,
    CHANNELS,
    CORRUPT,
    HEIGHT,
    INTERLACED,
    KIND,
    STORED,
    TRUNCATED,
    UNSUPPORTED,
    VALUE,
    WIDTH,
    BadImageError,
)  # fmt: skip
from pipeline.image.png_structure import COLOUR_ALPHA, GREY, GREY_ALPHA, PALETTE

_PASSES = np.array(
    [[0, 8, 0, 8], [4, 8, 0, 8], [0, 4, 4, 8], [2, 4, 0, 4], [0, 2, 2, 4], [1, 2, 0, 2], [0, 1, 1, 2]], np.int64
)
"""Adam7: of each pass the first column, the step between columns, the first row and the step between rows."""
_WHOLE = np.array([[0, 1, 0, 1]], np.int64)
_FILTER, _INDEX, _TRANSPARENT = 1, 2, 3
_WRONG = {
    _FILTER: (CORRUPT, "the PNG has a row filter that PNG does not know"),
    _INDEX: (CORRUPT, "the PNG has a pixel beyond the end of its palette"),
    _TRANSPARENT: (UNSUPPORTED, "the PNG has a transparent pixel, expected none: what is behind it is not known"),
}


def channels_of(kind: int) -> int:
    """Channels of the pixels that a PNG of a colour type becomes: 1 is grey, 3 is RGB."""
    return 1 if kind in (GREY, GREY_ALPHA) else 3


def unpack_png(
    found: list[int], packed: NDArray[np.uint8], palette: NDArray[np.uint8], pixels: NDArray[np.uint8]
) -> None:
    """Write the pixels of a PNG whose chunks were read: uint8[height, width, channels_of(kind)], C-contiguous.

    Samples of 16 bits keep their high byte. Raises BadImageError; `pixels` then holds anything.
    """
    if palette[256, 0]:
        raise BadImageError(
            UNSUPPORTED, "the PNG names a transparent colour, expected none: what is behind it is not known"
        )
    passes = _PASSES if found[INTERLACED] else _WHOLE
    sample_bits, height, width = found[BITS] * found[CHANNELS], found[HEIGHT], found[WIDTH]
    expected = 0
    for left, step_x, top, step_y in passes.tolist():
        columns, rows = -((left - width) // step_x), -((top - height) // step_y)
        if columns > 0 and rows > 0:
            expected += rows * (1 + (columns * sample_bits + 7) // 8)
    raw = np.frombuffer(_inflate(packed[: found[STORED]], expected), np.uint8)
    rows_of = np.zeros((2, (width * sample_bits + 7) // 8 + 8), np.uint8)
    wrong = _unpack(raw, found[KIND], found[BITS], found[CHANNELS], passes, palette, found[VALUE], rows_of, pixels)
    if wrong:
        raise BadImageError(*_WRONG[wrong])


def _inflate(packed: NDArray[np.uint8], expected: int) -> bytes:
    """Exactly `expected` bytes, of a stream that ends there. zlib releases the GIL."""
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(packed.data, expected)
        beyond = b"" if stream.eof else stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as error:
        raise BadImageError(CORRUPT, f"the PNG's pixels cannot be unpacked: {error}") from None
    if len(raw) < expected or not (stream.eof or beyond):
        raise BadImageError(TRUNCATED, f"the PNG's pixels end after {len(raw)} bytes, expected {expected}")
    if beyond:
        raise BadImageError(
            CORRUPT, f"the PNG holds more than the {expected} bytes of pixels that its header tells of"
        )
    return raw


@kernel()
def _unfilter(raw: Any, at: int, size: int, step: int, line: Any, above: Any) -> bool:
    """Undo a row's filter: `line` becomes its bytes. `above` is the row before. False for an unknown filter."""
    kind = raw[at]
    source = raw[at + 1 : at + 1 + size]
    if kind == 0:
        for index in range(size):
            line[index] = source[index]
    elif kind == 1:
        for index in range(size):
            left = line[index - step] if index >= step else np.uint8(0)
            line[index] = source[index] + left
    elif kind == 2:
        for index in range(size):
            line[index] = source[index] + above[index]
    elif kind == 3:
        for index in range(size):
            left = np.int64(line[index - step]) if index >= step else np.int64(0)
            line[index] = source[index] + (left + above[index]) // 2
    elif kind == 4:
        for index in range(size):
            left, corner = np.int64(0), np.int64(0)
            if index >= step:
                left, corner = np.int64(line[index - step]), np.int64(above[index - step])
            up = np.int64(above[index])
            to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
            nearest = left if to_left <= to_up and to_left <= to_corner else (up if to_up <= to_corner else corner)
            line[index] = source[index] + nearest
    else:
        return False
    return True


@kernel()
def _sample(line: Any, index: int, bits: int) -> Any:
    """One sample of a row, as it is stored; of 16 bits the high byte."""
    if bits == 8:
        return np.int64(line[index])
    if bits == 16:
        return np.int64(line[2 * index])
    bit = index * bits
    return np.int64(line[bit >> 3]) >> (8 - bits - (bit & 7)) & ((1 << bits) - 1)


@kernel()
def _spread(
    line: Any, count: int, kind: int, bits: int, palette: Any, entries: int, target: Any, first: int, step: int
) -> int:
    """Write a row's pixels into every `step`th column of the picture's row `target`, uint8[width, 1 or 3]."""
    if kind == PALETTE:
        for index in range(count):
            entry = _sample(line, index, bits)
            if entry >= entries:
                return _INDEX
            if palette[entry, 3] != 255:
                return _TRANSPARENT
            for channel in range(3):
                target[first + index * step, channel] = palette[entry, channel]
        return 0
    channels = target.shape[1]
    alpha = 1 if kind in (GREY_ALPHA, COLOUR_ALPHA) else 0
    stored = channels + alpha
    if bits == 8 and step == 1 and not alpha:
        row = target.reshape(target.size)
        for index in range(count * channels):
            row[index] = line[index]
        return 0
    scale = 255 // ((1 << bits) - 1) if bits < 8 else 1
    for index in range(count):
        for channel in range(channels):
            target[first + index * step, channel] = _sample(line, index * stored + channel, bits) * scale
        if alpha:
            place = index * stored + channels
            low = line[2 * place + 1] if bits == 16 else np.uint8(255)
            if _sample(line, place, bits) != 255 or low != 255:
                return _TRANSPARENT
    return 0


@kernel(
    "int64(Array(uint8, 1, 'C', readonly=True), int64, int64, int64, int64[:,::1], uint8[:,::1], int64,"
    " uint8[:,::1], uint8[:,:,::1])"
)
def _unpack(
    raw: Any, kind: int, bits: int, samples: int, passes: Any, palette: Any, entries: int, rows_of: Any, pixels: Any
) -> int:
    height, width = pixels.shape[0], pixels.shape[1]
    pixel_bytes, at = max(1, bits * samples // 8), 0
    for index in range(len(passes)):
        left, step_x, top, step_y = passes[index, 0], passes[index, 1], passes[index, 2], passes[index, 3]
        if left >= width or top >= height:
            continue
        count = (width - left + step_x - 1) // step_x
        size = (count * samples * bits + 7) // 8
        rows_of[:] = 0
        now = 0
        for y in range(top, height, step_y):
            line, above = rows_of[now], rows_of[1 - now]
            if not _unfilter(raw, at, size, pixel_bytes, line, above):
                return _FILTER
            wrong = _spread(line, count, kind, bits, palette, entries, pixels[y], left, step_x)
            if wrong:
                return wrong
            at += 1 + size
            now = 1 - now
    return 0
