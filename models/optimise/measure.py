"""What a variant costs and how far its answers are from the original's: both in one run, in turns."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.manifest import Manifest, ModelError

ROUNDS = 25
ROUND_NS = 3_000_000
"""How long a turn lasts at least, so that the clock's grain and the first run after another model are small in it."""
BATCH_ROWS = 256
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Cost:
    """Time a row by batch, on one thread: medians of turns, each set against the original's turn beside it."""

    batch: tuple[int, ...]
    cpu_us: tuple[float, ...]
    wall_us: tuple[float, ...]
    ratios: tuple[float, ...]
    """CPU of the original's, by batch."""

    @property
    def ratio(self) -> float:
        """CPU of the original's: the geometric mean over batches."""
        return float(np.exp(np.mean(np.log(self.ratios))))


@dataclass(frozen=True)
class Likeness:
    """How near two models' answers to the same rows are."""

    rows: int
    apart_max: float
    """The largest difference of a score, or of a class's probability."""
    agreement: float
    """The share of rows that both decide alike: by the manifest's thresholds, or by the likeliest class."""
    rank_correlation: float
    """Spearman's, of scores; of a classifier, of the likeliest class's probability."""


class Runnable:
    """A model file that takes and gives what the manifest says, on one thread of the CPU.

    Raises ModelError, naming the variant, where it cannot be loaded or takes or gives something else.
    """

    def __init__(self, name: str, path: Path, manifest: Manifest) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own exceptions have no common class
            raise ModelError(f"{name}: cannot be loaded: {str(error).splitlines()[0]}") from None
        self._input, self._output = manifest.input, manifest.output
        image = manifest.image
        taken = (len(manifest.inputs),) if image is None else (image.channels, image.height, image.width)
        given = (1,) if image is None else (len(manifest.classes),)
        _check_node(name, "input", self._session.get_inputs(), self._input, taken)
        _check_node(name, "output", self._session.get_outputs(), self._output, given)
        self._scores = image is None

    def run(self, rows: Floats) -> Any:
        """One call, its answer as ONNX Runtime gives it."""
        return self._session.run([self._output], {self._input: rows})[0]

    def answers(self, rows: Floats) -> Floats:
        """float32[rows] of a model of scores, float32[rows, classes] of a classifier."""
        parts = [self.run(rows[at : at + BATCH_ROWS]) for at in range(0, len(rows), BATCH_ROWS)]
        answers: Floats = np.concatenate(parts)
        return answers.reshape(-1) if self._scores else answers


def _check_node(name: str, what: str, nodes: Sequence[Any], wanted: str, shape: tuple[int, ...]) -> None:
    found = [f"{node.name} {node.type}{node.shape}" for node in nodes]
    node = next((node for node in nodes if node.name == wanted), None)
    sizes = [] if node is None else list(node.shape)
    open_ends = len(sizes) == 1 + len(shape) or (what == "output" and len(sizes) == 1 and shape == (1,))
    fits = (
        node is not None
        and (what == "output" or len(nodes) == 1)
        and node.type == "tensor(float)"
        and open_ends
        and not isinstance(sizes[0], int)
        and all(size == there or not isinstance(there, int) for size, there in zip(shape, sizes[1:], strict=False))
    )
    if not fits:
        raise ModelError(
            f"{name}: {what}s are {', '.join(found)}; expected {wanted} tensor(float)[rows, "
            f"{', '.join(map(str, shape))}]"
        )


def costs_of(
    models: Mapping[str, Runnable],
    original: str,
    rows: Floats,
    batches: Sequence[int],
    progress: Callable[[str], None] = lambda text: None,
    rounds: int = ROUNDS,
) -> dict[str, Cost]:
    """Time every model in turns, so that what disturbs one disturbs all; `rows` are walked through, not repeated."""
    cpu_us: dict[str, list[Any]] = {name: [] for name in models}
    wall_us: dict[str, list[Any]] = {name: [] for name in models}
    for batch in batches:
        progress(f"timing {len(models)} models in batches of {batch}")
        took = {name: np.array(turns) for name, turns in _turns(models, rows, batch, rounds).items()}
        for name, turns in took.items():
            cpu_us[name].append(turns[:, 0])
            wall_us[name].append(turns[:, 1])
    return {
        name: Cost(
            tuple(batches),
            tuple(round(float(np.median(turns)), 3) for turns in cpu_us[name]),
            tuple(round(float(np.median(turns)), 3) for turns in wall_us[name]),
            tuple(
                round(float(np.median(ours / theirs)), 4)
                for ours, theirs in zip(cpu_us[name], cpu_us[original], strict=True)
            ),
        )
        for name in models
    }


def _turns(models: Mapping[str, Runnable], rows: Floats, batch: int, rounds: int) -> dict[str, list[Any]]:
    """(CPU, wall) us a row of each model's turns; the first, in which it warms up, is not among them."""
    turns: dict[str, list[Any]] = {name: [] for name in models}
    random = np.random.default_rng(batch)
    starts = np.arange(0, max(1, len(rows) - batch + 1), batch)
    if len(rows) < batch:
        rows = np.resize(rows, (batch, *rows.shape[1:]))
    names = list(models)
    for turn in range(rounds + 1):
        # Each comes first and last as often as the others: what one leaves in the caches falls on all alike.
        random.shuffle(names)
        for name in names:
            model = models[name]
            runs, at = 0, turn
            cpu_ns, wall_ns = time.thread_time_ns(), time.perf_counter_ns()
            while runs == 0 or time.perf_counter_ns() - wall_ns < ROUND_NS:
                first = starts[at % len(starts)]
                model.run(rows[first : first + batch])
                runs, at = runs + 1, at + 1
            per_row = 1e-3 / (runs * batch)
            cpu_ns, wall_ns = time.thread_time_ns() - cpu_ns, time.perf_counter_ns() - wall_ns
            if turn:
                turns[name].append((cpu_ns * per_row, wall_ns * per_row))
    return turns


def likeness_of(expected: Floats, found: Floats, thresholds: Sequence[float]) -> Likeness:
    """Both models' answers, [rows] or [rows, classes], of which all are finite."""
    if expected.ndim == 2:
        alike = expected.argmax(axis=1) == found.argmax(axis=1)
        ranked = expected.max(axis=1), found.max(axis=1)
    else:
        alike = np.digitize(expected, thresholds) == np.digitize(found, thresholds)
        ranked = expected, found
    return Likeness(
        len(expected), float(np.abs(expected - found).max()), float(alike.mean()), rank_correlation(*ranked)
    )


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's rho, ties ranked at their mean; 0 where either says the same of every row."""
    first, second = _ranks(one), _ranks(other)
    if min(float(first.std()), float(second.std())) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Floats) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle: NDArray[np.float64] = np.cumsum(counts) - (counts - 1) / 2
    return middle[place]
