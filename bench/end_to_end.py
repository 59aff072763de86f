"""Throughput on real Kafka: the shipped fraud pipeline against consuming and producing unchanged.

Five rounds, the three ways interleaved, medians, after two that warm the broker's own compiler up; the ratios
travel to other machines, the absolutes do not.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

from bench._cluster import delete_topics, make_topics, real_cluster
from bench._machine import RESULTS, save
from pipeline.sim.driver import Load, default_start_ms, drive

WAYS = ("plain", "bulk", "headrace")
OUTPUTS = {"decisions": 4, "dead-letters": 1, "metrics": 1, "copies": 4}


def run(module: str, *arguments: str) -> dict[str, Any]:
    ran = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{module} failed:\n{ran.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return result


def one(way: str, bootstrap: str, events: int, number: int) -> dict[str, Any]:
    make_topics(bootstrap, OUTPUTS)
    if way == "headrace":
        result = run("bench._pipeline", bootstrap, str(events), f"bench-{number}-{time.time_ns()}")
        assert result["outcomes"]["scored"] == events, result
    else:
        result = run("bench._pass_through", way, bootstrap, "transactions", "copies", str(events))
    delete_topics(bootstrap, list(OUTPUTS))
    time.sleep(1.0)
    return result


def plot(rates: dict[str, list[float]], profile: dict[str, float]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), width_ratios=[1, 1.3])
    names = {
        "plain": "Python client,\nunchanged",
        "bulk": "bulk lanes,\nunchanged",
        "headrace": "headrace fraud,\nscored",
    }
    medians = [statistics.median(rates[way]) / 1e3 for way in WAYS]
    left.bar([names[way] for way in WAYS], medians, color=["#9aa5b1", "#9aa5b1", "#2f6fb0"])
    for place, way in enumerate(WAYS):
        left.plot([place] * len(rates[way]), [rate / 1e3 for rate in rates[way]], "k.", ms=4)
    left.set_ylabel("thousand events a second")
    left.set_title("one process, real Kafka")
    stages = sorted(profile.items(), key=lambda item: item[1])
    right.barh([name for name, _ in stages], [us for _, us in stages], color="#2f6fb0")
    right.set_xlabel("µs an event")
    right.set_title(f"where the time goes: {sum(profile.values()):.2f} µs")
    figure.tight_layout()
    figure.savefig(RESULTS / "end_to_end.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    cpu: dict[str, list[float]] = {way: [] for way in WAYS}
    with real_cluster() as bootstrap:
        make_topics(bootstrap, {"transactions": 4, "labels": 2})
        load = Load(transactions=arguments.events, rate=0)
        drive({"bootstrap.servers": bootstrap}, load, start_ms=default_start_ms(time.time_ns() // 1_000_000))
        for way in WAYS * 2:
            one(way, bootstrap, arguments.events, 0)
            print(f"warming the broker: {way}", flush=True)
        for number in range(arguments.rounds):
            for way in WAYS:
                result = one(way, bootstrap, arguments.events, number)
                rates[way].append(arguments.events / result["seconds"])
                cpu[way].append(result["cpu_s"] / arguments.events * 1e6)
                print(f"round {number + 1}: {way:9} {rates[way][-1]:10,.0f} events/s", flush=True)
        make_topics(bootstrap, OUTPUTS)
        profile = run("bench._pipeline", bootstrap, str(arguments.events), "bench-profile", "profile")
    medians = {way: statistics.median(rates[way]) for way in WAYS}
    result = {
        "events": arguments.events,
        "events_a_second": rates,
        "median": medians,
        "cpu_us_an_event": {way: statistics.median(cpu[way]) for way in WAYS},
        "of_plain_client": medians["headrace"] / medians["plain"],
        "of_bulk_lanes": medians["headrace"] / medians["bulk"],
        "us_an_event": profile["us_an_event"],
    }
    save("end_to_end", result)
    plot(rates, profile["us_an_event"])
    print(
        json.dumps(
            {key: result[key] for key in ("median", "of_plain_client", "of_bulk_lanes", "us_an_event")}, indent=1
        )
    )


if __name__ == "__main__":
    main()
