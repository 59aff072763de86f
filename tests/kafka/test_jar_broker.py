"""The broker from Maven jars, for machines without Docker."""

from pathlib import Path

import pytest
from lane_traffic import fill, read_until

from pipeline.cli.cluster import create_topics
from pipeline.kafka.broker import BrokerError, JarBroker, fetch_jars, java_problem
from pipeline.kafka.consumer import LaneConsumer, TopicPartition
from pipeline.kafka.wake import Wake

needs_java = pytest.mark.skipif(java_problem() is not None, reason=str(java_problem()))


@needs_java
@pytest.mark.kafka
@pytest.mark.slow
def test_a_broker_that_was_killed_comes_back_with_its_records(tmp_path: Path, wake: Wake) -> None:
    broker = JarBroker(data=tmp_path / "data")
    settings = {"bootstrap.servers": broker.bootstrap}
    with broker:
        assert create_topics(settings, {"kept": 2}, 1, 20_000) == ["kept"]
        fill(settings, "kept", 100, partitions=2)
        consumer = LaneConsumer({**settings, "log_level": "0"}, wake)
        consumer.assign({TopicPartition("kept", p): 0 for p in range(2)})
        assert all(len(records) == 100 for records in read_until(consumer, wake, 200).values())
        broker.kill()
        broker.start()
        fill(settings, "kept", 50, partitions=2, first=100)
        read = read_until(consumer, wake, 100)
        assert all([r.offset for r in records] == list(range(100, 150)) for records in read.values())
        consumer.close(5000)
    assert (tmp_path / "data").exists(), "a folder that was given is not the broker's to delete"


@needs_java
@pytest.mark.kafka
@pytest.mark.slow
def test_a_port_that_is_taken_is_said_with_the_brokers_own_words() -> None:
    with JarBroker() as first:
        second = JarBroker(port=first.port)
        with pytest.raises(BrokerError, match=f"(?s){second.bootstrap} did not come up.*"):
            second.start()
        assert not second.log_file.exists(), "its data was left behind"


def test_a_machine_without_java_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerError, match="java is not on the PATH; Java 17 or newer"):
        fetch_jars(tmp_path / "jars")
