"""Law 5 on recorded traffic: through a real broker, features have the backfill's bits whatever the partitions are."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from models.train.examples import labels_of
from pipeline.cli.cluster import create_topics
from tests.kafka.test_pipeline_on_kafka import same_features
from tests.traffic import configured, decisions, label_records, run_until, send, transaction_records

pytestmark = [pytest.mark.kafka, pytest.mark.soak]
ROWS = 320_000


@pytest.mark.parametrize("partitions", [1, 4])
def test_recorded_traffic_has_the_backfills_bits(
    kafka_bootstrap: str, topic_suffix: str, transactions_file: Path, partitions: int
) -> None:
    table = pq.read_table(transactions_file).slice(0, ROWS)
    labels = labels_of(table)
    config = configured(kafka_bootstrap, "publish.features=true", "pipeline.mode=replay", suffix=f"-{topic_suffix}")
    topics = dict.fromkeys(config.topic_names, partitions)
    create_topics({"bootstrap.servers": kafka_bootstrap}, topics, 1, 20_000)
    send(kafka_bootstrap, f"transactions-{topic_suffix}", transaction_records(table), partitions)
    send(kafka_bootstrap, f"labels-{topic_suffix}", label_records(labels))
    summary = run_until(config, 10**9, seconds_max=600)
    assert summary.drained
    assert summary.totals.outcomes["scored"] == table.num_rows
    assert summary.totals.outcomes["absorbed"] == labels.num_rows > 0
    found = decisions(kafka_bootstrap, config.topics.decisions, table.num_rows)
    same_features(table, config, found, {str(number) for number in table["transaction_id"].to_pylist()})
