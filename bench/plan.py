"""Does `headrace plan` foretell a real run? The slow model of bench/batcher, five runs a load, one forecast each.

The forecast is given what the process of a first run had learned of its model's costs; all else is as shipped.
Latencies are compared where nothing expires, since a process counts the ages of all its answers together.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench._cluster import real_cluster
from bench._machine import RESULTS, save
from bench._rivals import OURS
from bench._slow_model import write_slow_model
from bench._trial import Trial, own_configuration, run_trial, total
from bench.batcher import ENGINE, LADDER, SECONDS, WARM_S
from pipeline.config.load import load
from pipeline.sim.curves import Costs, TierCurve
from pipeline.sim.plan import Load, Planner
from pipeline.telemetry.histogram import Histogram

RUNS = 5
LOADS = (0.5, 0.8, 2.0, 5.0)
CALM = 0.9


def observed(trial: Trial) -> dict[str, float]:
    moments = trial.during(0, WARM_S)
    seconds = sum(each["to_ms"] - each["from_ms"] for each in moments) / 1000
    ages = Histogram()
    for each in moments:
        ages.add(Histogram.of({int(bucket): count for bucket, count in each["histograms"]["age"].items()}))
    p50, p99 = ((ages.quantile(share) or 0.0) / 1000 for share in (0.5, 0.99))
    return {"goodput": total(moments, "in_time", "primary") / seconds, "p50_ms": p50, "p99_ms": p99}


def compared(load_share: float, forecast: Any, runs: list[dict[str, float]]) -> dict[str, Any]:
    said = {
        "goodput": forecast.goodput,
        "p50_ms": forecast.latency_ms["0.5"],
        "p99_ms": forecast.latency_ms["0.99"],
    }
    names = tuple(said) if load_share < CALM else ("goodput",)
    seen = {name: sorted(run[name] for run in runs) for name in names}
    return {
        "load": load_share,
        **{
            name: {"said": said[name], "seen": seen[name], "off": said[name] / float(np.median(seen[name])) - 1}
            for name in names
        },
    }


def plot(rows: list[dict[str, Any]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6))
    for axis, name, label in zip(
        axes, ("goodput", "p50_ms", "p99_ms"), ("goodput, rows a second", "p50, ms", "p99, ms"), strict=True
    ):
        points = [row for row in rows if name in row]
        for place, row in enumerate(points):
            seen, said = row[name]["seen"], row[name]["said"]
            axis.plot([place] * len(seen), seen, "o", color="#9aa5b1", ms=5, label="" if place else "real runs")
            axis.plot(place, said, "D", color="#2f6fb0", ms=7, label="" if place else "headrace plan")
        axis.set_xticks(range(len(points)), [f"{row['load']:g} x" for row in points])
        axis.set_ylim(bottom=0)
        axis.set_xlabel("load, times capacity")
        axis.set_title(label, fontsize=10)
    axes[0].legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(RESULTS / "plan.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=float, nargs="*", default=LOADS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, real_cluster() as bootstrap:
        models = Path(folder) / "models"
        write_slow_model(models, tuple(load("fraud", environ={}).config.features))
        path = own_configuration(Path(folder), LADDER[:1], models, ENGINE)
        phases = [(1500.0, WARM_S + SECONDS)]
        run_trial(bootstrap, str(path), OURS, phases, keep=False)  # warms the broker's own compiler up
        learned = run_trial(bootstrap, str(path), OURS, phases, keep=False).learned["primary"]
        curve = {int(rows): us * 1000 for rows, us in learned["expected_us"].items()}
        capacity = max(rows / ns for rows, ns in curve.items()) * 1e9
        costs = Costs((TierCurve(curve, learned["noise"]),))
        print(f"learned: {learned}; {capacity:,.0f} rows a second", flush=True)
        rows = []
        for share in arguments.loads:
            config = load(str(path), environ={}).config
            planner = Planner(config, costs, Load(share * capacity, "poisson", 60.0, 4, 1))
            runs = [
                observed(run_trial(bootstrap, str(path), OURS, [(share * capacity, WARM_S + SECONDS)], keep=False))
                for _ in range(RUNS)
            ]
            rows.append(compared(share, planner.forecast(1), runs))
            print(json.dumps(rows[-1]), flush=True)
    save("plan", {"learned": learned, "capacity": capacity, "loads": rows})
    plot(rows)


if __name__ == "__main__":
    main()
