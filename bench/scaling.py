"""What global entities cost a fleet: every process reads all events for the terminals, and decides its part of them.

The same backlog worked off by 1, 2 and 4 processes of one group. What travels is CPU an event: where processes share
cores, throughput does not grow.
"""

import argparse
import json
import subprocess
import sys
import time
from typing import Any

from bench._cluster import delete_topics, make_topics, real_cluster
from bench._machine import RESULTS, save
from pipeline.sim.driver import Load, default_start_ms, drive

TOPICS = {"transactions": 4, "labels": 2, "decisions": 4, "dead-letters": 1, "metrics": 1}
FLEETS = (1, 2, 4)
WORK_S_MAX = 300.0
SETTLE_S = 3.0


def decided(bootstrap: str) -> int:
    """Decisions on their topic."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "scaling"})
    ends = [consumer.get_watermark_offsets(TopicPartition("decisions", n), 10)[1] for n in range(TOPICS["decisions"])]
    consumer.close()
    return sum(ends)


def fleet(bootstrap: str, processes: int, events: int) -> dict[str, Any]:
    """Start the processes, let them share the partitions, send all events at once, stop when all are decided."""
    make_topics(bootstrap, TOPICS)
    command = [sys.executable, "-m", "bench._member", bootstrap, f"scaling-{processes}-{time.time_ns()}"]
    members = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    try:
        for member in members:
            assert member.stdout is not None
            assert json.loads(member.stdout.readline())["ready"]
        time.sleep(SETTLE_S)
        drive(
            {"bootstrap.servers": bootstrap}, Load(events, rate=0), start_ms=default_start_ms(time.time_ns() // 10**6)
        )
        until_s = time.monotonic() + WORK_S_MAX
        while decided(bootstrap) < events and time.monotonic() < until_s:
            time.sleep(0.2)
        time.sleep(1.0)
        for member in members:
            member.terminate()
        results = [json.loads(member.communicate(timeout=60)[0].splitlines()[-1]) for member in members]
    finally:
        for member in members:
            member.kill()
    delete_topics(bootstrap, list(TOPICS))
    time.sleep(1.0)
    assert sum(result["decided"] for result in results) == events, results
    seconds = max(result["ended_s"] for result in results) - min(result["began_s"] for result in results)
    state_only = sum(result["state_only"] for result in results)
    return {
        "processes": processes,
        "events": events,
        "seconds": seconds,
        "events_a_second": events / seconds,
        "cpu_us_an_event": sum(result["cpu_s"] for result in results) / events * 1e6,
        "state_only_share": state_only / (state_only + events),
        "decided": [result["decided"] for result in results],
    }


def plot(fleets: list[dict[str, Any]], state_only_us: float) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2))
    names = [str(found["processes"]) for found in fleets]
    states = [state_only_us * (found["processes"] - 1) for found in fleets]
    own = [found["cpu_us_an_event"] - state for found, state in zip(fleets, states, strict=True)]
    axes.bar(names, own, color="#2f6fb0", label="deciding")
    axes.bar(names, states, bottom=own, color="#9aa5b1", label="reading what others decide")
    axes.set_xlabel("processes of the group")
    axes.set_ylabel("µs of CPU an event, all processes")
    axes.set_title("what global entities cost a fleet")
    axes.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / "scaling.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    arguments = parser.parse_args()
    fleets = []
    with real_cluster() as bootstrap:
        fleet(bootstrap, 1, arguments.events)  # the broker's own compiler warms up
        for processes in FLEETS:
            fleets.append(fleet(bootstrap, processes, arguments.events))
            print(json.dumps(fleets[-1]), flush=True)
    one, most = fleets[0], fleets[-1]
    state_only_us = (most["cpu_us_an_event"] - one["cpu_us_an_event"]) / (most["processes"] - 1)
    save("scaling", {"fleets": fleets, "state_only_us_an_event": state_only_us})
    plot(fleets, state_only_us)


if __name__ == "__main__":
    main()
