"""Readiness with a group that moves partitions: a spare is ready, too."""

import pytest

from pipeline.cli.cluster import create_topics
from tests.told import Running, free_port
from tests.traffic import configured

pytestmark = pytest.mark.kafka


def test_one_without_partitions_is_ready_to_take_over(kafka_bootstrap: str, topic_suffix: str) -> None:
    """Else a spare would hold up every rollout."""
    settings = (f"http.port={free_port()}", f"http.port={free_port()}")
    configs = [configured(kafka_bootstrap, setting, suffix=f"-{topic_suffix}") for setting in settings]
    create_topics({"bootstrap.servers": kafka_bootstrap}, dict.fromkeys(configs[0].topic_names, 1), 1, 20_000)
    running = [Running(config) for config in configs]
    try:
        for process in running:
            process.wait(lambda process=process: process.ask("/readyz")[0] == 200)
        running[0].wait(lambda: sum(process.metric("headrace_partitions") for process in running) == 1)
        assert sorted(process.metric("headrace_ready") for process in running) == [1, 1]
    finally:
        for process in running:
            process.end()
