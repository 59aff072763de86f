"""The vision pipeline over Kafka, beside decode and inference alone (the limit) and a plain loop a frame.

Stages first: us a frame on one thread by batch size. Then rounds in which the pipeline, its limit and the plain loop
take turns over the same frames, on as many threads; ratios are taken within a round, and their medians told: they
travel to other machines, the absolutes do not. Needs OpenCV for the plain loop.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench._cluster import real_cluster
from bench._machine import RESULTS, save
from bench._vision_alone import limit, plain, session_of, stages
from bench._vision_backlog import backlog
from bench._vision_frames import MODELS, SIZES, add_models_option, entries, fill, told
from models.repository import ModelEntry
from pipeline.scorer import SWITCH_S

ROWS = (1, 2, 4, 8, 16, 32)
WAYS = {1: ("engine.session=inline", "engine.sessions=1"), 2: ("engine.session=thread", "engine.sessions=2")}
"""Threads that decode and score, and what makes the pipeline use so many."""
FRAMES = {"200x200": 3000, "1920x1080": 500}
ALONE_S = 1.5
COLOURS = {"limit": "#9aa5b1", "pipeline": "#2f6fb0", "plain": "#d9b382"}


def all_stages(models: Mapping[str, ModelEntry]) -> list[dict[str, Any]]:
    found = []
    print(f"{'frame':>17} {'model':>17} {'batch':>5} {'decode us':>10} {'infer us':>9} {'sum us':>8} {'frames/s':>9}")
    for size, belt in SIZES.items():
        for name, entry in models.items():
            for rows in ROWS:
                took = stages(entry, belt.frames(), rows)
                found.append({"size": size, "model": name, "rows": rows, **took})
                print(
                    f"{told(size):>17} {name:>17} {rows:5} {took['decode_us']:10.0f} {took['inference_us']:9.0f} "
                    f"{took['us']:8.0f} {took['frames_s']:9,.0f}",
                    flush=True,
                )
    return found


def one_round(
    bootstrap: str, frames: Mapping[str, int], folder: Path | None, models: Mapping[str, ModelEntry]
) -> list[dict[str, Any]]:
    """Every case once: the pipeline, the limit at the batch size that the pipeline had, the plain loop."""
    rounds = []
    for size, belt in SIZES.items():
        values = belt.frames()
        for name, entry in models.items():
            for threads, settings in WAYS.items():
                model = (f"tiers.0.model={name}", *settings)
                ran = backlog(bootstrap, f"-{size}", frames[size], folder, model)
                assert ran["outcomes"]["scored"] == frames[size], ran["outcomes"]
                session = session_of(entry, ran["batch_rows"])
                rounds.append(
                    {
                        "size": size,
                        "model": name,
                        "threads": threads,
                        "pipeline": ran["frames_s"],
                        "limit": limit(session, values, ran["batch_rows"], threads, ALONE_S),
                        "plain": plain(entry, values, threads, ALONE_S),
                        "batch_rows": ran["batch_rows"],
                        "cpu_s_a_thousand": ran["cpu_s_a_thousand"],
                    }
                )
    return rounds


def merged(rounds: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The rounds of each case together: medians, of the ratios too."""
    cases = []
    for case in zip(*rounds, strict=True):
        found = {key: case[0][key] for key in ("size", "model", "threads")}
        for key in ("pipeline", "limit", "batch_rows", "cpu_s_a_thousand"):
            found[key] = statistics.median(each[key] for each in case)
        found["of_limit"] = statistics.median(each["pipeline"] / each["limit"] for each in case)
        if all(each["plain"] for each in case):
            found["plain"] = statistics.median(each["plain"] for each in case)
            found["of_plain"] = statistics.median(each["pipeline"] / each["plain"] for each in case)
        found["rounds"] = [{key: each[key] for key in ("pipeline", "limit", "plain")} for each in case]
        cases.append(found)
    return cases


def show(cases: list[dict[str, Any]]) -> None:
    print(
        f"{'frame':>17} {'model':>17} {'threads':>7} {'pipeline/s':>10} {'limit/s':>8} {'of it':>6} {'plain/s':>8} "
        f"{'of it':>6} {'batch':>5} {'CPU s/1000':>10}"
    )
    for case in cases:
        beside = f"{case['plain']:8,.0f} {case['of_plain']:6.2f}" if "plain" in case else f"{'-':>8} {'-':>6}"
        print(
            f"{told(case['size']):>17} {case['model']:>17} {case['threads']:7} {case['pipeline']:10,.0f} "
            f"{case['limit']:8,.0f} {case['of_limit']:6.2f} {beside} {case['batch_rows']:5.0f} "
            f"{case['cpu_s_a_thousand']:10.2f}"
        )


def plot(found: list[dict[str, Any]], cases: list[dict[str, Any]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(SIZES), figsize=(11, 7.4))
    for column, size in enumerate(SIZES):
        above, below = axes[0][column], axes[1][column]
        for name in MODELS:
            curve = [each for each in found if (each["size"], each["model"]) == (size, name)]
            rows = [each["rows"] for each in curve]
            line = above.plot(rows, [each["us"] for each in curve], "o-", label=f"{name}: both")[0]
            infer = [each["inference_us"] for each in curve]
            above.plot(rows, infer, "o--", color=line.get_color(), label=f"{name}: inference")
        above.set(title=f"{told(size)}, one thread", xlabel="frames a batch", ylabel="µs a frame")
        above.set_xscale("log", base=2)
        above.set_ylim(bottom=0)
        above.legend(fontsize=7)
        shown = [each for each in cases if each["size"] == size]
        for index, way in enumerate(COLOURS):
            bars = [each.get(way, 0.0) for each in shown]
            places = [place + 0.27 * (index - 1) for place in range(len(shown))]
            below.bar(places, bars, 0.25, label=way, color=COLOURS[way])
        names = [f"{each['model']}\n{each['threads']} thread{'s' * (each['threads'] > 1)}" for each in shown]
        below.set_xticks(range(len(shown)), names, fontsize=7)
        below.set_ylabel("frames/s")
        below.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(RESULTS / "vision.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="of the usual numbers of frames")
    add_models_option(parser)
    arguments = parser.parse_args()
    models = entries(arguments.models)
    frames = {size: max(256, round(count * arguments.share)) for size, count in FRAMES.items()}
    sys.setswitchinterval(SWITCH_S)  # as the pipeline's threads have it
    started = time.monotonic()
    found = all_stages(models)
    if plain(models[MODELS[0]], SIZES["200x200"].frames(), 1, 0.0) is None:
        print("opencv is absent (extra `bench`): the plain loop is skipped")
    with real_cluster() as bootstrap:
        for size, belt in SIZES.items():
            fill(bootstrap, f"-{size}", belt, frames[size])
        first = next(iter(SIZES))
        backlog(bootstrap, f"-{first}", frames[first], arguments.models, WAYS[1])  # warms broker and kernels up
        rounds = []
        for number in range(arguments.rounds):
            rounds.append(one_round(bootstrap, frames, arguments.models, models))
            print(f"round {number + 1} of {arguments.rounds}, {time.monotonic() - started:.0f} s", flush=True)
        spent = {
            size: backlog(bootstrap, f"-{size}", frames[size], arguments.models, WAYS[1], profile=True)["us_a_frame"]
            for size in SIZES
        }
    cases = merged(rounds)
    show(cases)
    for size, parts in spent.items():
        told_parts = ", ".join(f"{name} {us:.1f}" for name, us in parts.items() if us >= 0.5)
        print(f"{told(size)}, {MODELS[0]}, inline, us a frame: {told_parts}")
    bytes_of = {size: round(statistics.mean(map(len, belt.frames()))) for size, belt in SIZES.items()}
    sizes = {name: entry.path.stat().st_size for name, entry in models.items()}
    shared = {"frame_bytes": bytes_of, "model_bytes": sizes, "us_a_frame": spent}
    save("vision", {**shared, "stages": found, "cases": cases})
    plot(found, cases)


if __name__ == "__main__":
    main()
