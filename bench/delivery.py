"""What exactly-once costs on real Kafka: throughput at a commit every 100 ms, latency at one every 20 ms.

Throughput: the shipped fraud pipeline over a backlog, both guarantees in turns, medians; the ratio travels to other
machines. Latency: open loop, from the moment an event was due to be sent until a reader of committed records has its
decision, at half of what exactly-once keeps up with beside the generator and the reader.
"""

import argparse
import json
import statistics
import time
from typing import Any

from bench._cluster import delete_topics, make_topics, real_cluster
from bench._machine import RESULTS, save
from bench.end_to_end import run
from bench.latency import TRIAL_S, capacity, trial
from pipeline.sim.driver import Load, default_start_ms, drive

OUTPUTS = {"decisions": 4, "dead-letters": 1, "metrics": 1}
GUARANTEES = {
    "at_least_once": ("delivery.guarantee=at_least_once",),
    "exactly_once": ("delivery.guarantee=exactly_once", "kafka.group.instance.id=bench"),
}
THROUGHPUT_COMMIT_MS, LATENCY_COMMIT_MS = 100, 20


def one(bootstrap: str, guarantee: str, events: int, kind: str = "plain") -> dict[str, Any]:
    make_topics(bootstrap, OUTPUTS)
    settings = (*GUARANTEES[guarantee], f"engine.commit_ms={THROUGHPUT_COMMIT_MS}")
    result = run("bench._pipeline", bootstrap, str(events), f"bench-{time.time_ns()}", kind, *settings)
    assert result["outcomes"]["scored"] == events, result
    delete_topics(bootstrap, list(OUTPUTS))
    time.sleep(1.0)
    return result


def throughput(bootstrap: str, events: int, rounds: int) -> dict[str, Any]:
    make_topics(bootstrap, {"transactions": 4, "labels": 2})
    start_ms = default_start_ms(time.time_ns() // 1_000_000)
    drive({"bootstrap.servers": bootstrap}, Load(transactions=events, rate=0), start_ms=start_ms)
    runs: dict[str, list[dict[str, Any]]] = {guarantee: [] for guarantee in GUARANTEES}
    for number in range(rounds + 1):
        for guarantee in GUARANTEES:
            result = one(bootstrap, guarantee, events)
            print(f"round {number}: {guarantee:13} {events / result['seconds']:10,.0f} events/s", flush=True)
            if number:  # the first warms the broker's own compiler up
                runs[guarantee].append(result)
    last = runs["exactly_once"][-1]["counts"]
    rates = {guarantee: [events / each["seconds"] for each in found] for guarantee, found in runs.items()}
    median = {guarantee: statistics.median(found) for guarantee, found in rates.items()}
    return {
        "commit_ms": THROUGHPUT_COMMIT_MS,
        "events": events,
        "events_a_second": rates,
        "median": median,
        "exactly_of_at_least": median["exactly_once"] / median["at_least_once"],
        "cpu_us_an_event": {
            guarantee: statistics.median(each["cpu_s"] / events * 1e6 for each in found)
            for guarantee, found in runs.items()
        },
        "events_a_transaction": events / last["transactions"],
        "commit_takes_ms": last["commit_us"] / last["transactions"] / 1000,
        "us_an_event": {guarantee: one(bootstrap, guarantee, events, "profile")["us_an_event"] for guarantee in runs},
    }


def latency(bootstrap: str, top: float | None, high: float, seconds: float) -> dict[str, Any]:
    interval = f"engine.commit_ms={LATENCY_COMMIT_MS}"
    trial(bootstrap, "pipeline", 5_000.0, TRIAL_S, *GUARANTEES["exactly_once"], interval)
    top = top or capacity(bootstrap, high, *GUARANTEES["exactly_once"], interval)
    trials = {}
    for guarantee, settings in GUARANTEES.items():
        trials[guarantee] = trial(bootstrap, "pipeline", top / 2, seconds, *settings, interval)
        print(guarantee, json.dumps(trials[guarantee]), flush=True)
    return {"commit_ms": LATENCY_COMMIT_MS, "capacity": top, "trials": trials}


def plot(found: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2))
    names = {"at_least_once": "at least once", "exactly_once": "exactly once"}
    colours = ["#9aa5b1", "#2f6fb0"]
    rates = found["throughput"]["events_a_second"]
    left.bar(names.values(), [found["throughput"]["median"][name] / 1e3 for name in names], color=colours)
    for place, name in enumerate(names):
        left.plot([place] * len(rates[name]), [rate / 1e3 for rate in rates[name]], "k.", ms=4)
    left.set_ylabel("thousand events a second")
    left.set_title(f"one process, a commit every {THROUGHPUT_COMMIT_MS} ms")
    for place, (quantile, label) in enumerate((("0.5", "p50"), ("0.99", "p99"))):
        heights = [found["latency"]["trials"][name]["ms"][quantile] for name in names]
        right.bar([place - 0.2, place + 0.2], heights, width=0.4, color=colours)
        right.text(place, max(heights), label, ha="center", va="bottom")
    right.set_xticks([])
    right.set_ylabel("ms from due to read")
    right.set_title(f"half load, a commit every {LATENCY_COMMIT_MS} ms")
    figure.tight_layout()
    figure.savefig(RESULTS / "delivery.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--high", type=float, default=300_000.0, help="where the search for the capacity begins")
    parser.add_argument("--capacity", type=float, help="do not search, take this")
    arguments = parser.parse_args()
    with real_cluster() as bootstrap:
        found = {"throughput": throughput(bootstrap, arguments.events, arguments.rounds)}
        found["latency"] = latency(bootstrap, arguments.capacity, arguments.high, arguments.seconds)
    save("delivery", found)
    plot(found)
    print(json.dumps(found["throughput"], indent=1))


if __name__ == "__main__":
    main()
