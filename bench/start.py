"""From the start of `headrace run` to its first decision, caches warm: a real broker, events waiting."""

import json
import statistics
import subprocess
import sys
import time

from confluent_kafka import Consumer, TopicPartition

from bench._cluster import make_topics, real_cluster
from bench._machine import save
from pipeline.sim.driver import Load, default_start_ms, drive

STARTS = 5
WAIT_S_MAX = 60.0
TOPICS = {"transactions": 4, "labels": 2, "decisions": 4, "dead-letters": 1, "metrics": 1}


def seconds_to_first_decision(bootstrap: str, number: int) -> float:
    decisions = f"decisions-{number}"
    make_topics(bootstrap, {decisions: 1})
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": decisions, "fetch.wait.max.ms": 10})
    reader.assign([TopicPartition(decisions, 0, 0)])
    reader.poll(1.0)
    assignments = (
        f"kafka.group.id=start-{number}",
        "kafka.consumer.auto.offset.reset=earliest",
        "pipeline.budget_ms_max=3600000",
        "pipeline.budget_ms=3600000",
        f"topics.decisions={decisions}",
    )
    sets = [part for assignment in assignments for part in ("--set", assignment)]
    command = [sys.executable, "-m", "pipeline.cli", "run", "--config", "fraud", "--bootstrap", bootstrap, *sets]
    started = time.perf_counter()
    with subprocess.Popen(command) as process:
        while (message := reader.poll(0.1)) is None or message.error():
            if process.poll() is not None or time.perf_counter() - started > WAIT_S_MAX:
                raise SystemExit("no decision came")
        took = time.perf_counter() - started
        process.terminate()
    reader.close()
    return took


def main() -> None:
    with real_cluster() as bootstrap:
        make_topics(bootstrap, TOPICS)
        load = Load(transactions=1_000, rate=0)
        drive({"bootstrap.servers": bootstrap}, load, start_ms=default_start_ms(time.time_ns() // 1_000_000))
        took = [seconds_to_first_decision(bootstrap, number) for number in range(STARTS + 1)][1:]
    save("start", {"seconds": took, "median": statistics.median(took)})
    print(json.dumps({"seconds": [round(one, 2) for one in took]}))


if __name__ == "__main__":
    main()
