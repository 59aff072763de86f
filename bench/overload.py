"""The fraud pipeline when Kafka and its own loop are the bottleneck, not the model: overload and what is left of it.

First what a scored and an expired event cost, the same topic read with a budget of an hour and of a millisecond.
Then 60 s at 1.5 times the capacity and 0.5 times after it: outcomes against the best mix that the measured costs
allow, and how soon the age of events is below the budget again.
"""

import argparse
import json
import statistics
import time
from typing import Any

from bench._cluster import delete_topics, make_topics, real_cluster
from bench._machine import RESULTS, save
from bench._rivals import OURS
from bench._trial import Trial, run_trial, total
from bench.end_to_end import OUTPUTS, run
from pipeline.config.load import load
from pipeline.sim.driver import Load, default_start_ms, drive
from pipeline.telemetry.histogram import Histogram

ROUNDS = 3
EVENTS = 400_000
OVER, UNDER = (1.5, 60.0), (0.5, 15.0)
WARM_S = 2.0
BUDGET_MS = load("fraud", environ={}).config.pipeline.budget_ms
ANSWERS = ("scored", "degraded", "expired")


def costs(bootstrap: str) -> dict[str, Any]:
    """us of process CPU and of the loop's wall clock an event, all scored and all expired; medians of the rounds."""
    make_topics(bootstrap, {"transactions": 4, "labels": 2})
    drive({"bootstrap.servers": bootstrap}, Load(EVENTS, 0), start_ms=default_start_ms(time.time_ns() // 1_000_000))
    seen: dict[str, list[tuple[float, float]]] = {"scored": [], "expired": []}
    for number in range(ROUNDS + 1):
        for outcome, budget in (("scored", []), ("expired", ["pipeline.budget_ms=1"])):
            make_topics(bootstrap, OUTPUTS)
            group = f"costs-{number}-{time.time_ns()}"
            ran = run("bench._pipeline", bootstrap, str(EVENTS), group, "plain", *budget)
            assert ran["outcomes"][outcome] == EVENTS, ran
            delete_topics(bootstrap, list(OUTPUTS))
            time.sleep(1.0)
            if number:  # the first warms the broker's own compiler up
                seen[outcome].append((ran["cpu_s"] * 1e6 / EVENTS, ran["seconds"] * 1e6 / EVENTS))
            print(f"{outcome}: {ran['cpu_s'] * 1e6 / EVENTS:.2f} us of CPU an event", flush=True)
    delete_topics(bootstrap, ["transactions", "labels"])
    found = {
        outcome: {
            "cpu_us": statistics.median(cpu for cpu, _ in rounds),
            "loop_us": statistics.median(wall for _, wall in rounds),
        }
        for outcome, rounds in seen.items()
    }
    scored, expired = found["scored"]["loop_us"], found["expired"]["loop_us"]
    return {**found, "ratio": expired / scored, "ratio_at_50_us_a_row": expired / (scored + 50.0)}


def age_p99_ms(moment: dict[str, Any]) -> float | None:
    found = Histogram.of({int(bucket): count for bucket, count in moment["histograms"]["age"].items()}).quantile(0.99)
    return None if found is None else found / 1000


def summed(trial: Trial, phase: int) -> dict[str, Any]:
    moments = trial.during(phase, WARM_S)
    seconds = sum(each["to_ms"] - each["from_ms"] for each in moments) / 1000
    answered = {name: total(moments, "outcomes", name) for name in ANSWERS}
    tiers = {name: total(moments, "tiers", name) for name in moments[0]["tiers"]}
    return {
        "answered_a_s": sum(answered.values()) / seconds,
        "read_a_s": total(moments, "counts", "read") / seconds,
        "outcomes": {name: count / sum(answered.values()) for name, count in answered.items()},
        "tiers": {name: count / sum(answered.values()) for name, count in tiers.items()},
        "misses": sum(each["deadline_misses"] for each in moments) / sum(answered.values()),
        "cores": sum(each["cpu_s"] for each in moments) / seconds,
    }


def recovered_s(trial: Trial) -> float:
    """Seconds after the overload until the p99 age is under the budget and stays there for a second."""
    end = trial.phases_ms[0][1]
    since = end
    for each in (each for each in trial.moments if each["from_ms"] >= end):
        if (age_p99_ms(each) or 0.0) >= BUDGET_MS:
            since = each["to_ms"]
        elif each["to_ms"] >= since + 1000:
            break
    return (since - end) / 1000


def plot(trial: Trial, capacity: float) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 5.6), sharex=True)
    start = trial.phases_ms[0][0]
    moments = [each for each in trial.moments if each["to_ms"] > start]
    at_s = [(each["to_ms"] - start) / 1000 for each in moments]
    shares = [
        [each["outcomes"][name] * 1000 / max(1, each["to_ms"] - each["from_ms"]) / 1e3 for each in moments]
        for name in ANSWERS
    ]
    above.stackplot(at_s, shares, labels=ANSWERS, colors=["#2f6fb0", "#8fb7dc", "#c9ced4"])
    above.axhline(capacity / 1e3, color="#444", ls=":", lw=1, label="capacity")
    above.set_ylabel("thousand answers a second")
    above.legend(fontsize=8, loc="upper right")
    below.plot(at_s, [age_p99_ms(each) or float("nan") for each in moments], ".", ms=3, color="#2f6fb0")
    below.axhline(BUDGET_MS, color="#a45a7a", lw=1, label="budget")
    below.set_yscale("log")
    below.set_ylabel("p99 age, ms")
    below.set_xlabel("seconds")
    below.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(RESULTS / "overload.png", dpi=110)


def overloaded(bootstrap: str, capacity: float, seconds: float, found: dict[str, Any]) -> None:
    """Both phases; writes the result and the picture."""
    phases = [(OVER[0] * capacity, seconds), (UNDER[0] * capacity, UNDER[1])]
    trial = run_trial(bootstrap, "fraud", OURS, phases, keep=False)
    result: dict[str, Any] = {
        "costs": found,
        "capacity": capacity,
        "sent": sum(int(rate * length) for rate, length in phases),
        "answered": sum(total(trial.moments, "outcomes", name) for name in ANSWERS),
        "drained": trial.drained,
        "recovered_s": recovered_s(trial),
        "over": summed(trial, 0),
        "under": summed(trial, 1),
    }
    scored_us, expired_us = found["scored"]["cpu_us"], found["expired"]["cpu_us"]
    room_us = result["over"]["cores"] * 1e6 / result["over"]["read_a_s"]
    result["best_scored_share"] = max(0.0, min(1.0, (room_us - expired_us) / (scored_us - expired_us)))
    print(json.dumps(result, indent=1), flush=True)
    save("overload", result)
    plot(trial, capacity)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--capacity", type=float, help="events a second; else what bench/latency found last")
    parser.add_argument("--seconds", type=float, default=OVER[1])
    arguments = parser.parse_args()
    capacity = arguments.capacity or json.loads((RESULTS / "latency.json").read_text())["capacity"]
    with real_cluster() as bootstrap:
        overloaded(bootstrap, capacity, arguments.seconds, costs(bootstrap))


if __name__ == "__main__":
    main()
