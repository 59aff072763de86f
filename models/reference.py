"""How features and scores were spread when a model was made, in bins: what a stream's are compared with.

The file beside the model is written by training from rows that the model was not trained on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.manifest import ModelError

REFERENCE_FILE = "reference.json"
REFERENCE_VERSION = 1
BINS = 20
SCORE = "score"
"""The name that the model's own scores go by, beside those of the features."""


class _Bins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    edges: list[float]
    counts: list[int]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    features: dict[str, _Bins]
    score: _Bins


@dataclass(frozen=True)
class Bins:
    """One column: bin n holds the numbers in (edges[n - 1], edges[n]], compared in float32.

    There is one more of them than edges, without an end on either side, and a last one for NaN: so `counts` is
    int64[edges + 2].
    """

    edges: NDArray[np.float32]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Reference:
    """The bins of each feature, in the model's order, and of its score."""

    features: Mapping[str, Bins]
    score: Bins

    def encode(self) -> bytes:
        """The file's contents; the same for the same numbers."""
        return msgspec.json.encode(
            {
                "v": REFERENCE_VERSION,
                "features": {name: _plain(bins) for name, bins in self.features.items()},
                "score": _plain(self.score),
            }
        )


def _plain(bins: Bins) -> dict[str, list[float] | list[int]]:
    return {"edges": bins.edges.tolist(), "counts": bins.counts.tolist()}


def bins_of(numbers: NDArray[np.float32]) -> Bins:
    """At most BINS bins that hold about the same number each.

    Where a few numbers make up most, a bin for each of those and four for what is left.
    """
    known = np.sort(numbers[~np.isnan(numbers)])
    edges = _quantiles(known, BINS)
    if len(edges) < BINS // 2:
        edges = np.union1d(edges, _quantiles(known[~np.isin(known, edges)], 4))
    if len(edges) and known[0] == known[-1]:
        edges = np.array([np.nextafter(known[0], np.float32(-np.inf)), known[0]], np.float32)
    elif len(edges) and edges[-1] == known[-1]:
        edges = edges[:-1]  # nothing lies above the largest
    places = np.searchsorted(edges, known)
    counts = np.append(np.bincount(places, minlength=len(edges) + 1), len(numbers) - len(known))
    return Bins(edges.astype(np.float32), counts.astype(np.int64))


def _quantiles(known: NDArray[np.float32], parts: int) -> NDArray[np.float32]:
    """The numbers at which sorted ones fall into equal parts, each once."""
    places = np.arange(1, parts) * len(known) // parts
    return np.unique(known[places]) if len(known) else known


def reference_of(names: Sequence[str], rows: NDArray[np.float32], score: NDArray[np.float32]) -> Reference:
    """The reference that float32[rows, names] and their scores give."""
    return Reference({name: bins_of(rows[:, column]) for column, name in enumerate(names)}, bins_of(score))


def read_reference(path: Path, names: Sequence[str]) -> Reference:
    """Read and check the reference of a model with these inputs. Raises ModelError naming the file."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no reference") from None
    except msgspec.DecodeError as error:
        raise ModelError(f"{path}: {error}") from None
    if found.v != REFERENCE_VERSION:
        raise ModelError(f"{path}: version {found.v}, expected {REFERENCE_VERSION}")
    if list(found.features) != list(names):
        raise ModelError(f"{path}: it is about {', '.join(found.features)}, the model takes {', '.join(names)}")
    for name, bins in {**found.features, SCORE: found.score}.items():
        rising = all(low < high for low, high in zip(bins.edges, bins.edges[1:], strict=False))
        if not rising or len(bins.counts) != len(bins.edges) + 2 or min(bins.counts) < 0 or not any(bins.counts):
            raise ModelError(f"{path}: {name}: expected rising edges and a count for each bin between them")
    return Reference({name: _bins(bins) for name, bins in found.features.items()}, _bins(found.score))


def _bins(found: _Bins) -> Bins:
    return Bins(np.array(found.edges, np.float32), np.array(found.counts, np.int64))
