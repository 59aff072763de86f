"""Single fraud models from tiny to large: how each is made, and as what it is written for ONNX Runtime."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from models.manifest import Manifest, Trained, write_manifest
from models.optimise.measure import Runnable
from models.repository import ModelEntry, Repository, sha256_of
from models.train.evaluate import Split
from models.train.examples import Examples
from models.train.fraud import GBT, fit
from models.train.onnx_dense import DEPTH, trees_to_dense_onnx
from models.train.onnx_trees import INPUT, OUTPUT, trees_to_onnx

TEST = Split(train_from=115)  # 2018-07-25: the Handbook's, whose test week is 2018-08-08 to 08-14
VALIDATION = tuple(Split(train_from=day) for day in (87, 94, 101, 108))
"""Whole protocols of the same kind, the last of which ends the day before the test week begins."""
assert all(split.test_from + split.test_days <= TEST.test_from for split in VALIDATION)


@dataclass(frozen=True)
class Candidate:
    """Boosted trees, or the mean of the log-odds of several that differ by their seed: one model all the same."""

    depth: int
    trees: int
    rate: float
    bags: int = 1

    @property
    def name(self) -> str:
        bags = f"{self.bags}x" if self.bags > 1 else ""
        return f"{bags}{self.trees}x{self.depth}"

    @property
    def told(self) -> str:
        bags = f"mean log-odds of {self.bags} times " if self.bags > 1 else ""
        return f"{bags}{self.trees} trees of depth {self.depth}, rate {self.rate:g}"


CANDIDATES = (
    Candidate(3, 10, 0.3),
    Candidate(3, 30, 0.2),
    Candidate(3, 60, 0.1),
    Candidate(3, 100, 0.1),
    Candidate(3, 300, 0.05),
    Candidate(3, 500, 0.03),
    Candidate(4, 200, 0.05),
    Candidate(5, 200, 0.05),
    Candidate(6, 300, 0.03),
    Candidate(3, 100, 0.1, 5),
    Candidate(4, 200, 0.05, 5),
    Candidate(3, 300, 0.05, 5),
    Candidate(3, 300, 0.05, 10),
)


class Trainer:
    """Fits boosters by the product's own recipe, and keeps them: a bag shares what a smaller one has."""

    def __init__(self, examples: Examples) -> None:
        self.examples = examples
        self._kept: dict[Any, Any] = {}

    def dump(self, candidate: Candidate, split: Split, seed: int) -> dict[str, Any]:
        """The candidate's trees, fitted to the split's training days, as `Booster.dump_model()` has them."""
        dumps = [self._fitted(candidate, split, seed * 100 + bag) for bag in range(candidate.bags)]
        trees = [_shrunk(tree["tree_structure"], candidate.bags) for dump in dumps for tree in dump["tree_info"]]
        return {"tree_info": [{"tree_structure": tree} for tree in trees]}

    def _fitted(self, candidate: Candidate, split: Split, seed: int) -> dict[str, Any]:
        key = (candidate.depth, candidate.trees, candidate.rate, split.train_from, seed)
        if key not in self._kept:
            settings = {
                **GBT,
                "max_depth": candidate.depth,
                "num_leaves": 2**candidate.depth,
                "learning_rate": candidate.rate,
            }
            chosen = split.train_rows(self.examples.day)
            self._kept[key] = fit(self.examples, chosen, settings, candidate.trees, seed).dump_model()
        return self._kept[key]  # type: ignore[no-any-return]


def _shrunk(node: dict[str, Any], bags: int) -> dict[str, Any]:
    if "leaf_value" in node:
        return {"leaf_value": node["leaf_value"] / bags}
    return {**node, **{side: _shrunk(node[side], bags) for side in ("left_child", "right_child")}}


def written(
    folder: Path, name: str, dump: dict[str, Any], names: Sequence[str], unrolled: bool, told: str, seed: int
) -> ModelEntry:
    """An entry of a repository, in either layout."""
    place = folder / name / "1"
    place.mkdir(parents=True, exist_ok=True)
    model = (trees_to_dense_onnx if unrolled else trees_to_onnx)(dump, len(names))
    (place / "model.onnx").write_bytes(model.SerializeToString())
    trained = Trained(when=date(2018, 8, 8), how=told, data="transactions.parquet", rows=0, positives=0, seed=seed)
    manifest = Manifest(
        name=name,
        version="1",
        kind="gradient-boosted trees",
        licence="none: trained on data without one",
        inputs=tuple(names),
        input=INPUT,
        output=OUTPUT,
        thresholds=(0.3, 0.8),
        sha256=sha256_of(place / "model.onnx"),
        trained=trained,
        quality={},
    )
    write_manifest(place / "manifest.toml", manifest)
    return Repository(folder).load(name, "1")


def layouts(candidate: Candidate) -> tuple[bool, ...]:
    """Whether unrolled, each way that the candidate can be laid out."""
    return (False, True) if candidate.depth <= DEPTH else (False,)


def runnable(entry: ModelEntry) -> Runnable:
    return Runnable(entry.manifest.name, entry.path, entry.manifest)


def tested_rows(examples: Examples, split: Split) -> Any:
    """int64[rows]: the split's test days, by the Handbook's protocol."""
    return np.flatnonzero(split.test_rows(examples.day, examples.customer, examples.fraud))
