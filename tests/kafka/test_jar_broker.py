"""The broker from Maven jars, for machines without Docker."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lane_traffic import PATIENCE_S, fill, read_until

from pipeline.cli.cluster import create_topics
from pipeline.kafka.broker import BrokerError, JarBroker, fetch_jars, java_problem
from pipeline.kafka.consumer import LaneConsumer, TopicPartition
from pipeline.kafka.producer import LaneProducer
from pipeline.kafka.wake import Wake

needs_java = pytest.mark.skipif(java_problem() is not None, reason=str(java_problem()))


@needs_java
@pytest.mark.kafka
@pytest.mark.slow
def test_a_broker_that_was_killed_comes_back_with_its_records(
    tmp_path: Path, wake: Wake, caplog: pytest.LogCaptureFixture
) -> None:
    broker = JarBroker(data=tmp_path / "data")
    settings = {"bootstrap.servers": broker.bootstrap}
    with broker:
        assert create_topics(settings, {"kept": 2}, 1, 20_000) == ["kept"]
        fill(settings, "kept", 100, partitions=2)
        consumer = LaneConsumer({**settings, "log_level": "0"}, wake)
        consumer.assign({TopicPartition("kept", p): 0 for p in range(2)})
        assert all(len(records) == 100 for records in read_until(consumer, wake, 200).values())
        producer = LaneProducer(settings)
        assert producer.produce("kept", 0, None, b"0:100", [], 1) == 0
        assert producer.flush(20_000)
        broker.kill()
        while not producer._outage.told:
            producer.deliveries()
        broker.start()
        assert producer.produce("kept", 1, None, b"1:100", [], 1) == 0
        assert producer.flush(20_000)
        producer.close()
        said = [line for line in caplog.messages if line.startswith("producer: ")]
        assert said[0].startswith(f"producer: no connection to {broker.bootstrap}: ")
        assert said[-1].startswith(f"producer: {broker.bootstrap} answers again, after ")
        assert len(said) <= 3
        fill(settings, "kept", 50, partitions=2, first=101)
        read = read_until(consumer, wake, 102)
        assert all([r.offset for r in records] == list(range(100, 151)) for records in read.values())
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


ORPHAN = """
import subprocess, sys, time
from pipeline.kafka.broker import ends_with_us
sleeper = "print('begun', flush=True); import time; time.sleep(1000)"
child = subprocess.Popen([*ends_with_us(), sys.executable, "-c", sleeper], start_new_session=True)
print(child.pid, flush=True)
time.sleep(1000)
"""


def running(pid: int) -> bool:
    """Whether a process is there and not just waiting to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(pid: int) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while running(pid):
        assert time.monotonic() < until_s, f"{pid} is still there"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such signal")
@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_a_child_does_not_outlive_a_parent_that_is_killed(how: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    told = {parent.stdout.readline().strip() for _ in range(2)}
    (pid,) = (int(line) for line in told if line != b"begun")
    try:
        assert running(pid)
        getattr(parent, how)()
        wait_until_gone(pid)
    finally:
        parent.kill()
        if running(pid):
            os.kill(pid, 9)


@needs_java
@pytest.mark.kafka
@pytest.mark.slow
def test_a_broker_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from pipeline.kafka.broker import JarBroker
broker = JarBroker(data=Path(sys.argv[1]))
broker.start()
print(broker._process.pid, flush=True)
time.sleep(1000)
"""
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "data")], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    try:
        assert b"kafka.Kafka" in Path(f"/proc/{pid}/cmdline").read_bytes()
        parent.kill()
        wait_until_gone(pid)
    finally:
        parent.kill()
        if running(pid):
            os.kill(pid, 9)


def test_a_machine_without_java_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerError, match="java is not on the PATH; Java 17 or newer"):
        fetch_jars(tmp_path / "jars")
