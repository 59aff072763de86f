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
        self.pixels = np.empty((0, 2), np.int64)
        self.weights = np.empty((0, 3), np.float32)
        self.sums = np.empty((4, 0), np.float32)

    def fit(self, samples: int, columns: int) -> None:
        """Room for a row of `samples` source values and for `columns` of the result."""
        if len(self.line) < samples:
            self.line = np.empty(samples, np.float32)
        if len(self.pixels) < columns:
            self.pixels = np.empty((columns, 2), np.int64)
            self.weights = np.empty((columns, 3), np.float32)
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
def _grey_across(line: Any, columns: Any, weights: Any, channels: int, sums: Any) -> None:
    """Every channel of a row of the result is the weighted sum of one channel's line. sums: float32[3, W]."""
    for x in range(len(columns)):
        first, last = columns[x, 0], columns[x, 1]
        inner = np.float32(0.0)
        for at in range(first + 1, last):
            inner += line[at]
        sums[0, x] = weights[x, 0] * line[first] + weights[x, 1] * inner + weights[x, 2] * line[last]
    for channel in range(1, channels):
        for x in range(len(columns)):
            sums[channel, x] = sums[0, x]


@kernel()
def _colour_across(line: Any, columns: Any, weights: Any, sums: Any) -> None:
    """The weighted sums of a line of interleaved red, green and blue. sums: float32[3, W]."""
    for x in range(len(columns)):
        first, last = columns[x, 0], columns[x, 1]
        of_first, of_inner, of_last = weights[x, 0], weights[x, 1], weights[x, 2]
        red = green = blue = np.float32(0.0)
        for at in range(first + 3, last, 3):
            red += line[at]
            green += line[at + 1]
            blue += line[at + 2]
        sums[0, x] = of_first * line[first] + of_inner * red + of_last * line[last]
        sums[1, x] = of_first * line[first + 1] + of_inner * green + of_last * line[last + 1]
        sums[2, x] = of_first * line[first + 2] + of_inner * blue + of_last * line[last + 2]


@kernel()
def _write_row(sums: Any, source_channels: int, mean: Any, std: Any, y: int, out: Any, luma: Any, grey: Any) -> None:
    """One row of the result from its channels' sums; grey: float32[W], room for the row's luma."""
    of_255 = np.float32(1.0 / 255.0)
    width = len(grey)
    for x in range(width):
        mixed = sums[0, x]
        if source_channels == 3:
            mixed = np.float32(_RED) * mixed + np.float32(_GREEN) * sums[1, x] + np.float32(_BLUE) * sums[2, x]
        grey[x] = mixed * of_255
    if len(luma):
        for x in range(width):
            luma[y, x] = grey[x]
    if len(out) == 1:
        scale = np.float32(1.0) / std[0]
        for x in range(width):
            out[0, y, x] = (grey[x] - mean[0]) * scale
        return
    for channel in range(3):
        scale = np.float32(1.0) / std[channel]
        for x in range(width):
            out[channel, y, x] = (sums[channel, x] * of_255 - mean[channel]) * scale


@kernel(
    "void(uint8[:,:,::1], float64, float64, float64, float64, float32[::1], float32[::1], float32[:,:,:],"
    " float32[:,:], float32[::1], int64[:,::1], float32[:,::1], float32[:,::1])"
)
def _prepare(
    pixels: Any, left: float, top: float, right: float, bottom: float, mean: Any, std: Any, out: Any, luma: Any,
    line: Any, columns: Any, weights: Any, sums: Any,
) -> None:  # fmt: skip
    channels, height, width = out.shape
    source_channels = pixels.shape[2]
    row_samples = pixels.shape[1] * source_channels
    flat = pixels.reshape(pixels.size)
    columns, weights, grey, sums = columns[:width], weights[:width], sums[3, :width], sums[:3, :width]
    low, high = int(np.floor(left)), int(np.ceil(right)) - 1
    step = (right - left) / width
    for x in range(width):
        first, last, weights[x, 0], weights[x, 1], weights[x, 2] = span(x, left, step, low, high)
        columns[x, 0], columns[x, 1] = (first - low) * source_channels, (last - low) * source_channels
    wide, skip = (high - low + 1) * source_channels, low * source_channels
    low, high = int(np.floor(top)), int(np.ceil(bottom)) - 1
    step = (bottom - top) / height
    for y in range(height):
        first, last, of_first, of_inner, of_last = span(y, top, step, low, high)
        _add_rows(flat, line, first, last, (of_first, of_inner, of_last), row_samples, skip, wide)
        if source_channels == 1:
            _grey_across(line, columns, weights, channels, sums)
        else:
            _colour_across(line, columns, weights, sums)
        _write_row(sums, source_channels, mean, std, y, out, luma, grey)
