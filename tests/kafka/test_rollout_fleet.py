"""Two processes of one group: what one finds both do, a key has one version wherever its partition is."""

from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from pipeline.config.load import load
from pipeline.rollout.course import begun, rolled_back
from pipeline.rollout.desk import ask, in_force, named, new_name
from tests.rollout_ground import (
    TOPICS,
    Traffic,
    assert_each_once,
    decisions_of,
    noted,
    rolling_out,
    running,
    until,
)
from tests.versions import repository_of

pytestmark = [pytest.mark.slow, pytest.mark.kafka]
INPUTS = tuple(load("fraud", environ={}).config.features)


@pytest.fixture
def cluster(kafka_bootstrap: str, topic_suffix: str) -> tuple[str, str]:
    """An address, and what the topics' names end with."""
    bootstrap, suffix = kafka_bootstrap, f"-{topic_suffix}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    compacted = {"cleanup.policy": "compact"}
    wanted = [
        NewTopic(name + suffix, count, 1, config=compacted if name == "rollouts" else {})
        for name, count in TOPICS.items()
    ]
    for made in admin.create_topics(wanted).values():
        made.result(20)
    return bootstrap, suffix


def test_all_processes_act_alike(cluster: tuple[str, str], tmp_path: Path) -> None:
    bootstrap, suffix = cluster
    folder = repository_of(tmp_path, INPUTS, {"2": "good", "3": "inverted"})
    config = rolling_out(bootstrap, folder, suffix=suffix)
    with running(config) as one, running(config) as other, Traffic(config, 1000) as traffic:
        until(lambda: one.decided() > 100 and other.decided() > 100, "both decide")
        for version, taken in (("2", 1), ("3", 3)):
            candidate = named(config, "fraud-gbt", version)
            start = begun(in_force(config)["primary"], candidate, new_name(), 0.3, shadow=False, auto=False)
            ask(config, "primary", lambda _: start)  # noqa: B023
            until(lambda: min(each.counted("rollouts/taken") for each in (one, other)) >= taken, "both follow")  # noqa: B023
            if version == "2":
                before = traffic.sent
                until(lambda: one.decided() + other.decided() > before + 2000, "traffic")  # noqa: B023
                after = traffic.sent
                ask(config, "primary", rolled_back)
        until(lambda: in_force(config)["primary"].candidate is None, "the bad one is gone")
        until(lambda: min(each.counted("rollouts/rolled_back") for each in (one, other)) == 2, "from both")
        sent = traffic.stop()
        until(lambda: one.decided() + other.decided() >= sent, "all is decided")
        assert one.stop().drained
        assert other.stop().drained
    decisions = decisions_of(config, sent)
    assert_each_once(decisions, sent)
    versions: dict[str, set[str]] = {}
    for decision in decisions:
        if before + 200 < int(decision["id"]) < after:
            versions.setdefault(decision["key"], set()).add(decision["version"])
    assert all(len(each) == 1 for each in versions.values())
    assert {"1"} in versions.values()
    assert {"2"} in versions.values()
    assert len(noted(config, "started")) == 4
    assert any("differ" in each.reason for each in noted(config, "rolled_back"))
