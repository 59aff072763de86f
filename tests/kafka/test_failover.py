"""Three brokers, of which the one that matters dies: a partition's leader, the group's coordinator."""

import pytest
from confluent_kafka.admin import AdminClient
from hardship import PATIENCE_S, Feed, prepared, running, wait_for

from pipeline.kafka.broker import java_problem
from pipeline.kafka.jar_cluster import JarCluster
from tests.chaos.runs import wait_for_replicas

EVENTS = 2_000
FAST_FAILOVER = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}


def leader_of(bootstrap: str, topic: str, partition: int) -> int:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    return int(admin.list_topics(topic, timeout=PATIENCE_S).topics[topic].partitions[partition].leader)


def coordinator_of(bootstrap: str, group: str) -> int:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    return int(admin.describe_consumer_groups([group])[group].result(PATIENCE_S).coordinator.id)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.skipif(java_problem() is not None, reason=str(java_problem()))
def test_a_leader_and_a_coordinator_that_die_cost_no_event() -> None:
    with JarCluster(3, settings=FAST_FAILOVER) as cluster:
        bootstrap = cluster.bootstrap
        config = prepared(bootstrap, "failover", copies=3)
        feed = Feed(bootstrap, "transactions-failover")
        with running(config) as pipeline:
            feed.send(EVENTS)
            wait_for(bootstrap, config, feed.sources)
            leader = leader_of(bootstrap, "transactions-failover", 0)
            feed.send(EVENTS)
            cluster.broker(leader).kill()
            feed.send(EVENTS)
            wait_for(bootstrap, config, feed.sources)
            assert leader_of(bootstrap, "transactions-failover", 0) != leader
            cluster.broker(leader).start()
            wait_for_replicas(bootstrap, 3)
            coordinator = coordinator_of(bootstrap, config.kafka.common["group.id"])
            feed.send(EVENTS)
            cluster.broker(coordinator).kill()
            feed.send(EVENTS)
            wait_for(bootstrap, config, feed.sources)
            assert coordinator_of(bootstrap, config.kafka.common["group.id"]) != coordinator
            assert pipeline.stop().drained
