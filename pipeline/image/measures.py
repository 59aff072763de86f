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


@kernel("void(float32[:,::1], float64[:,::1], float64[::1])")
def measure(luma: Any, sums: Any, out: Any) -> None:
    """Write MEASURES of a luma in [0, 1], float32[H, W], H and W 3 at least, to float64[4].

    sums: float64[5, W], room for the sums of each column: columns are independent, so that they are vectorised.
    """
    height, width = luma.shape
    dark_max, bright_min, four = np.float32(DARK_MAX), np.float32(BRIGHT_MIN), np.float32(4.0)
    sums[:] = 0.0
    of_luma, of_dark, of_bright, of_edges, of_squares = sums[0], sums[1], sums[2], sums[3], sums[4]
    for y in range(height):
        line = luma[y]
        for x in range(width):
            of_luma[x] += line[x]
            of_dark[x] += 1.0 if line[x] <= dark_max else 0.0
            of_bright[x] += 1.0 if line[x] >= bright_min else 0.0
        if 0 < y < height - 1:
            above, below = luma[y - 1], luma[y + 1]
            for x in range(1, width - 1):
                edge = np.float64(above[x] + below[x] + line[x - 1] + line[x + 1] - four * line[x])
                of_edges[x] += edge
                of_squares[x] += edge * edge
    count, inside = height * width, (height - 2) * (width - 2)
    out[EXPOSURE] = np.sum(of_luma) / count
    out[SHARPNESS] = max(np.sum(of_squares) / inside - (np.sum(of_edges) / inside) ** 2, 0.0) * 255.0**2
    out[DARK] = np.sum(of_dark) / count
    out[BRIGHT] = np.sum(of_bright) / count


@kernel("uint64(float32[:,::1])")
def difference_hash(luma: Any) -> Any:
    """The difference hash of a luma: bit 8 * row + column says whether a cell is brighter than its right neighbour.

    The cells are the means of an 8 x 9 grid (dHash: N. Krawetz, "Kind of Like That", 2013). Pictures that differ by a
    scratch have the same hash: it tells scenes apart, not parts.
    """
    height, width = luma.shape
    bits = np.uint64(0)
    for row in range(HASH_ROWS):
        top, bottom, of_top, of_rows, of_bottom = span(row, 0.0, height / HASH_ROWS, 0, height - 1)
        before = np.float32(0.0)
        for column in range(HASH_COLUMNS):
            left, right, of_left, of_columns, of_right = span(column, 0.0, width / HASH_COLUMNS, 0, width - 1)
            cell = np.float32(0.0)
            for y in range(top, bottom + 1):
                inner = np.float32(0.0)
                for x in range(left + 1, right):
                    inner += luma[y, x]
                line = of_left * luma[y, left] + of_columns * inner
                if right > left:
                    line += of_right * luma[y, right]
                cell += line * (of_top if y == top else (of_bottom if y == bottom else of_rows))
            if column > 0 and before > cell:
                bits |= np.uint64(1) << np.uint64(8 * row + column - 1)
            before = cell
    return bits
