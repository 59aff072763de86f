"""A set of labelled pictures, and which of them are for what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.manifest import ModelError

TRAIN_MIN, HELD_OUT_MIN = 8, 2
CALIBRATION_SHARE = 0.1
Pixels = NDArray[np.uint8]
"""uint8[height, width, 1 or 3], grey or RGB, C-contiguous and writable."""
Chosen = NDArray[np.bool_]


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures with their classes, `truth` counting along `names`."""

    names: tuple[str, ...]
    images: Sequence[Pixels]
    truth: NDArray[np.int64]
    sources: Sequence[Any] = ()
    """What each was decoded from, for whoever can show it as the stream does."""

    def chosen(self, rows: Chosen) -> "Pictures":
        """Those of bool[pictures] that are true."""
        return self.some(np.flatnonzero(rows))

    def some(self, rows: NDArray[np.int64]) -> "Pictures":
        """Those of the rows given."""
        images = [self.images[row] for row in rows.tolist()]
        sources = [self.sources[row] for row in rows.tolist()] if self.sources else ()
        return Pictures(self.names, images, self.truth[rows], sources)


def held_out_share(truth: NDArray[np.int64], share: float, seed: int) -> Chosen:
    """bool[pictures]: that share of every class, rounded up, drawn by the seed."""
    held = np.zeros(len(truth), np.bool_)
    random = np.random.default_rng([seed, 4])
    for label in np.unique(truth):
        rows = np.flatnonzero(truth == label)
        held[random.permutation(rows)[: int(np.ceil(len(rows) * share))]] = True
    return held


def within(numbers: NDArray[np.int64], span: tuple[int, int]) -> Chosen:
    """bool[pictures]: those whose number is in a span, both ends included."""
    return (numbers >= span[0]) & (numbers <= span[1])


def check_split(pictures: Pictures, train: Chosen, held_out: Chosen) -> None:
    """Raises ModelError where a picture is both trained on and held out, or a class has too few of either."""
    if (both := int((train & held_out).sum())) > 0:
        raise ModelError(f"{both} pictures would be both trained on and held out, expected none")
    for label, name in enumerate(pictures.names):
        ours = pictures.truth == label
        trained, held = int((ours & train).sum()), int((ours & held_out).sum())
        if trained < TRAIN_MIN or held < HELD_OUT_MIN:
            raise ModelError(
                f"class {name} has {trained} images to train on and {held} held out, expected at least "
                f"{TRAIN_MIN} and {HELD_OUT_MIN}"
            )
