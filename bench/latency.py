"""Latency on real Kafka, open loop: from the moment an event was due to be sent until its decision is read.

Events are sent by a schedule that waits for nobody, so a slow answer delays no later question (no coordinated
omission). Beside it, in the same run, the floor: the same two hops through Kafka with nothing in between.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench._cluster import delete_topics, make_topics, real_cluster
from bench._live import WARM_S
from bench._machine import RESULTS, save
from pipeline.sim.driver import Load, default_start_ms, drive

SETTLE_S = 3.0
TRIAL_S = 8.0
TOPICS = {"transactions": 4, "labels": 2, "decisions": 4, "dead-letters": 1, "metrics": 1, "copies": 4}
QUANTILES = (0.5, 0.99, 0.999)


class Beside:
    """A process of the run; its last line of output is its result."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "bench._live", *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if "ready" not in self._process.stdout.readline():
            raise SystemExit(f"{arguments[0]} did not start:\n{self._process.communicate()[1][-3000:]}")

    def end(self) -> dict[str, Any]:
        self._process.send_signal(signal.SIGTERM)
        out, error = self._process.communicate(timeout=60)
        if self._process.returncode:
            raise SystemExit(error[-3000:])
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        return result


def latencies_ms(read: dict[str, Any], rate: float, started_ns: int, first_id: int) -> NDArray[np.float64]:
    """Of the sampled ids, without the warm-up."""
    sequence = np.array(read["ids"], np.int64) - first_id
    due_ns = started_ns + sequence / rate * 1e9
    late = (np.array(read["times"], np.int64) - due_ns) / 1e6
    return late[sequence > rate * WARM_S]


def trial(bootstrap: str, way: str, rate: float, seconds: float, *settings: str) -> dict[str, Any]:
    """One run at one rate; way is `pipeline`, with these settings, or `copy`."""
    suffix = f"-{time.time_ns()}"
    make_topics(bootstrap, {name + suffix: count for name, count in TOPICS.items()})
    target, mark = ("decisions", '"id":"(\\d+)"') if way == "pipeline" else ("copies", '"transaction_id":(\\d+)')
    target += suffix
    worker = Beside(way, bootstrap, suffix, *settings)
    reader = Beside("read", bootstrap, target, mark)
    time.sleep(SETTLE_S)
    load = Load(
        transactions=int(rate * seconds), rate=rate, topic=f"transactions{suffix}", labels_topic=f"labels{suffix}"
    )
    sent = drive({"bootstrap.servers": bootstrap}, load, start_ms=default_start_ms(time.time_ns() // 1_000_000))
    ended_ns = time.monotonic_ns()
    time.sleep(1.0)
    read, result = reader.end(), worker.end()
    delete_topics(bootstrap, [name + suffix for name in TOPICS])
    late = latencies_ms(read, rate, sent.started_ns, 0)
    kept_up = (ended_ns - sent.started_ns) / 1e9 < seconds * 1.05 and read["count"] == load.transactions
    return {
        "rate": rate,
        "ms": {str(q): float(np.quantile(late, q)) for q in QUANTILES} if len(late) else {},
        "behind_ms_max": sent.behind_ms_max,
        "kept_up": bool(kept_up and len(late) and np.quantile(late[-len(late) // 5 :], 0.5) < 200.0),
        **result,
    }


def capacity(bootstrap: str, high: float, *settings: str) -> float:
    """The highest rate of a bisection, to 10 %, at which nothing falls behind, generator and reader running."""
    low = 0.0
    while low == 0.0 or high - low > 0.1 * low:
        rate = (low + high) / 2
        tried = trial(bootstrap, "pipeline", rate, TRIAL_S, *settings)
        answered = tried["expired_when_warm"] < 0.01 * rate * (TRIAL_S - WARM_S)
        kept = tried["kept_up"] and answered
        print(f"capacity: {rate:10,.0f}/s {'kept up' if kept else 'fell behind'} {tried['ms']}", flush=True)
        low, high = (rate, high) if kept else (low, rate)
        if high < 2_000:
            raise SystemExit("no rate could be kept up with")
    return low


def plot(rows: list[dict[str, Any]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7.5, 4.2))
    for way, colour in (("pipeline", "#2f6fb0"), ("copy", "#9aa5b1")):
        label = "headrace fraud" if way == "pipeline" else "two hops, nothing between"
        points = [row for row in rows if row["way"] == way]
        rates = [row["rate"] / 1e3 for row in points]
        axis.plot(rates, [row["ms"]["0.99"] for row in points], "o-", color=colour, label=f"{label}, p99")
        axis.plot(rates, [row["ms"]["0.5"] for row in points], "o--", color=colour, label=f"{label}, p50")
    axis.set_xlabel("thousand events a second, open loop")
    axis.set_ylabel("ms from due to read")
    axis.set_ylim(bottom=0)
    axis.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / "latency.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--high", type=float, default=300_000.0, help="where the search for the capacity begins")
    parser.add_argument("--capacity", type=float, help="do not search, take this")
    arguments = parser.parse_args()
    rows = []
    with real_cluster() as bootstrap:
        for way in ("copy", "pipeline"):
            print(f"warming the broker: {way}", flush=True)
            trial(bootstrap, way, 5_000.0, TRIAL_S)
        top = arguments.capacity or capacity(bootstrap, arguments.high)
        for rate in sorted({5_000.0, 0.1 * top, 0.5 * top, 0.8 * top}):
            for way in ("copy", "pipeline"):
                rows.append({"way": way, **trial(bootstrap, way, rate, arguments.seconds)})
                print(json.dumps(rows[-1]), flush=True)
    save("latency", {"capacity": top, "trials": rows})
    plot(rows)


if __name__ == "__main__":
    main()
