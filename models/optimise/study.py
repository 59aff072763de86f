"""One model's variants, measured: the table, the front of cost against quality, and who passed the gate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.bootstrap import Interval, Measure, Paired, average_precision_of, share_of
from models.manifest import ModelError
from models.optimise.gate import Limits, not_finite, refusals
from models.optimise.graphs import graph_variants
from models.optimise.made import Variant
from models.optimise.measure import Cost, Floats, Likeness, Runnable, costs_of, likeness_of
from models.optimise.trees import tree_variants
from models.repository import ModelEntry

CONFIDENCE = 0.95
RANGES_ROWS = 256
FRONT_SLACK = 1e-12


@dataclass(frozen=True)
class Sample:
    """What variants are made with and measured on."""

    told: str
    """Where it is from, for people."""
    rows: Floats
    """Held-out inputs, float32[n, *row]: the model was not trained on them."""
    truth: NDArray[np.bool_] | NDArray[np.int64]
    """bool[n] for a model of scores, the class of each row for a classifier."""
    others: Floats
    """Inputs that are not held out, float32[m, *row]: for ranges of values, and to teach from."""


@dataclass(frozen=True)
class Finding:
    """One variant, or the original itself, and what was found."""

    name: str
    how: str
    file_bytes: int = 0
    cost: Cost | None = None
    likeness: Likeness | None = None
    quality: float | None = None
    drop: Interval | None = None
    millijoules: float | None = None
    """A thousand rows in the last batch size, by the estimate that `Study.watts_core` states."""
    refused: tuple[str, ...] = ()
    front: bool = False
    """Whether no other is both as cheap and as good, and better in one of them."""

    @property
    def passed(self) -> bool:
        """Whether the gate lets it through."""
        return not self.refused


@dataclass(frozen=True)
class Study:
    """All findings about one model, the original first."""

    model: str
    version: str
    sha256: str
    data: str
    rows: int
    measure: str
    """What quality is: `ap` or `accuracy`."""
    watts_core: float
    limits: Limits
    findings: tuple[Finding, ...]


def joules_of(cpu_s: float, watts_core: float) -> float:
    """Energy by a stated estimate: what a busy core draws, times how long it was busy."""
    return cpu_s * watts_core


def variants_of(entry: ModelEntry, folder: Path, sample: Sample, seed: int) -> list[Variant]:
    """Every variant there is for the model, written under `folder`."""
    some = np.random.default_rng([seed, 7]).permutation(len(sample.others))[:RANGES_ROWS]
    variants = graph_variants(entry.path, folder, sample.others[np.sort(some)])
    if entry.manifest.image is None:
        scores = Runnable(entry.manifest.name, entry.path, entry.manifest).answers(sample.others)
        variants += tree_variants(entry.path, folder, sample.others, scores, seed)
    return variants


def study(
    entry: ModelEntry,
    variants: Sequence[Variant],
    sample: Sample,
    batches: Sequence[int],
    limits: Limits,
    watts_core: float,
    progress: Callable[[str], None] = lambda text: None,
) -> Study:
    """Measure variants beside the original, in one run, and hold each to the limits.

    Raises ModelError where the sample cannot measure the model itself.
    """
    manifest = entry.manifest
    own = f"{manifest.name}/{manifest.version}"
    runnable = {own: Runnable(own, entry.path, manifest)}
    expected = runnable[own].answers(sample.rows)
    if told := not_finite(own, expected):
        raise ModelError(f"{entry.path}: {told}")
    answers, broken = {own: expected}, {}
    for variant in variants:
        progress(f"scoring {len(sample.rows):,} rows by {variant.name}")
        found = _answers(variant, entry, sample.rows)
        if isinstance(found, str):
            broken[variant.name] = found
        else:
            runnable[variant.name], answers[variant.name] = found
    costs = costs_of(runnable, own, sample.rows, batches, progress)
    findings = [_finding(Variant(own, "as registered", entry.path), own, answers, costs, entry, sample, watts_core)]
    for variant in variants:
        if variant.name in broken:
            size = variant.path.stat().st_size if variant.path else 0
            findings.append(Finding(variant.name, variant.how, size, refused=(broken[variant.name],)))
        else:
            progress(f"holding {variant.name} to the limits")
            findings.append(_finding(variant, own, answers, costs, entry, sample, watts_core, limits))
    measure = "ap" if manifest.image is None else "accuracy"
    told_rows = len(sample.rows)
    return Study(
        manifest.name,
        manifest.version,
        manifest.sha256,
        sample.told,
        told_rows,
        measure,
        watts_core,
        limits,
        tuple(_with_front(findings)),
    )


def _answers(variant: Variant, entry: ModelEntry, rows: Floats) -> tuple[Runnable, Floats] | str:
    """The variant, loaded, and its answers; or what is wrong with it."""
    if variant.path is None:
        return f"{variant.name}: is not made: {variant.why}"
    try:
        model = Runnable(variant.name, variant.path, entry.manifest)
        answers = model.answers(rows)
    except ModelError as error:
        return str(error)
    except Exception as error:  # ONNX Runtime's own exceptions have no common class
        return f"{variant.name}: cannot be run: {str(error).splitlines()[0]}"
    return not_finite(variant.name, answers) or (model, answers)


def _finding(
    variant: Variant,
    own: str,
    answers: dict[str, Floats],
    costs: dict[str, Cost],
    entry: ModelEntry,
    sample: Sample,
    watts_core: float,
    limits: Limits | None = None,
) -> Finding:
    assert variant.path is not None
    name, cost = variant.name, costs[variant.name]
    measure = "ap" if entry.manifest.image is None else "accuracy"
    before, after = (_quality(answers[each], sample) for each in (own, name))
    likeness = likeness_of(answers[own], answers[name], entry.manifest.thresholds)
    drop = Paired(before, len(sample.rows)).lost(after, CONFIDENCE)
    refused = refusals(name, own, measure, likeness, drop, cost, limits) if limits else []
    return Finding(
        name,
        variant.how,
        variant.path.stat().st_size,
        cost,
        likeness,
        after(np.ones(len(sample.rows), np.int64)),
        drop,
        1e3 * joules_of(cost.cpu_us[-1] * 1e-6 * 1000, watts_core),
        tuple(refused),
    )


def _quality(answers: Floats, sample: Sample) -> Measure:
    if answers.ndim == 2:
        return share_of(answers.argmax(axis=1) == sample.truth)
    return average_precision_of(np.asarray(sample.truth, np.bool_), answers)


def _with_front(findings: Sequence[Finding]) -> list[Finding]:
    from dataclasses import replace

    measured = [(each.name, each.cost.ratio, each.quality) for each in findings if each.cost and each.quality]
    front = on_front([ratio for _, ratio, _ in measured], [quality for *_, quality in measured])
    names = {name for (name, *_), there in zip(measured, front, strict=True) if there}
    return [replace(each, front=each.name in names) for each in findings]


def on_front(costs: Sequence[float], qualities: Sequence[float]) -> list[bool]:
    """Which points no other dominates: as cheap and as good, and better in one (Pareto)."""
    pairs = list(zip(costs, qualities, strict=True))
    return [
        not any(c <= cost and q >= quality and (c < cost or q > quality + FRONT_SLACK) for c, q in pairs)
        for cost, quality in pairs
    ]
