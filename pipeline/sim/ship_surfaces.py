"""The shipped surface models, made again from drawn surfaces: `python -m pipeline.sim.ship_surfaces`."""

import sys
from datetime import UTC, datetime
from functools import partial

import numpy as np
import simplejpeg

from models.repository import Repository
from models.train.augment import Augmentation
from models.train.network import Recipe
from models.train.pictures import within
from models.train.vision import SIDE, Plan, train
from pipeline.image.folder import read_pictures, shown
from pipeline.sim.surfaces import CLASSES, CLEAN, SurfaceSource

SEED = 1
TRAINED, HELD_OUT = 500, 150
"""Of each class; every fourth picture is half as wide again as high."""
SIZES = ((200, 200), (200, 200), (200, 200), (200, 300))
QUALITIES = (75, 85, 92, 96)
EPOCHS = 20
AUGMENTATION = Augmentation(
    shrink=0.1, widen=0, shading=0, exposed=0, brightness=0.1, contrast=0.2, noise=0.02, turned=True
)
"""A deeper cut would often leave out the one scratch that makes the picture what it is called."""


def jpeg(number: int, name: str) -> bytes:
    """The drawn surface of that number as a camera sends it."""
    height, width = SIZES[number % len(SIZES)]
    surface = SurfaceSource(SEED, height, width).draw(number, name)
    quality = QUALITIES[number // len(SIZES) % len(QUALITIES)]
    encoded: bytes = simplejpeg.encode_jpeg(surface.pixels[:, :, None], quality, "GRAY")
    return encoded


def main() -> None:
    """Draw, train, register; the same accuracy for the same versions of the training libraries."""

    def tell(text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201

    per_class = TRAINED + HELD_OUT
    numbers = np.arange(per_class * len(CLASSES))
    truth = numbers // per_class
    sources = [partial(bytes, jpeg(number, CLASSES[label])) for number, label in enumerate(truth.tolist())]
    plan = Plan(clean=CLEAN, recipe=Recipe(EPOCHS), augmentation=AUGMENTATION)
    pictures = read_pictures(CLASSES, sources, truth, SIDE, plan.channels, str)
    chosen = within(numbers % per_class, (0, TRAINED - 1))
    entries = train(
        Repository.shipped(),
        pictures,
        chosen,
        ~chosen,
        plan,
        data=f"drawn: seed {SEED}, {TRAINED} pictures of each class, {HELD_OUT} more to measure",
        when=datetime.now(UTC).date(),
        seed=SEED,
        show=shown,
        progress=tell,
    )
    for entry in entries:
        tell(f"{entry.path} {entry.manifest.quality}")


if __name__ == "__main__":
    main()
