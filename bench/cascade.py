"""A cascade of fraud models by the Handbook's protocol: average precision and CPU a row against the dear one alone.

`python -m bench.cascade --data FILE`, after `python -m bench.cascade_front`, whose best single model is the one to
save; the cheapest that is as good within 0.5 % is tried too. First models and thresholds are chosen on the four weeks
before the test week, rows of all four pooled; then everything is trained anew for the test week, five times by other
seeds, and judged there once. Costs are of the models alone, process CPU time, in turns; `--models FOLDER` keeps the
first seed's models and reports, for whoever wants to run a pipeline of them.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench._fraud_models import CANDIDATES, TEST, VALIDATION, Candidate, Trainer, runnable, tested_rows, written
from bench._machine import RESULTS, save
from bench.cascade_front import read
from models.cascade import merged
from models.cascade_calibration import Calibrated, calibrate
from models.cascade_report import report_of
from models.optimise.measure import Floats, Runnable
from models.repository import ModelEntry
from models.train.evaluate import Split, evaluate

LOSS_MAX = 0.005
CONFIDENCE = 0.95
SEEDS = range(1, 6)
FIRST_SHARE_MAX = 0.25
"""Of the dear one's cost: a first model above that could not halve it by much."""
BATCHES = (64, 256)
ROUNDS = 15
TURN_ROWS = 8192


@dataclass(frozen=True)
class Chosen:
    """What the validation weeks said."""

    first: Candidate
    second: Candidate
    calibrated: Calibrated
    expected_us: float


class Bench:
    """Candidates with their measured costs, and where their models are written."""

    def __init__(self, trainer: Trainer, folder: Path) -> None:
        self._trainer, self._folder = trainer, folder
        front = json.loads((RESULTS / "cascade_front.json").read_text())
        self._figures = {each["name"]: each for each in front["candidates"]}
        self.targets = list(dict.fromkeys([front["pinned"], front["cheapest_as_good"]]))

    def us(self, candidate: Candidate) -> float:
        return float(self._figures[candidate.name]["us_a_row"][str(BATCHES[-1])])

    def model(self, candidate: Candidate, split: Split, seed: int, name: str) -> ModelEntry:
        unrolled = self._figures[candidate.name]["unrolled"]
        dump = self._trainer.dump(candidate, split, seed)
        return written(self._folder, name, dump, self._trainer.examples.names, unrolled, candidate.told, seed)

    def rows(self, split: Split) -> Floats:
        return np.ascontiguousarray(self._trainer.examples.rows[tested_rows(self._trainer.examples, split)])

    def pooled(self, candidate: Candidate, seed: int) -> Floats:
        """Scores of the validation weeks, each by a model trained before it."""
        models = [runnable(self.model(candidate, split, seed, "pooled")) for split in VALIDATION]
        return np.concatenate(
            [model.answers(self.rows(split)) for model, split in zip(models, VALIDATION, strict=True)]
        )

    def choose(self, second: Candidate) -> Chosen:
        """The first model and thresholds that are expected to cost least, on the validation weeks."""
        examples = self._trainer.examples
        truth = np.concatenate([examples.fraud[tested_rows(examples, split)] for split in VALIDATION])
        dear, tried = self.pooled(second, 1), []
        for first in CANDIDATES:
            if self.us(first) > FIRST_SHARE_MAX * self.us(second):
                continue
            # By seeds of its own: trees that the two share would make them agree more than other models do.
            found = calibrate(self.pooled(first, 2), dear, truth, LOSS_MAX, CONFIDENCE)
            expected_us = self.us(first) + found.expected.passed_share * self.us(second)
            tried.append(Chosen(first, second, found, expected_us))
            print(f"  {first.name} before {second.name}: {found.expected.passed_share:.2%} passed on, "
                  f"{expected_us:.2f} us expected, {self.us(second):.2f} alone; AP {found.second_quality:.4f} and "
                  f"{found.cascade_quality:.4f}, at most {found.loss.high:.3%} lost", flush=True)  # fmt: skip
        return min(tried, key=lambda each: each.expected_us)


def judged(bench: Bench, trainer: Trainer, chosen: Chosen, seed: int, name: str) -> dict[str, Any]:
    """One seed on the test week."""
    examples, rows = trainer.examples, tested_rows(trainer.examples, TEST)
    entries = [
        bench.model(chosen.first, TEST, seed + 50, f"{name}-first"),
        bench.model(chosen.second, TEST, seed, f"{name}-second"),
    ]
    first, second = map(runnable, entries)
    given, thresholds = bench.rows(TEST), chosen.calibrated.thresholds
    cheap, dear = first.answers(given), second.answers(given)
    both = merged(cheap, dear, thresholds)
    known = examples.day[rows], examples.customer[rows], examples.fraud[rows]
    quality = {
        kind: evaluate(*known, scores.astype(np.float64)).as_dict()
        for kind, scores in (("first", cheap), ("alone", dear), ("cascade", both))
    }
    return {
        "seed": seed,
        **quality,
        "passed_share": float(thresholds.unsure(cheap).mean()),
        "ap_lost": 1 - quality["cascade"]["ap"] / quality["alone"]["ap"],
        "cpu_us": {str(batch): cpu_us(first, second, given, chosen, batch) for batch in BATCHES},
        "entries": entries,
    }


def cpu_us(first: Runnable, second: Runnable, rows: Floats, chosen: Chosen, batch: int) -> dict[str, float]:
    """Process CPU a row: the dear one alone, and the cascade, rows passed on at once, however few they are."""
    took: dict[str, list[float]] = {"alone": [], "cascade": []}
    for turn in range(ROUNDS + 1):
        start = turn * TURN_ROWS % (len(rows) - TURN_ROWS)
        for kind in ("alone", "cascade") if turn % 2 else ("cascade", "alone"):
            began = time.process_time_ns()
            for at in range(start, start + TURN_ROWS, batch):
                part = rows[at : at + batch]
                if kind == "alone":
                    second.run(part)
                    continue
                unsure = chosen.calibrated.thresholds.unsure(first.run(part).reshape(-1))
                if unsure.any():
                    second.run(part[unsure])
            if turn:
                took[kind].append((time.process_time_ns() - began) / TURN_ROWS / 1e3)
    ratio = float(np.median(np.array(took["cascade"]) / np.array(took["alone"])))
    return {**{kind: float(np.median(turns)) for kind, turns in took.items()}, "ratio": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/transactions.parquet"))
    parser.add_argument("--models", type=Path, help="Keep the models and reports of the first seed here.")
    arguments = parser.parse_args()
    if not arguments.data.is_file():
        print(f"no file {arguments.data}: skipped")
        return
    trainer = Trainer(read(arguments.data))
    results = []
    with tempfile.TemporaryDirectory() as own:
        bench = Bench(trainer, Path(own))
        for target in bench.targets:
            second = next(each for each in CANDIDATES if each.name == target)
            print(f"first models for {target}: chosen on the weeks before the test week", flush=True)
            chosen = bench.choose(second)
            found = []
            for seed in SEEDS:
                found.append(judged(bench, trainer, chosen, seed, f"cascade-{target}"))
                entries = found[-1].pop("entries")
                print(json.dumps(found[-1]), flush=True)
                if arguments.models and seed == SEEDS[0]:
                    for entry in entries:
                        place = arguments.models / entry.manifest.name / "1"
                        place.mkdir(parents=True, exist_ok=True)
                        for file in entry.path.parent.iterdir():
                            (place / file.name).write_bytes(file.read_bytes())
                    manifests, calibrated = [entry.manifest for entry in entries], chosen.calibrated
                    report = report_of(manifests[0], manifests[1], calibrated.thresholds, calibrated.expected)
                    (arguments.models / f"cascade-{target}.json").write_bytes(msgspec.json.encode(report))
            results.append(summary(chosen, found))
    save("cascade", {"loss_max": LOSS_MAX, "confidence": CONFIDENCE, "pairs": results})


def summary(chosen: Chosen, found: list[dict[str, Any]]) -> dict[str, Any]:
    lost = [each["ap_lost"] for each in found]
    mean = {kind: float(np.mean([each[kind]["ap"] for each in found])) for kind in ("first", "alone", "cascade")}
    ratios = {
        str(batch): float(np.median([each["cpu_us"][str(batch)]["ratio"] for each in found])) for batch in BATCHES
    }
    relative = 1 - mean["cascade"] / mean["alone"]
    print(
        f"{chosen.first.name} before {chosen.second.name}: AP {mean['alone']:.4f} alone, {mean['cascade']:.4f} by "
        f"both ({relative:+.2%} lost; by seed {[f'{each:+.2%}' for each in lost]}), CPU {ratios} of alone",
        flush=True,
    )
    return {
        "first": chosen.first.name,
        "second": chosen.second.name,
        "calibrated": msgspec.to_builtins(chosen.calibrated),
        "expected_us": chosen.expected_us,
        "ap_mean": mean,
        "ap_lost_mean": relative,
        "passed_share_mean": float(np.mean([each["passed_share"] for each in found])),
        "cpu_ratio": ratios,
        "by_seed": found,
    }


if __name__ == "__main__":
    main()
