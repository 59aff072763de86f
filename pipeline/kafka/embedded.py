"""A cluster inside the process: for the demo and the fast tests. It forgets everything at exit."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from pipeline.kafka.librdkafka import PRODUCER, check, ffi, lib, new_handle


class EmbeddedCluster:
    """librdkafka's own cluster of brokers, on localhost.

    It serves topics, groups, rebalances and idempotent producers; it keeps at most 5 MB or 100,000 messages a
    partition and knows neither CreateTopics nor transactions' offsets, so topics are named here.
    """

    def __init__(self, partitions: Mapping[str, int]) -> None:
        self._handle = new_handle(PRODUCER, {"client.id": "embedded-cluster", "log_level": "3"}, 0)
        self._cluster: Any = lib.rd_kafka_mock_cluster_new(self._handle, 1)
        lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        for topic, count in partitions.items():
            code = lib.rd_kafka_mock_topic_create(self._cluster, topic.encode(), count, 1)
            check(code, f"create topic {topic!r}")

    @property
    def bootstrap(self) -> str:
        """The `bootstrap.servers` of this cluster."""
        return str(ffi.string(lib.rd_kafka_mock_cluster_bootstraps(self._cluster)).decode())

    def __enter__(self) -> "EmbeddedCluster":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the brokers; clients still connected see them go."""
        if self._cluster is not None:
            lib.rd_kafka_mock_cluster_destroy(self._cluster)
            lib.rd_kafka_destroy_flags(self._handle, 0)
            self._cluster = None
