"""A real cluster for benchmarks: KAFKA_BOOTSTRAP, or a broker from Maven jars on this machine."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pipeline.cli.cluster import create_topics
from pipeline.kafka.broker import JarBroker

TIMEOUT_MS = 20_000


@contextmanager
def real_cluster() -> Iterator[str]:
    given = os.environ.get("KAFKA_BOOTSTRAP")
    if given:
        yield given
        return
    with JarBroker() as broker:
        yield broker.bootstrap


def make_topics(bootstrap: str, partitions: Mapping[str, int]) -> None:
    create_topics({"bootstrap.servers": bootstrap}, partitions, 1, TIMEOUT_MS)


def delete_topics(bootstrap: str, topics: list[str]) -> None:
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": bootstrap})
    for answer in admin.delete_topics(topics).values():
        answer.result(TIMEOUT_MS / 1000)
