"""What a decision costs with a cascade and with the dear model alone: the whole pipeline process over a real broker.

`python -m bench.cascade_pipeline --data FILE --models FOLDER`, after `python -m bench.cascade --models FOLDER`, which
keeps there both models of a pair and the report about them: chosen, trained and calibrated before the test week of
the Fraud Detection Handbook. Quality is of that week, from the published decisions. Ways are interleaved; of CPU time
the median, of the process: client, decoding, features, scoring, encoding, delivery, threads of librdkafka too.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench._cluster import delete_topics, make_topics, real_cluster
from bench._fraud_models import TEST
from bench._machine import save
from bench.cascade_front import read
from models.cascade_report import read_report
from models.train.evaluate import average_precision
from models.train.examples import labels_of
from pipeline.config.load import load
from pipeline.recorded import produce_events

HISTORY_DAYS = 38
"""Before the test week: 30 days behind a delay of 7."""
OUTPUTS = {"decisions": 4, "dead-letters": 1, "metrics": 1}
INPUTS = {"transactions": 1, "labels": 1}
WAYS = ("alone", "cascade", "cheap")


def settings_of(way: str, models: Path, pair: str) -> list[str]:
    """The shipped ladder with the pair's models; `cheap` is the first one alone."""
    file = models / f"{pair}.json"
    report = read_report(file)
    first, given = report.first.model, report.thresholds
    best = first if way == "cheap" else report.second.model
    settings = [f"models.folder={models.absolute()}", f"tiers.lite.model={first}", f"tiers.primary.model={best}"]
    if way != "cascade":
        return settings
    return [
        *settings,
        "cascade.first=lite",
        f"cascade.sure_below={given.sure_below!r}",
        f"cascade.sure_above={given.sure_above!r}",
        f"cascade.report={file.absolute()}",
    ]


def one(bootstrap: str, events: int, settings: list[str], *, profile: bool = False) -> dict[str, Any]:
    make_topics(bootstrap, OUTPUTS)
    how = "profile" if profile else "plain"
    command = [bootstrap, str(events), f"bench-{time.time_ns()}", how, *settings]
    ran = subprocess.run(
        [sys.executable, "-m", "bench._pipeline", *command], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise SystemExit(f"the pipeline failed:\n{ran.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    result["scores"] = read_scores(bootstrap, events)
    delete_topics(bootstrap, list(OUTPUTS))
    return result


def read_scores(bootstrap: str, count: int) -> dict[int, float]:
    """The score of each published decision by its transaction; none for one that expired."""
    from confluent_kafka import Consumer, TopicPartition

    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "scores", "auto.offset.reset": "earliest"})
    reader.assign([TopicPartition("decisions", number, 0) for number in range(OUTPUTS["decisions"])])
    found: dict[int, float] = {}
    quiet = 0
    while len(found) < count and quiet < 10:
        messages = reader.consume(10_000, 1.0)
        quiet = 0 if messages else quiet + 1
        for message in messages:
            decision = json.loads(message.value() or b"")
            found[int(decision["id"])] = decision["score"] if decision["score"] is not None else -1.0
    reader.close()
    return found


def quality(scores: dict[int, float], table: pa.Table, tested: np.ndarray) -> float:
    ids = table["transaction_id"].to_numpy()[tested]
    fraud = np.asarray(table["fraud"].to_numpy(zero_copy_only=False), np.bool_)[tested]
    return average_precision(fraud, np.array([scores[int(number)] for number in ids]))


def rounds(
    bootstrap: str, events: int, arguments: argparse.Namespace, pair: str, table: pa.Table, tested: Any
) -> Any:
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for number in range(arguments.rounds):
        for way in WAYS:
            result = one(bootstrap, events, settings_of(way, arguments.models, pair))
            result["ap"] = quality(result.pop("scores"), table, tested)
            result["us_a_decision"] = 1e6 * result["cpu_s"] / result["events"]
            runs[way].append(result)
            print(f"{pair}, {number + 1}: {way} {result['us_a_decision']:.2f} us, AP {result['ap']:.4f}", flush=True)
    profiles = {
        way: one(bootstrap, events, settings_of(way, arguments.models, pair), profile=True)["us_an_event"]
        for way in WAYS
    }
    cost = {way: statistics.median(run["us_a_decision"] for run in runs[way]) for way in WAYS}
    ap = {way: runs[way][-1]["ap"] for way in WAYS}
    counts = runs["cascade"][-1]["counts"]
    found = {
        "events": events,
        "us_a_decision": cost,
        "us_of_each_run": {way: [run["us_a_decision"] for run in runs[way]] for way in WAYS},
        "of_the_dear_alone": cost["cascade"] / cost["alone"],
        "ap": ap,
        "ap_lost": 1 - ap["cascade"] / ap["alone"],
        "passed_share": counts["cascade_rows/passed"] / events,
        "counts": {name: value for name, value in counts.items() if name.startswith("cascade")},
        "us_a_stage": profiles,
    }
    print(f"{pair}: {found['of_the_dear_alone']:.2f} of the cost, {found['ap_lost']:+.2%} of AP lost", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/transactions.parquet"))
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if not arguments.data.is_file():
        print(f"no file {arguments.data}: skipped")
        return
    table, examples = pq.read_table(arguments.data), read(arguments.data)
    tested = TEST.test_rows(examples.day, examples.customer, examples.fraud)
    first, last = TEST.test_from - HISTORY_DAYS, TEST.test_from + TEST.test_days
    stretch = table.filter(pa.array((examples.day >= first) & (examples.day < last)))
    with real_cluster() as bootstrap:
        make_topics(bootstrap, INPUTS)
        config = load("fraud", environ={}, assignments=[f"kafka.bootstrap.servers={bootstrap}"]).config
        produce_events(config, "labels", labels_of(stretch).to_batches(), None)
        produce_events(config, "transactions", stretch.to_batches(), None)
        pairs = sorted(path.stem for path in arguments.models.glob("*.json"))
        found = {pair: rounds(bootstrap, stretch.num_rows, arguments, pair, table, tested) for pair in pairs}
        delete_topics(bootstrap, list(INPUTS))
    save("cascade_pipeline", {"test_from_day": TEST.test_from, "pairs": found})


if __name__ == "__main__":
    main()
