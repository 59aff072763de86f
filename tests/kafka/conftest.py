"""Each test of the lanes runs on the embedded cluster and, where there is one, on a real broker."""

import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from pipeline.kafka.wake import Wake

BIG_RECORDS = {"max.message.bytes": "8388608"}


@pytest.fixture(params=["embedded", pytest.param("broker", marks=pytest.mark.kafka)])
def topic_of(
    request: pytest.FixtureRequest, embedded: Callable[[dict[str, int]], str], topic_suffix: str
) -> Callable[[int], tuple[dict[str, str], str]]:
    """Makes a topic of so many partitions; gives the settings that reach it, and its name."""

    def on_embedded(partitions: int) -> tuple[dict[str, str], str]:
        return {"bootstrap.servers": embedded({"lanes": partitions})}, "lanes"

    def on_broker(partitions: int) -> tuple[dict[str, str], str]:
        settings, topic = {"bootstrap.servers": request.getfixturevalue("kafka_bootstrap")}, f"lanes-{topic_suffix}"
        admin = AdminClient(settings)
        admin.create_topics([NewTopic(topic, partitions, 1, config=BIG_RECORDS)])[topic].result(20)
        until_s = time.monotonic() + 20
        while len(admin.list_topics(topic, 20).topics[topic].partitions) < partitions:
            assert time.monotonic() < until_s, f"{topic} was made and is not there"
        return settings, topic

    return on_embedded if request.param == "embedded" else on_broker


@pytest.fixture
def wake() -> Iterator[Wake]:
    made = Wake()
    yield made
    made.close()
