"""`headrace topics create`: what the topics are made with, asked of the broker."""

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from pipeline.cli.app import run

pytestmark = pytest.mark.kafka
DAY_MS = 86_400_000


def settings_of(bootstrap: str, topic: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    described = admin.describe_configs([resource])
    return {name: entry.value for name, entry in described[resource].result(20).items()}


def test_topics_keep_what_they_are_told_to_and_take_what_the_clients_send(
    kafka_bootstrap: str, topic_suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {
        "inputs.frames.topic": "frames",
        "topics.decisions": "decisions",
        "topics.dead_letters": "letters",
        "topics.metrics": "metrics",
    }
    own = [part for key, name in names.items() for part in ("--set", f"{key}={name}-{topic_suffix}")]
    kept = ["--retention", "36h", "--retention-bytes", "1000000"]
    command = ["topics", "create", "--config", "vision", "--bootstrap", kafka_bootstrap, *own, *kept]
    assert run(command) == 0
    assert capsys.readouterr().out.count(": made") == len(names)
    for topic in names.values():
        found = settings_of(kafka_bootstrap, f"{topic}-{topic_suffix}")
        assert int(found["retention.ms"]) == 1.5 * DAY_MS
        assert found["retention.bytes"] == "1000000"
        assert found["max.message.bytes"] == "16777216"
    assert run(command) == 0
    assert capsys.readouterr().out.count(": was there") == len(names)
