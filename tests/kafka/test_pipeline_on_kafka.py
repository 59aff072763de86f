"""The whole pipeline on a real broker: foreign clients, two processes in one group, a restart."""

import json
import shutil
import subprocess
import threading
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.train.examples import labels_of
from pipeline.cli.cluster import create_topics
from pipeline.config.model import PipelineConfig
from pipeline.kafka.broker import default_folder, fetch_jars, java_problem
from pipeline.service import Summary, run_pipeline
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from tests.engine.test_same_bits import backfilled
from tests.traffic import configured, decisions, label_records, run_until, send, transaction_records

pytestmark = pytest.mark.kafka
POPULATION = Population(customers=120, terminals=80, terminals_near=10, seed=5)
START_MS = 1_577_836_800_000
PARTITIONS = 4


def prepared(bootstrap: str, suffix: str, *assignments: str) -> PipelineConfig:
    """A configuration whose topics exist."""
    config = configured(bootstrap, "publish.features=true", *assignments, suffix=f"-{suffix}")
    partitions = dict.fromkeys(config.topic_names, PARTITIONS)
    create_topics({"bootstrap.servers": bootstrap}, partitions, 1, 20_000)
    return config


def same_features(table: pa.Table, config: PipelineConfig, found: list[dict[str, Any]], names: set[str]) -> None:
    """Features of all decisions equal the backfilled ones, bit for bit."""
    expected = backfilled(table, config)
    assert {row["id"] for row in found} == names
    for row in found:
        assert row["features"] == expected[row["id"]], row["id"]


@pytest.mark.slow
@pytest.mark.parametrize("partitions", [PARTITIONS])
def test_replay_from_a_real_broker_has_the_backfills_bits(
    kafka_bootstrap: str, topic_suffix: str, partitions: int
) -> None:
    table = simulated_table(POPULATION, 45, START_MS)
    config = prepared(kafka_bootstrap, topic_suffix, "pipeline.mode=replay")
    send(kafka_bootstrap, f"transactions-{topic_suffix}", transaction_records(table), partitions)
    labels = labels_of(table)
    send(kafka_bootstrap, f"labels-{topic_suffix}", label_records(labels))
    summary = run_until(config, 10**9)
    assert summary.drained
    assert summary.totals.outcomes == {
        "scored": table.num_rows,
        "degraded": 0,
        "expired": 0,
        "dead_letter": 0,
        "absorbed": labels.num_rows,
    }
    found = decisions(kafka_bootstrap, config.topics.decisions, table.num_rows)
    same_features(table, config, found, {str(number) for number in range(table.num_rows)})


def test_a_restart_goes_on_where_it_stopped_with_the_same_features(kafka_bootstrap: str, topic_suffix: str) -> None:
    table = simulated_table(POPULATION, 12, START_MS)
    half = table.num_rows // 2
    config = prepared(kafka_bootstrap, topic_suffix)
    topic = f"transactions-{topic_suffix}"
    records = transaction_records(table)
    send(kafka_bootstrap, topic, records[:half], PARTITIONS)
    assert run_until(config, half).totals.outcomes["scored"] == half
    send(kafka_bootstrap, topic, records[half:], PARTITIONS)
    second = run_until(config, table.num_rows - half)
    assert second.drained
    assert second.totals.outcomes["scored"] == table.num_rows - half
    assert second.totals.counts["rebuilt"] == half
    found = decisions(kafka_bootstrap, config.topics.decisions, table.num_rows)
    assert len({tuple(row["source"]) for row in found}) == len(found) == table.num_rows
    customers = [name for name in config.features if name.startswith("customer")]
    expected = backfilled(table.slice(0, table.num_rows), config)
    for row in found:
        assert {name: row["features"][name] for name in customers} == {
            name: expected[row["id"]][name] for name in customers
        }


def test_two_processes_of_a_group_share_the_work_and_lose_nothing(kafka_bootstrap: str, topic_suffix: str) -> None:
    table = simulated_table(POPULATION, 20, START_MS)
    config = prepared(kafka_bootstrap, topic_suffix)
    topic, records = f"transactions-{topic_suffix}", transaction_records(table)
    third = len(records) // 3
    send(kafka_bootstrap, topic, records[:third], PARTITIONS)
    stops = [threading.Event(), threading.Event()]
    summaries: list[Summary | None] = [None, None]

    def work(number: int) -> None:
        summaries[number] = run_pipeline(config, stop=stops[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    threads[0].start()
    wait_for(kafka_bootstrap, config, third)
    threads[1].start()
    time.sleep(1.0)
    send(kafka_bootstrap, topic, records[third : 2 * third], PARTITIONS)
    wait_for(kafka_bootstrap, config, 2 * third)
    stops[0].set()
    threads[0].join(30)
    send(kafka_bootstrap, topic, records[2 * third :], PARTITIONS)
    found = wait_for(kafka_bootstrap, config, len(records))
    stops[1].set()
    threads[1].join(30)
    assert {row["id"] for row in found} == {str(number) for number in range(table.num_rows)}
    assert all(summary is not None and summary.drained for summary in summaries)
    assert all(summary is not None and summary.totals.outcomes["scored"] for summary in summaries)
    expected = backfilled(table, config)
    for row in found:
        names = [name for name in config.features if name.startswith("customer")]
        assert [row["features"][name] for name in names] == [expected[row["id"]][name] for name in names]


def wait_for(bootstrap: str, config: PipelineConfig, count: int) -> list[dict[str, Any]]:
    """Read until so many decisions are there."""
    found = decisions(bootstrap, config.topics.decisions, count)
    assert len(found) >= count
    return found


@pytest.mark.slow
def test_kafkas_own_java_consumer_reads_valid_decisions(kafka_bootstrap: str, topic_suffix: str) -> None:
    if problem := java_problem():
        pytest.skip(problem)
    assert shutil.which("java")
    table = simulated_table(POPULATION, 2, START_MS)
    config = prepared(kafka_bootstrap, topic_suffix)
    send(kafka_bootstrap, f"transactions-{topic_suffix}", transaction_records(table))
    run_until(config, table.num_rows)
    command = [
        "java",
        "-cp",
        f"{fetch_jars(default_folder())}/*",
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        "--bootstrap-server",
        kafka_bootstrap,
        "--topic",
        config.topics.decisions,
        "--from-beginning",
        "--timeout-ms",
        "10000",
        "--max-messages",
        str(table.num_rows),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    read = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    assert {row["id"] for row in read} == {str(number) for number in range(table.num_rows)}
    assert all(row["decision"] in config.decide.labels and 0 <= row["score"] <= 1 for row in read)
    assert np.isfinite([row["age_us"] for row in read]).all()
