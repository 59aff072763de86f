"""Whatever dies, every event has its outcome, with the features of an undisturbed run: the chaos runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.kafka.broker import java_problem
from pipeline.kafka.jar_cluster import JarCluster
from tests.chaos.events import Plan
from tests.chaos.ground import Ground, How
from tests.chaos.runs import come_and_go, kill_brokers, kill_processes, share

pytestmark = pytest.mark.kafka
needs_java = pytest.mark.skipif(java_problem() is not None, reason=str(java_problem()))
FULL = Plan(events=2_000_000, history=400_000, customers=8_000, terminals=6_000)
FAST_FAILOVER = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}
HOW = How()


@pytest.fixture(scope="module")
def ground(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """A backlog that waits, for the runs that need no more."""
    made = Ground(kafka_bootstrap, Plan(), HOW, tmp_path_factory.mktemp("chaos"))
    made.send_storm()
    return made


@pytest.fixture
def own_ground(kafka_bootstrap: str, tmp_path: Path) -> Ground:
    """One whose storm is still to be sent."""
    return Ground(kafka_bootstrap, Plan(), HOW, tmp_path)


@pytest.fixture(scope="module")
def full_ground(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    made = Ground(kafka_bootstrap, FULL, HOW, tmp_path_factory.mktemp("chaos"))
    made.send_storm()
    yield made
    made.close()


@pytest.mark.slow
def test_killed_processes_lose_nothing(ground: Ground) -> None:
    report = kill_processes(ground, 5)
    assert report.verdict.decisions > 0.99 * ground.plan.events
    assert not report.surprises


@pytest.mark.slow
def test_two_processes_have_the_features_of_one(ground: Ground) -> None:
    for processes in (1, 2):
        report = share(ground, processes)
        assert report.verdict.repeats == 0
        assert not report.surprises


@pytest.mark.slow
def test_processes_that_come_and_go_lose_nothing(own_ground: Ground) -> None:
    assert not come_and_go(own_ground, 3).surprises


@needs_java
@pytest.mark.slow
def test_brokers_that_die_in_turn_lose_nothing(tmp_path: Path) -> None:
    with JarCluster(3, settings=FAST_FAILOVER) as cluster:
        ground = Ground(cluster.bootstrap, Plan(), HOW, tmp_path, replication=3)
        kill_brokers(ground, cluster, before_s=1.0, after_s=7.0)


@pytest.mark.soak
def test_a_hundred_kills_lose_nothing(full_ground: Ground) -> None:
    kill_processes(full_ground, 100)


@pytest.mark.soak
def test_two_processes_have_the_features_of_one_for_long(full_ground: Ground) -> None:
    share(full_ground, 1)
    share(full_ground, 2)


@pytest.mark.soak
def test_a_minute_of_coming_and_going_loses_nothing(kafka_bootstrap: str, tmp_path: Path) -> None:
    come_and_go(Ground(kafka_bootstrap, FULL, HOW, tmp_path), 30)


@needs_java
@pytest.mark.soak
def test_brokers_that_die_in_turn_lose_nothing_under_full_load(tmp_path: Path) -> None:
    with JarCluster(3) as cluster:
        kill_brokers(Ground(cluster.bootstrap, FULL, HOW, tmp_path, replication=3), cluster)
