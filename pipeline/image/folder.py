"""A folder for each class of JPEG and PNG files, as training takes it and as the stream would show it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.manifest import ImageInput
from models.train.pictures import Pictures, Pixels
from pipeline.errors import UnusableFileError
from pipeline.image.decoder import REDUCTIONS, ImageDecoder
from pipeline.image.found import BadImageError
from pipeline.image.measures import MEASURES
from pipeline.image.probe import probe

SUFFIXES = {".jpg", ".jpeg", ".png"}
PIXELS_MAX = 1 << 27
SPARE = 2
"""Pictures are kept this many times as large as the model's input, where they are: training zooms into them."""
_SIDE_MIN, _SIDE_MAX = 8, 4096
Source = Callable[[], bytes]


class FolderError(UnusableFileError):
    """A folder that is no set of labelled pictures, or a file in it that is no picture."""


@dataclass(frozen=True)
class Folder:
    """Files by class: classes sorted by name, `truth` counting along them, files sorted by name in each."""

    names: tuple[str, ...]
    files: tuple[Path, ...]
    truth: NDArray[np.int64]
    numbers: NDArray[np.int64]
    """The number that each file's name ends in, before its suffix; -1 where it ends in none."""


def list_folder(folder: Path) -> Folder:
    """What is there, by names alone. Raises FolderError where it is no folder of two classes or more."""
    if not folder.is_dir():
        raise FolderError(f"{folder}: no such folder; expected one that holds a folder for each class")
    places = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(places) < 2:
        found = f"one folder, {places[0].name}" if places else "no folders"
        raise FolderError(f"{folder}: holds {found}; expected a folder of images for each of two classes or more")
    files: list[Path] = []
    truth: list[int] = []
    for label, place in enumerate(places):
        if not place.name.isprintable():
            raise FolderError(f"{place.name!r}: the name of a class may hold no control characters")
        there = [path for path in sorted(place.iterdir()) if path.is_file() and not path.name.startswith(".")]
        ours = [path for path in there if path.suffix.lower() in SUFFIXES]
        if not ours:
            raise FolderError(f"{place}: class {place.name} has no JPEG or PNG files, {len(there)} others")
        files += ours
        truth += [label] * len(ours)
    ends = [re.search(r"\d+$", path.stem) for path in files]
    numbers = np.array([int(end[0][-18:]) if end else -1 for end in ends], np.int64)
    return Folder(tuple(place.name for place in places), tuple(files), np.array(truth, np.int64), numbers)


def read_pictures(
    names: tuple[str, ...],
    sources: Sequence[Source],
    truth: NDArray[np.int64],
    side: int,
    channels: int,
    named: Callable[[int], str],
    progress: Callable[[int], None] = lambda done: None,
) -> Pictures:
    """Decode every source for training, much larger ones reduced.

    Raises FolderError with `named(number)` and the reason at the first that cannot be decoded.
    """
    images: list[Pixels] = []
    for number, source in enumerate(sources):
        try:
            images.append(_pixels_of(source(), side, channels))
        except BadImageError as error:
            raise FolderError(f"{named(number)}: {error}") from None
        progress(number + 1)
    return Pictures(names, images, truth, sources)


def shown(pictures: Pictures, image: ImageInput) -> NDArray[np.float32]:
    """float32[rows, C, H, W]: the sources of pictures as the stream decodes them, bit by bit."""
    decoder = ImageDecoder(image, pixels_max=PIXELS_MAX)
    out = np.empty((len(pictures.sources), image.channels, image.height, image.width), np.float32)
    measures = np.empty(len(MEASURES))
    for source, place in zip(pictures.sources, out, strict=True):
        payload = np.frombuffer(source(), np.uint8)
        decoder.decode(payload.ctypes.data, len(payload), place, measures)
    return out


def _pixels_of(payload: bytes, side: int, channels: int) -> Pixels:
    """uint8[height, width, channels] as a viewer shows it."""
    raw = np.frombuffer(payload, np.uint8)
    found = probe(raw.ctypes.data, len(raw), PIXELS_MAX)
    by = next((by for by in REDUCTIONS if min(found.height, found.width) >= by * SPARE * side), 1)
    high, wide = (min(max(length // by, _SIDE_MIN), _SIDE_MAX) for length in (found.height, found.width))
    decoder, values = _decoded(raw, high, wide, channels)
    if decoder.transposed and high != wide:
        _, values = _decoded(raw, wide, high, channels)
    return np.ascontiguousarray((values * np.float32(255) + np.float32(0.5)).astype(np.uint8).transpose(1, 2, 0))


def _decoded(raw: Pixels, height: int, width: int, channels: int) -> tuple[ImageDecoder, NDArray[np.float32]]:
    plain = ImageInput.model_validate(
        {"height": height, "width": width, "channels": channels, "mean": (0.0,) * channels, "std": (1.0,) * channels}
    )
    values = np.empty((channels, height, width), np.float32)
    decoder = ImageDecoder(plain, pixels_max=PIXELS_MAX)
    decoder.decode(raw.ctypes.data, len(raw), values, np.empty(len(MEASURES)))
    return decoder, values
