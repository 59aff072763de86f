"""Cameras live: the shipped vision pipeline, a simulator and the broker, each a process on this machine.

How many frames have their decision delivered inside the budget, counted from the record's timestamp to the delivery
report; how long it takes; which tier answered. At the rate of the cameras, at three times it, at the capacity, which
is measured first; where three times the cameras are no overload, at three times the capacity too; and the overload
again with `pipeline.coalesce`.
Goodput: frames that `primary` scored and whose decision was delivered inside its deadline.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench._cluster import delete_topics, make_topics, real_cluster
from bench._machine import RESULTS, save
from bench._vision_backlog import backlog
from bench._vision_frames import SETTLE_S, SIZES, TOPICS, add_models_option, entries, fill, of_cameras, told
from pipeline.config.load import load
from pipeline.sim.frames import FRAMES_A_SECOND
from pipeline.telemetry.histogram import Histogram

WARM_S = 2.0
OVER, OVERLOAD = 3.0, 1.2
"""Times what the cameras send, which is an overload where it is so many times the capacity."""
OVERLOADED_S = 12.0
CAPACITY_FRAMES = {"200x200": 3000, "1920x1080": 500}
QUANTILES = (0.5, 0.99, 0.999)
TIERS = ("primary", "lite", "rule")
BUDGET_MS = load("vision", environ={}).config.pipeline.budget_ms


def beside(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench._vision_live", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, error = process.communicate(timeout=180)
    if process.returncode or not out:
        raise SystemExit(f"{process.args} failed:\n{error[-3000:]}")
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    return result


def trial(
    bootstrap: str, models: Path | None, size: str, cameras: int, rate: float, seconds: float, *settings: str
) -> dict[str, Any]:
    """One load over one pipeline process."""
    suffix = f"-{time.time_ns()}"
    make_topics(bootstrap, {name + suffix: count for name, count in TOPICS.items()})
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as moments:
        pipeline = beside("pipeline", bootstrap, suffix, str(models) if models else "-", moments.name, *settings)
        assert pipeline.stdout is not None
        if "ready" not in pipeline.stdout.readline():
            raise SystemExit(f"the pipeline did not start:\n{pipeline.communicate()[1][-3000:]}")
        time.sleep(SETTLE_S)
        sent = ended(beside("send", bootstrap, suffix, size, str(cameras), str(rate), str(seconds)))
        time.sleep(1.0)
        pipeline.send_signal(signal.SIGTERM)
        drained = ended(pipeline)["drained"]
        records = [json.loads(line) for line in Path(moments.name).read_bytes().splitlines()]
    delete_topics(bootstrap, [name + suffix for name in TOPICS])
    told_of = {"size": size, "cameras": cameras, "rate": rate, "seconds": seconds, "settings": settings}
    return {**told_of, "sent": sent["sent"], "behind_ms_max": sent["behind_ms_max"], "drained": drained} | summed(
        records, sent["begin_ms"], sent["end_ms"]
    )


def summed(records: list[dict[str, Any]], begin_ms: int, end_ms: int) -> dict[str, Any]:
    """What the metrics say of the load without its first seconds; `inside_whole` is with them."""
    moments = [each for each in records if begin_ms + WARM_S * 1000 <= each["from_ms"] and each["to_ms"] <= end_ms]
    if not moments:
        raise SystemExit("the load was over before the pipeline was warm: give more --seconds")
    seconds = (moments[-1]["to_ms"] - moments[0]["from_ms"]) / 1000
    delivered, age = sum(each["delivered"] for each in moments), Histogram()
    for each in moments:
        age.add(Histogram.of({int(bucket): count for bucket, count in each["histograms"]["age"].items()}))
    whole = sum(each["delivered"] for each in records)
    return {
        "delivered": whole,
        "inside": 1 - sum(each["deadline_misses"] for each in moments) / max(1, delivered),
        "inside_whole": 1 - sum(each["deadline_misses"] for each in records) / max(1, whole),
        "age_ms": {str(fraction): (age.quantile(fraction) or 0.0) / 1000 for fraction in QUANTILES},
        "answered_s": delivered / seconds,
        "goodput_s": sum(each["in_time"]["primary"] for each in moments) / seconds,
        "in_time_s": {tier: sum(each["in_time"][tier] for each in moments) / seconds for tier in TIERS},
        "outcomes": {
            name: sum(each["outcomes"].get(name, 0) for each in records)
            for name in ("scored", "degraded", "expired", "dead_letter")
        },
        "cores": sum(each["cpu_s"] for each in moments) / seconds,
    }


def show(found: dict[str, Any], capacity: float | None) -> None:
    of_capacity = f", {found['goodput_s'] / capacity:.2f} of the capacity" if capacity else ""
    age = ", ".join(f"p{float(q) * 100:g} {ms:.1f}" for q, ms in found["age_ms"].items())
    tiers = ", ".join(f"{name} {rate:,.0f}" for name, rate in found["in_time_s"].items())
    outcomes = ", ".join(f"{name} {count:,}" for name, count in found["outcomes"].items() if count)
    print(
        f"{told(found['size'])} at {found['rate']:,.0f}/s for {found['seconds']:g} s {' '.join(found['settings'])}\n"
        f"  inside {BUDGET_MS} ms: {found['inside']:.3%} (with the first {WARM_S:g} s {found['inside_whole']:.3%}); "
        f"age {age} ms\n"
        f"  in time by tier, a second: {tiers}; goodput {found['goodput_s']:,.0f}/s{of_capacity}\n"
        f"  {outcomes}; {found['delivered']:,} of {found['sent']:,} answered, {found['cores']:.2f} cores, "
        f"the sender at most {found['behind_ms_max']:.0f} ms behind",
        flush=True,
    )


def capacity_of(bootstrap: str, models: Path | None, size: str) -> float:
    """Frames a second of a backlog, by the primary tier on the shipped threads; the better of two runs."""
    suffix, count = f"-capacity-{time.time_ns()}", CAPACITY_FRAMES[size]
    fill(bootstrap, suffix, SIZES[size], count)
    rates = [backlog(bootstrap, suffix, count, models, ())["frames_s"] for _ in range(2)]
    delete_topics(bootstrap, [name + suffix for name in TOPICS])
    return float(max(rates))


def plot(name: str, trials: list[dict[str, Any]], capacity: float) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 4.2))
    names = [
        f"{each['rate']:,.0f}/s" + ("\ncoalescing" if "pipeline.coalesce=true" in each["settings"] else "")
        for each in trials
    ]
    below = [0.0] * len(trials)
    for tier, colour in zip(TIERS, ("#2f6fb0", "#8fb7dc", "#c9ced4"), strict=True):
        rates = [each["in_time_s"][tier] for each in trials]
        axis.bar(names, rates, 0.6, bottom=below, label=f"{tier}, in time", color=colour)
        below = [low + rate for low, rate in zip(below, rates, strict=True)]
    for place, each in enumerate(trials):
        axis.text(place, below[place], f"p99 {each['age_ms']['0.99']:.0f} ms", ha="center", va="bottom", fontsize=8)
    axis.axhline(capacity, color="#444", ls=":", lw=1, label="capacity")
    axis.set_ylabel("frames/s")
    axis.set_title(f"{told(trials[0]['size'])} from {trials[0]['cameras']} cameras, budget {BUDGET_MS} ms")
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(RESULTS / f"{name}.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the cameras' own rate")
    parser.add_argument("--over-seconds", type=float, default=OVERLOADED_S, help="of each overload")
    parser.add_argument("--size", choices=list(SIZES), default="200x200")
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--capacity", type=float, help="frames a second; else it is measured")
    add_models_option(parser)
    arguments = parser.parse_args()
    entries(arguments.models)
    usual = arguments.cameras * FRAMES_A_SECOND
    with real_cluster() as bootstrap:
        where = bootstrap, arguments.models, arguments.size, arguments.cameras
        of_cameras(arguments.size, arguments.cameras).frames()
        capacity = arguments.capacity or capacity_of(bootstrap, arguments.models, arguments.size)
        print(f"capacity: {capacity:,.0f} frames/s of a backlog", flush=True)
        over = OVER * usual if OVER * usual >= OVERLOAD * capacity else OVER * capacity
        loads = [(usual, arguments.seconds, ())]
        loads += [(rate, arguments.over_seconds, ()) for rate in sorted({OVER * usual, capacity, over})]
        loads += [(over, arguments.over_seconds, ("pipeline.coalesce=true",))]
        trials = []
        for rate, seconds, settings in loads:
            trials.append(trial(*where, rate, seconds, *settings))
            show(trials[-1], capacity)
    name = "vision_live" if arguments.size == "200x200" else f"vision_live_{arguments.size}"
    save(name, {"budget_ms": BUDGET_MS, "capacity": capacity, "trials": trials})
    plot(name, trials, capacity)


if __name__ == "__main__":
    main()
