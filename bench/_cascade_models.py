"""A dear model and a cheap one of the Handbook's split in a folder, and thresholds between them from days before it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.cascade import Thresholds, expected_of, merged
from models.cascade_report import report_of
from models.manifest import Trained
from models.repository import ModelEntry, Repository
from models.session import CPU, ModelSession
from models.train.evaluate import Split, average_precision, evaluate
from models.train.fraud import GBT, RECIPES, Examples, Recipe, fit, register
from models.train.onnx_trees import trees_to_onnx

DEAR, CHEAP = "dear", "cheap"
HANDBOOK = Split(train_from=115)
"""2018-07-25, counted from the file's first day."""
SEED = 7
LOSS_MAX = 0.001
"""Of average precision, relative, on the days that thresholds are chosen by."""


def dear_recipe(trees: int, depth: int) -> Recipe:
    """A stand-in for the best single model: many deep trees, learned slowly."""
    settings = {**GBT, "max_depth": depth, "num_leaves": 1 << depth, "learning_rate": 0.02}
    return Recipe(DEAR, "1", settings, trees, trees_to_onnx)


@dataclass(frozen=True)
class Pair:
    """Both models, and the thresholds that keep the loss."""

    thresholds: Thresholds
    found: dict[str, Any]


def scores_of(entry: ModelEntry, rows: NDArray[np.float32], names: tuple[str, ...]) -> NDArray[np.float32]:
    session = ModelSession(entry, providers=[CPU], buckets=[512], feature_names=names)
    out = np.zeros(len(rows), np.float32)
    for first in range(0, len(rows), 512):
        session.run(rows[first : first + 512], out[first : first + 512])
    return out


def thresholds_between(
    fraud: NDArray[np.bool_], first: NDArray[np.float32], second: NDArray[np.float32]
) -> Thresholds:
    """Those that pass the fewest rows on while average precision falls by `LOSS_MAX` at most."""
    floor = average_precision(fraud, second.astype(np.float64)) * (1 - LOSS_MAX)
    best, least = Thresholds(0.0, 1.0), 1.0
    lows = np.unique(np.quantile(first, np.linspace(0.3, 0.995, 80)))
    highs = [1.0, *np.unique(np.quantile(first, np.linspace(0.992, 0.9995, 10)))]
    for high in highs:
        for low in lows[lows <= high]:
            tried = Thresholds(float(low), float(high))
            share = float(tried.unsure(first).mean())
            if share < least:
                score = merged(first, second, tried).astype(np.float64)
                if average_precision(fraud, score) >= floor:
                    best, least = tried, share
    return best


def made(
    folder: Path, examples: Examples, dear: Recipe, report: Path, tell: Callable[[str], None]
) -> Pair:
    """Train both, choose thresholds on the week between training and test, write the report."""
    repository = Repository(folder)
    chosen = HANDBOOK.train_rows(examples.day)
    tested = HANDBOOK.test_rows(examples.day, examples.customer, examples.fraud)
    held_out = (examples.day >= HANDBOOK.train_from + HANDBOOK.train_days) & (examples.day < HANDBOOK.test_from)
    entries = []
    for recipe in (dear, replace(RECIPES[1], name=CHEAP)):
        tell(f"training {recipe.name}: {recipe.trees} trees of depth {recipe.settings['max_depth']}")
        booster = fit(examples, chosen, recipe.settings, recipe.trees, SEED)
        score = np.asarray(booster.predict(examples.rows[tested]), np.float64)
        quality = evaluate(examples.day[tested], examples.customer[tested], examples.fraud[tested], score)
        frauds = int(examples.fraud[chosen].sum())
        trained = Trained(
            when=date(2018, 8, 8), how="bench", data="given", rows=int(chosen.sum()), positives=frauds, seed=SEED
        )
        entries.append(register(repository, recipe, booster, examples, trained, quality))
    second, first = (scores_of(entry, examples.rows[held_out], examples.names) for entry in entries)
    thresholds = thresholds_between(examples.fraud[held_out], first, second)
    expected = expected_of(first, second, thresholds)
    report.write_bytes(
        _encoded(report_of(entries[1].manifest, entries[0].manifest, thresholds, expected))
    )
    found = {
        "dear": entries[0].manifest.quality,
        "cheap": entries[1].manifest.quality,
        "sure_below": thresholds.sure_below,
        "sure_above": thresholds.sure_above,
        "passed_share_expected": expected.passed_share,
    }
    return Pair(thresholds, found)


def _encoded(report: Any) -> bytes:
    import msgspec

    return msgspec.json.encode(report)
