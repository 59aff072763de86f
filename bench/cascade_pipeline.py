"""What a decision costs with a cascade and with the dear model alone: the whole pipeline process over a real broker.

The Fraud Detection Handbook's transactions (a Parquet file that is given), its split: both models learn from its
training week, the thresholds from the week after, quality is of its test week, from the published decisions. Rounds
are interleaved; of CPU time the median, of the process: client, decoding, features, scoring, encoding, delivery.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench._cascade_models import CHEAP, DEAR, HANDBOOK, dear_recipe, made
from bench._cluster import delete_topics, make_topics, real_cluster
from bench._machine import save
from models.train.evaluate import average_precision
from models.train.fraud import examples_of, labels_of
from pipeline.config.load import load
from pipeline.recorded import produce_events

HISTORY_DAYS = 38
"""Before the test week: 30 days behind a delay of 7."""
OUTPUTS = {"decisions": 4, "dead-letters": 1, "metrics": 1}
INPUTS = {"transactions": 1, "labels": 1}
WAYS = ("alone", "cascade", "cheap")


def settings_of(way: str, folder: Path, sure: tuple[float, float]) -> list[str]:
    models = [f"models.folder={folder}", f"tiers.lite.model={CHEAP}", f"tiers.primary.model={DEAR}"]
    if way == "cheap":
        models[-1] = f"tiers.primary.model={CHEAP}"
    if way != "cascade":
        return models
    below, above = sure
    report = folder / "cascade.json"
    return [
        *models,
        "cascade.first=lite",
        f"cascade.sure_below={below!r}",
        f"cascade.sure_above={above!r}",
        f"cascade.report={report}",
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("transactions", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--depth", type=int, default=6)
    arguments = parser.parse_args()
    table = pq.read_table(arguments.transactions)
    catalog = load("fraud", environ={}).config.catalog
    tell = lambda text: print(f"\r{text:<78}", end="", flush=True)  # noqa: E731
    examples = examples_of(catalog, table, lambda rows: tell(f"features of {rows:,} of {table.num_rows:,} rows"))
    tested = HANDBOOK.test_rows(examples.day, examples.customer, examples.fraud)
    with tempfile.TemporaryDirectory(prefix="headrace-cascade-") as name, real_cluster() as bootstrap:
        folder = Path(name)
        pair = made(folder, examples, dear_recipe(arguments.trees, arguments.depth), folder / "cascade.json", tell)
        print(f"\n{pair.found}")
        first, last = HANDBOOK.test_from - HISTORY_DAYS, HANDBOOK.test_from + HANDBOOK.test_days
        stretch = table.filter(pa.array((examples.day >= first) & (examples.day < last)))
        make_topics(bootstrap, INPUTS)
        to = ("fraud", {"environ": {}, "assignments": [f"kafka.bootstrap.servers={bootstrap}"]})
        config = load(to[0], **to[1]).config  # type: ignore[arg-type]
        produce_events(config, "labels", labels_of(stretch).to_batches(), None)
        produce_events(config, "transactions", stretch.to_batches(), None)
        sure = (pair.thresholds.sure_below, pair.thresholds.sure_above)
        runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
        for number in range(arguments.rounds):
            for way in WAYS:
                result = one(bootstrap, stretch.num_rows, settings_of(way, folder, sure))
                result["ap"] = quality(result.pop("scores"), table, tested)
                result["us_a_decision"] = 1e6 * result["cpu_s"] / result["events"]
                runs[way].append(result)
                tell(f"round {number + 1}: {way} {result['us_a_decision']:.2f} us, AP {result['ap']:.4f}")
        profiles = {
            way: one(bootstrap, stretch.num_rows, settings_of(way, folder, sure), profile=True)["us_an_event"]
            for way in WAYS
        }
    cost = {way: statistics.median(run["us_a_decision"] for run in runs[way]) for way in WAYS}
    counts = runs["cascade"][-1]["counts"]
    passed = counts["cascade_rows/passed"] / stretch.num_rows
    found = {
        "events": stretch.num_rows,
        "models": pair.found,
        "us_a_decision": cost,
        "us_of_each_run": {way: [run["us_a_decision"] for run in runs[way]] for way in WAYS},
        "ap": {way: runs[way][-1]["ap"] for way in WAYS},
        "passed_share": passed,
        "counts": {name: value for name, value in counts.items() if name.startswith("cascade")},
        "of_the_dear_alone": cost["cascade"] / cost["alone"],
        "us_a_stage": profiles,
    }
    print(f"\n{json.dumps(found, indent=1)}")
    save("cascade_pipeline", found)


if __name__ == "__main__":
    main()
