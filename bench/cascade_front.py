"""Cost against quality of single fraud models, from which the best is pinned before any cascade is tuned.

`python -m bench.cascade_front --data FILE`: transactions as the Fraud Detection Handbook has them. Every candidate
is trained and judged by the Handbook's protocol on the four weeks before its test week; the test week is not looked
at. Costs are CPU time a row on one thread, all candidates in turns. What is kept is figures, never weights.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from bench._fraud_models import (
    CANDIDATES,
    TEST,
    VALIDATION,
    Trainer,
    layouts,
    runnable,
    tested_rows,
    written,
)
from bench._machine import RESULTS, save
from models.optimise.measure import costs_of
from models.optimise.study import on_front
from models.train.evaluate import average_precision, roc_auc
from models.train.examples import Examples, examples_of
from pipeline.config.load import load

BATCHES = (64, 256)
SEED = 1
NEAR = 0.005
"""Relative: as good as the best for what a cascade may lose."""


def read(data: Path) -> Examples:
    catalog = load("fraud", environ={}).config.catalog
    print("features of the file, half a minute", flush=True)
    return examples_of(catalog, pq.read_table(data))


def judged(trainer: Trainer, folder: Path) -> list[dict[str, Any]]:
    """Each candidate's quality by week, and its cost in its cheaper layout."""
    examples, found, models = trainer.examples, [], {}
    for candidate in CANDIDATES:
        weeks = []
        for split in VALIDATION:
            dump = trainer.dump(candidate, split, SEED)
            entry = written(folder, "judged", dump, examples.names, False, candidate.told, SEED)
            rows = tested_rows(examples, split)
            score = runnable(entry).answers(np.ascontiguousarray(examples.rows[rows])).astype(np.float64)
            fraud = examples.fraud[rows]
            weeks.append((average_precision(fraud, score), roc_auc(fraud, score)))
        for unrolled in layouts(candidate):
            name = f"{candidate.name}{'-unrolled' if unrolled else ''}"
            models[name] = runnable(written(folder, name, dump, examples.names, unrolled, candidate.told, SEED))
        ap, auc = np.mean(weeks, axis=0)
        print(
            f"{candidate.name:10} AP {ap:.4f}  AUC {auc:.4f}  by week {[round(week[0], 4) for week in weeks]}",
            flush=True,
        )
        found.append({"name": candidate.name, "told": candidate.told, "trees": candidate.trees * candidate.bags,
                      "ap": float(ap), "auc": float(auc), "ap_by_week": [week[0] for week in weeks]})  # fmt: skip
    rows = np.ascontiguousarray(examples.rows[-200_000:])
    costs = costs_of(models, CANDIDATES[0].name, rows, BATCHES, lambda text: print(text, flush=True))
    for each in found:
        own = {name: costs[name] for name in (each["name"], f"{each['name']}-unrolled") if name in costs}
        name = min(own, key=lambda name: sum(own[name].cpu_us))
        each |= {
            "unrolled": name.endswith("-unrolled"),
            "us_a_row": dict(zip(map(str, BATCHES), own[name].cpu_us, strict=True)),
        }
    return found


def drawn(found: list[dict[str, Any]], pinned: str, near: str) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 5))
    cost = {each["name"]: each["us_a_row"][str(BATCHES[-1])] for each in found}
    for each in found:
        colour = "#c0504d" if each["name"] == pinned else "#2f6fb0" if each["front"] else "#9aa5b1"
        axis.plot(cost[each["name"]], each["ap"], "o", color=colour)
        axis.annotate(each["name"], (cost[each["name"]], each["ap"]), (5, -9), textcoords="offset points", fontsize=8)
    front = sorted((cost[each["name"]], each["ap"]) for each in found if each["front"])
    axis.plot([x for x, _ in front], [y for _, y in front], color="#9aa5b1", zorder=0, label="front")
    best = max(each["ap"] for each in found)
    axis.axhline(best * (1 - NEAR), color="#9aa5b1", linestyle=":", label=f"{NEAR:.1%} below the best")
    axis.set_xscale("log")
    axis.set(
        xlabel=f"CPU a row, us, batches of {BATCHES[-1]}, one thread", ylabel="average precision, mean of four weeks"
    )
    axis.set_title(
        f"single models by the Handbook's protocol; pinned: {pinned}, cheapest as good: {near}", fontsize=10
    )
    axis.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(RESULTS / "cascade_front.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/transactions.parquet"))
    arguments = parser.parse_args()
    if not arguments.data.is_file():
        print(f"no file {arguments.data}: skipped")
        return
    with tempfile.TemporaryDirectory() as folder:
        found = judged(Trainer(read(arguments.data)), Path(folder))
    last = str(BATCHES[-1])
    front = on_front([each["us_a_row"][last] for each in found], [each["ap"] for each in found])
    for each, there in zip(found, front, strict=True):
        each["front"] = there
    best = max(found, key=lambda each: each["ap"])
    near = min(
        (each for each in found if each["ap"] >= best["ap"] * (1 - NEAR)), key=lambda each: each["us_a_row"][last]
    )
    for each in sorted(found, key=lambda each: each["us_a_row"][last]):
        print(f"{'*' if each['front'] else ' '} {each['name']:10} {each['us_a_row']}  AP {each['ap']:.4f}")
    print(f"pinned: {best['name']}; the cheapest within {NEAR:.1%} of it: {near['name']}")
    save(
        "cascade_front",
        {
            "validation_from_day": [split.test_from for split in VALIDATION],
            "test_from_day": TEST.test_from,
            "candidates": found,
            "pinned": best["name"],
            "cheapest_as_good": near["name"],
        },
    )
    drawn(found, best["name"], near["name"])


if __name__ == "__main__":
    main()
