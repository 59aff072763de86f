"""What is seen of a picture on the way to its model: exposure, sharpness, what is clipped, and a perceptual hash.

All are taken from the luma of the crop at the model's own resolution. That plane is made anyway, so they cost next to
nothing; they see what the model sees; and they hardly depend on how much of the reduction the JPEG decoder did. They
do depend on the model's resolution: their usual values are a camera's with a model, and are learnt anew with another.
"""

from typing import Any

import numpy as np

from features.kernel import kernel
from models.preprocess import span

MEASURES = ("exposure", "sharpness", "dark", "bright")
"""exposure: the mean luma, 0 (black) to 1 (white). sharpness: the variance of the 4-neighbour Laplacian of the luma
in grey levels of 255 (Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000), over all
pixels that have four neighbours. dark, bright: the fraction of the luma at most 5 of 255, and at least 250 of 255."""
EXPOSURE, SHARPNESS, DARK, BRIGHT = range(4)
DARK_MAX, BRIGHT_MIN = 5.5 / 255, 249.5 / 255
"""Between two grey levels, so that a whole one is never decided by rounding."""
HASH_ROWS, HASH_COLUMNS = 8, 9
SUMS = 5
"""The rows of working memory, each as wide as the luma, that the kernels here take."""


@kernel()
def _sum(values: Any) -> Any:
    total = 0.0
    for value in values:
        total += np.float64(value)
    return total


@kernel("void(float32[:,::1], float32[:,::1], float64[::1])")
def measure(luma: Any, sums: Any, out: Any) -> None:
    """Write MEASURES of a luma in [0, 1], float32[H, W], H and W 3 at least, to float64[4].

    sums: float32[SUMS, W], room for the sums of each column: columns are independent, so that they are vectorised.
    """
    height, width = luma.shape
    dark_max, bright_min, four = np.float32(DARK_MAX), np.float32(BRIGHT_MIN), np.float32(4.0)
    none, one = np.float32(0.0), np.float32(1.0)
    sums[:] = none
    of_luma, of_dark, of_bright, of_edges, of_squares = sums[0], sums[1], sums[2], sums[3], sums[4]
    for y in range(height):
        line = luma[y]
        for x in range(width):
            of_luma[x] += line[x]
            of_dark[x] += one if line[x] <= dark_max else none
            of_bright[x] += one if line[x] >= bright_min else none
        if 0 < y < height - 1:
            above, below = luma[y - 1], luma[y + 1]
            for x in range(1, width - 1):
                edge = above[x] + below[x] + line[x - 1] + line[x + 1] - four * line[x]
                of_edges[x] += edge
                of_squares[x] += edge * edge
    count, inside = height * width, (height - 2) * (width - 2)
    out[EXPOSURE] = _sum(of_luma) / count
    out[SHARPNESS] = max(_sum(of_squares) / inside - (_sum(of_edges) / inside) ** 2, 0.0) * 255.0**2
    out[DARK] = _sum(of_dark) / count
    out[BRIGHT] = _sum(of_bright) / count


@kernel("uint64(float32[:,::1], float32[:,::1])")
def difference_hash(luma: Any, sums: Any) -> Any:
    """The difference hash of a luma: bit 8 * row + column says whether a cell is brighter than its right neighbour.

    The cells are the means of an 8 x 9 grid (dHash: N. Krawetz, "Kind of Like That", 2013). Pictures that differ by a
    scratch have the same hash: it tells scenes apart, not parts. sums: as for `measure`.
    """
    height, width = luma.shape
    line, bits = sums[0], np.uint64(0)
    for row in range(HASH_ROWS):
        top, bottom, of_top, of_inner, of_bottom = span(row, 0.0, height / HASH_ROWS, 0, height - 1)
        line[:] = 0.0
        for y in range(top, bottom + 1):
            weight = of_top if y == top else (of_bottom if y == bottom else of_inner)
            for x in range(width):
                line[x] += weight * luma[y, x]
        before = np.float32(0.0)
        for column in range(HASH_COLUMNS):
            left, right, of_left, of_inner, of_right = span(column, 0.0, width / HASH_COLUMNS, 0, width - 1)
            cell = of_left * line[left] + of_right * line[right]
            for x in range(left + 1, right):
                cell += of_inner * line[x]
            if column > 0 and before > cell:
                bits |= np.uint64(1) << np.uint64(8 * row + column - 1)
            before = cell
    return bits
