"""Clusters to test against: the embedded one for speed, a real broker for what a broker does."""

import logging
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from pipeline.kafka.embedded import EmbeddedCluster
from pipeline.telemetry.logs import CONTENTS, OURS, LimitedHandler

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

IMAGE = "apache/kafka:4.1.1"
DATA = Path(os.environ.get("TRANSACTIONS_FOLDER", Path(__file__).parent.parent.parent / "shared" / "data"))


def _docker_broker() -> Iterator[str]:
    """A broker in a container; raises whatever Docker raises when there is none."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    from pipeline.kafka.broker import free_port

    port = free_port()
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": f"HOST://:{port},INTERNAL://:9094,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"HOST://localhost:{port},INTERNAL://localhost:9094",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "HOST:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "INTERNAL",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }
    container = DockerContainer(IMAGE).with_bind_ports(port, port).with_envs(**settings)
    container.waiting_for(LogMessageWaitStrategy("Kafka Server started"))
    with container:
        yield f"localhost:{port}"


def _jar_broker() -> Iterator[str]:
    from pipeline.kafka.broker import JarBroker

    with JarBroker() as broker:
        yield broker.bootstrap


def _first_that_starts() -> Iterator[str]:
    """Docker, else the jars. Where none works a user's run skips and a build machine's fails."""
    why = []
    for name, source in (("Docker", _docker_broker), ("Maven jars", _jar_broker)):
        broker = source()
        try:
            address = next(broker)
        except Exception as error:  # whatever keeps a broker from starting, the next way is tried
            why.append(f"{name}: {type(error).__name__}: {str(error)[:200]}")
            continue
        yield address
        next(broker, None)
        return
    message = f"no real Kafka: KAFKA_BOOTSTRAP is not set; {'; '.join(why)}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command sets levels and a handler for its process; a test's end takes them back."""
    named = [logging.getLogger(name) for name in ("", *OURS, CONTENTS.name)]
    before = [(logger, logger.level) for logger in named]
    yield
    for logger, level in before:
        logger.setLevel(level)
    for handler in [each for each in logging.getLogger().handlers if isinstance(each, LimitedHandler)]:
        logging.getLogger().removeHandler(handler)


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """The address of a real broker, one for the whole run."""
    given = os.environ.get("KAFKA_BOOTSTRAP")
    if given:
        yield given
    else:
        yield from _first_that_starts()


@pytest.fixture
def embedded() -> Iterator[Callable[[dict[str, int]], str]]:
    """Starts embedded clusters by their topics and partitions; gives their addresses."""
    clusters: list[EmbeddedCluster] = []

    def start(partitions: dict[str, int]) -> str:
        clusters.append(EmbeddedCluster(partitions))
        return clusters[-1].bootstrap

    yield start
    for cluster in clusters:
        cluster.close()


@pytest.fixture
def topic_suffix() -> str:
    """What makes this test's topics and groups its own on a shared broker."""
    return uuid.uuid4().hex[:8]


@pytest.fixture(scope="session")
def transactions_file() -> Path:
    """Recorded card transactions; users do not have them."""
    path = DATA / "transactions.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there: set TRANSACTIONS_FOLDER to a folder that has transactions.parquet")
    return path
