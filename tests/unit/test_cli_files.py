"""Commands that work on files: backfill, replay and train."""

import json
from datetime import UTC, datetime
from pathlib import Path

import confluent_kafka
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_models import write_repository

from models.repository import Repository
from pipeline.cli.app import run
from pipeline.config.load import load
from pipeline.kafka.embedded import EmbeddedCluster
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population

FEATURES = tuple(load("fraud", environ={}).config.features)
DAY_MS = 86_400_000


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Ten days of one customer at one terminal, one transaction a day; the first is a fraud."""
    days = 10
    path = tmp_path / "events.parquet"
    table = pa.table(
        {
            "transaction_id": list(range(days)),
            "event_time": pa.array([day * DAY_MS for day in range(days)], pa.timestamp("ms", "UTC")),
            "customer_id": [5] * days,
            "terminal_id": [7] * days,
            "amount": [float(day) for day in range(days)],
            "fraud": [day == 0 for day in range(days)],
        }
    )
    pq.write_table(table, path)
    return path


def test_backfill_writes_features_in_the_files_order(events: Path, tmp_path: Path) -> None:
    out = tmp_path / "features.parquet"
    assert run(["backfill", str(events), "--label-column", "fraud", "--out", str(out)]) == 0
    found = pq.read_table(out)
    assert found.column_names == ["transaction_id", "event_time", *FEATURES]
    assert found["customer_count_7d"].to_pylist() == [1, 2, 3, 4, 5, 6, 7, 7, 7, 7]
    # Known a week later, it counts in the window that lies a week behind.
    assert found["terminal_risk_1d"].to_pylist() == [0, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    assert found["terminal_count_7d"].to_pylist() == [0, 0, 0, 0, 0, 0, 0, 1, 2, 3]


def test_training_writes_models_that_load_and_say_when_they_were_made(tmp_path: Path) -> None:
    data, out = tmp_path / "simulated.parquet", tmp_path / "models"
    pq.write_table(simulated_table(Population(customers=400, terminals=300, seed=3), days=24, start_ms=0), data)
    before = datetime.now(UTC).date()
    assert run(["train", "fraud", "--data", str(data), "--out", str(out)]) == 0
    after = datetime.now(UTC).date()
    for name, version in Repository(out).names():
        trained = Repository(out).load(name, version).manifest.trained
        assert before <= trained.when <= after
        assert trained.data == data.name
    assert Repository(out).names() == [("fraud-gbt", "1"), ("fraud-lite", "1")]


def test_replay_decides_every_event_of_a_file(events: Path, tmp_path: Path) -> None:
    models = write_repository(tmp_path / "models", FEATURES)
    out = tmp_path / "decisions.jsonl"
    settings = ["--set", f"models.folder={models}", "--set", "publish.features=true"]
    assert run(["replay", str(events), "--out", str(out), *settings]) == 0
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in found] == list(range(10))
    assert {row["decision"] for row in found} == {"review"}
    assert found[3]["customer_count_7d"] == 4


def test_replay_into_topics_is_what_a_pipeline_reads(events: Path) -> None:
    topics = load("fraud", environ={}).config.topic_names
    with EmbeddedCluster(dict.fromkeys(topics, 2)) as cluster:
        arguments = ["replay", str(events), "--into-topics", "--bootstrap", cluster.bootstrap]
        assert run([*arguments, "--label-column", "fraud"]) == 0
        consumer = confluent_kafka.Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "reader"})
        consumer.assign([confluent_kafka.TopicPartition("transactions", number, 0) for number in range(2)])
        messages = consumer.consume(10, 20)
        consumer.close()
    values = [json.loads(message.value()) for message in messages]
    assert [value["transaction_id"] for value in values] == list(range(10))
    assert values[3] == {
        "transaction_id": 3,
        "event_time": 3 * DAY_MS,
        "customer_id": 5,
        "terminal_id": 7,
        "amount": 3.0,
    }
    assert {message.key() for message in messages} == {b"5"}
    assert len({message.partition() for message in messages}) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["replay", "FILE"], "expected either --out FILE or --into-topics"),
        (["backfill", "FILE", "--out", "o.parquet", "--column", "amount"], "expected NAME=VALUE"),
        (["backfill", "FILE", "--out", "o.parquet", "--column", "amount=x"], "no column 'x'"),
        (["backfill", "FILE", "--out", "o.parquet", "--input", "lables=FILE"], "no input with role"),
        (["backfill", "FILE", "--out", "o.parquet", "--label-delay", "1w"], "expected a duration such as"),
        (["backfill", "FILE", "--out", "o.xls"], "unknown format '.xls'"),
        (["train", "fraud", "--data", "FILE"], "expected at least 10"),
    ],
)
def test_what_does_not_fit_exits_2(
    arguments: list[str],
    told: str,
    events: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([text.replace("FILE", str(events)) for text in arguments]) == 2
    assert told in " ".join(capsys.readouterr().err.split())
