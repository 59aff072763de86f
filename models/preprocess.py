"""From pixels to a model's input: crop, resize, change of channels and normalisation in one pass over the pixels.

Training and the pipeline call the same kernel, so there is no skew between what a model learnt and what it is shown.

A resized pixel is the mean of the area that it covers where an axis shrinks (exact, with the fractions of the pixels
at its edges), and is interpolated between the two nearest pixel centres where it grows; each axis for itself. No
pixel outside the box is read. Colour becomes grey by the luma of ITU-R BT.601, which is a JPEG's own Y and Pillow's
`L`; grey becomes colour by repeating it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel

LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue count in a luma (ITU-R BT.601)."""
_RED, _GREEN, _BLUE = LUMA
_NO_LUMA = np.empty((0, 0), np.float32)


class Scratch:
    """The working memory of `prepare`: one a thread, grown to the widest picture it met and then reused."""

    def __init__(self) -> None:
        self.line = np.empty(0, np.float32)
        self.pixels = np.empty((2, 0), np.uint32)
        self.weights = np.empty((3, 0), np.float32)
        self.sums = np.empty((4, 0), np.float32)

    def fit(self, samples: int, columns: int) -> None:
        """Room for a row of `samples` source values and for `columns` of the result."""
        if len(self.line) < samples:
            self.line = np.empty(samples, np.float32)
        if self.sums.shape[1] != columns:
            self.pixels = np.empty((2, columns), np.uint32)
            self.weights = np.empty((3, columns), np.float32)
            self.sums = np.empty((4, columns), np.float32)


def prepare(
    pixels: NDArray[np.uint8],
    box: tuple[float, float, float, float],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    out: NDArray[np.float32],
    scratch: Scratch,
    luma: NDArray[np.float32] | None = None,
) -> None:
    """Write the box of a picture as a model's input. Releases the GIL while it works.

    pixels: uint8[height, width, 1 or 3], C-contiguous and writable (Numba tells them apart), grey or RGB.
    box: left, top, right, bottom in pixels, fractions allowed, within the picture and not empty.
    mean, std: float32[C], of values in [0, 1]. out: float32[C, H, W], C 1 or 3, any strides (a turned view turns
    the result); every element is written. luma: float32[H, W], any strides, takes the luma in [0, 1] before it is
    normalised. Raises ValueError on a box outside the picture and on channels other than 1 and 3.
    """
    left, top, right, bottom = box
    height, width, channels = pixels.shape
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(f"box {box} of a picture of {width} x {height} pixels: expected a box within it, not empty")
    if channels not in (1, 3) or len(out) not in (1, 3) or not len(mean) == len(std) == len(out):
        raise ValueError(
            f"{channels} channels of pixels, {len(out)} of the result, {len(mean)} means, {len(std)} deviations: "
            "expected 1 or 3 channels, and a mean and a deviation for each of the result's"
        )
    scratch.fit(width * channels, out.shape[2])
    plane = _NO_LUMA if luma is None else luma
    _prepare(
        *(pixels, left, top, right, bottom, mean, std, out, plane),
        *(scratch.line, scratch.pixels, scratch.weights, scratch.sums),
    )


@kernel()
def span(index: int, start: float, step: float, low: int, high: int) -> Any:
    """What a resized pixel is made of: its first and last source pixel, and the weights of first, inner and last."""
    if step >= 1.0:
        begin, end = start + index * step, start + (index + 1) * step
        first = min(max(int(np.floor(begin)), low), high)
        last = min(max(int(np.ceil(end)) - 1, first), high)
        if last == first:
            return first, last, np.float32(1.0), np.float32(0.0), np.float32(0.0)
        inner = 1.0 / step
        return (
            first,
            last,
            np.float32((first + 1 - begin) * inner),
            np.float32(inner),
            np.float32((end - last) * inner),
        )
    centre = min(max(start + (index + 0.5) * step - 0.5, float(low)), float(high))
    first = int(np.floor(centre))
    last = min(first + 1, high)
    share = centre - first
    if last == first:
        return first, last, np.float32(1.0), np.float32(0.0), np.float32(0.0)
    return first, last, np.float32(1.0 - share), np.float32(0.0), np.float32(share)


@kernel()
def _add_rows(
    flat: Any, line: Any, first: int, last: int, weights: Any, row_samples: int, skip: int, wide: int
) -> None:
    """The weighted sum of source rows, column by column: contiguous, so that it is vectorised."""
    samples = flat[first * row_samples + skip : first * row_samples + skip + wide]
    for at in range(wide):
        line[at] = weights[0] * np.float32(samples[at])
    for row in range(first + 1, last + 1):
        weight = weights[2] if row == last else weights[1]
        samples = flat[row * row_samples + skip : row * row_samples + skip + wide]
        for at in range(wide):
            line[at] += weight * np.float32(samples[at])


@kernel()
def _grey_across(line: Any, columns: Any, weights: Any, inner: bool, sums: Any) -> None:
    """A row of the result is the weighted sum of a line of one channel, in each of sums: float32[4, W]."""
    first, last = columns[0], columns[1]
    of_first, of_inner, of_last = weights[0], weights[1], weights[2]
    grey, red, green, blue = sums[3], sums[0], sums[1], sums[2]
    width = len(grey)
    for x in range(width):
        grey[x] = of_first[x] * line[first[x]] + of_last[x] * line[last[x]]
    if inner:
        for x in range(width):
            total = np.float32(0.0)
            for at in range(first[x] + 1, last[x]):
                total += line[at]
            grey[x] += of_inner[x] * total
    for x in range(width):
        red[x] = green[x] = blue[x] = grey[x]


@kernel()
def _colour_across(line: Any, columns: Any, weights: Any, inner: bool, sums: Any) -> None:
    """The weighted sums of a line of interleaved red, green and blue, and their luma. sums: float32[4, W]."""
    firsts, lasts = columns[0], columns[1]
    of_firsts, of_inner, of_lasts = weights[0], weights[1], weights[2]
    reds, greens, blues, grey = sums[0], sums[1], sums[2], sums[3]
    width = len(grey)
    for x in range(width):
        first, last, of_first, of_last = firsts[x], lasts[x], of_firsts[x], of_lasts[x]
        reds[x] = of_first * line[first] + of_last * line[last]
        greens[x] = of_first * line[first + 1] + of_last * line[last + 1]
        blues[x] = of_first * line[first + 2] + of_last * line[last + 2]
    if inner:
        for x in range(width):
            red = green = blue = np.float32(0.0)
            for at in range(firsts[x] + 3, lasts[x], 3):
                red += line[at]
                green += line[at + 1]
                blue += line[at + 2]
            reds[x] += of_inner[x] * red
            greens[x] += of_inner[x] * green
            blues[x] += of_inner[x] * blue
    for x in range(width):
        grey[x] = np.float32(_RED) * reds[x] + np.float32(_GREEN) * greens[x] + np.float32(_BLUE) * blues[x]


@kernel()
def _write(values: Any, scale: Any, offset: Any, target: Any) -> None:
    """Write a row, scaled and moved."""
    for x in range(len(values)):
        target[x] = values[x] * scale + offset


_ARRAYS = "float32[::1], uint32[:,::1], float32[:,::1], float32[:,::1]"
_BOX = "uint8[:,:,::1], float64, float64, float64, float64, float32[::1], float32[::1]"


@kernel(
    [
        f"void({_BOX}, float32[:,:,::1], float32[:,::1], {_ARRAYS})",
        f"void({_BOX}, float32[:,:,:], float32[:,:], {_ARRAYS})",
    ]
)
def _prepare(
    pixels: Any, left: float, top: float, right: float, bottom: float, mean: Any, std: Any, out: Any, luma: Any,
    line: Any, columns: Any, weights: Any, sums: Any,
) -> None:  # fmt: skip
    channels, height, width = out.shape
    source_channels = pixels.shape[2]
    row_samples = pixels.shape[1] * source_channels
    flat = pixels.reshape(pixels.size)
    low, high = int(np.floor(left)), int(np.ceil(right)) - 1
    step, inner = (right - left) / width, False
    for x in range(width):
        first, last, weights[0, x], weights[1, x], weights[2, x] = span(x, left, step, low, high)
        columns[0, x], columns[1, x] = (first - low) * source_channels, (last - low) * source_channels
        inner |= last - first > 1
    wide, skip = (high - low + 1) * source_channels, low * source_channels
    low, high = int(np.floor(top)), int(np.ceil(bottom)) - 1
    step = (bottom - top) / height
    of_255, one = np.float32(1.0 / 255.0), np.float32(1.0)
    for y in range(height):
        first, last, of_first, of_inner, of_last = span(y, top, step, low, high)
        _add_rows(flat, line, first, last, (of_first, of_inner, of_last), row_samples, skip, wide)
        if source_channels == 1:
            _grey_across(line, columns, weights, inner, sums)
        else:
            _colour_across(line, columns, weights, inner, sums)
        if len(luma):
            _write(sums[3], of_255, np.float32(0.0), luma[y])
        for channel in range(channels):
            scale = one / std[channel]
            _write(sums[3 if channels == 1 else channel], of_255 * scale, -mean[channel] * scale, out[channel, y])
