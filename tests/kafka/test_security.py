"""By TLS, with certificates, with a password; the wrong one ends it soon and says why; rights that come and go."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AclOperation, ResourceType
from hardship import Feed, committed, contents, prepared, running, wait_for
from secured import MTLS, SASL, TLS, Certificates, client_settings, give, make_certificates, secured_cluster, take

from pipeline.cli.cluster import missing_topics
from pipeline.cli.exit_codes import ExitCode, exit_code_of
from pipeline.config.model import PipelineConfig
from pipeline.errors import RefusedError
from pipeline.kafka.broker import java_problem
from pipeline.kafka.jar_cluster import JarCluster
from tests.chaos.members import Member
from tests.traffic import assignments, configured

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.skipif(java_problem() is not None, reason=str(java_problem())),
]
END_S_MAX = 60.0
"""Ten, and what the interpreter needs to start on a machine that is busy."""
EVENTS = 500
Right = tuple[ResourceType, str, AclOperation]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def cluster(certificates: Certificates) -> Iterator[JarCluster]:
    with secured_cluster(certificates) as made:
        yield made


def sets(settings: dict[str, str]) -> list[str]:
    return [f"kafka.{name}={value}" for name, value in settings.items()]


def rights_of(config: PipelineConfig) -> list[Right]:
    """All that a pipeline needs."""
    read = [(ResourceType.TOPIC, spec.topic, AclOperation.READ) for spec in config.inputs.values()]
    outputs = (config.topics.decisions, config.topics.dead_letters, config.topics.metrics)
    write = [(ResourceType.TOPIC, topic, AclOperation.WRITE) for topic in outputs]
    mine = [(ResourceType.TRANSACTIONAL_ID, config.kafka.transactional_id, AclOperation.WRITE)]
    group = (ResourceType.GROUP, config.kafka.common["group.id"], AclOperation.READ)
    return [*read, *write, group, *(mine if config.exactly_once else [])]


def by(door: str, cluster: JarCluster, certificates: Certificates, suffix: str, *assignments: str) -> PipelineConfig:
    """Topics that exist, and a configuration that comes by this door, with all rights."""
    prepared(cluster.bootstrap, suffix)
    settings = sets(client_settings(door, certificates))
    config = configured(cluster.address(door), *settings, *assignments, suffix=f"-{suffix}")
    give(cluster.bootstrap, rights_of(config))
    wait_for_rights(config)
    return config


def wait_for_rights(config: PipelineConfig) -> None:
    """Brokers learn of rights a little after they were given."""
    until_s = time.monotonic() + END_S_MAX
    while missing_topics(config.kafka.admin_settings(), config.topic_names, 5_000):
        assert time.monotonic() < until_s, "the rights were not given"
        time.sleep(0.05)


@pytest.mark.parametrize("door", [TLS, MTLS, SASL])
def test_events_are_decided_behind_a_door(
    door: str, cluster: JarCluster, certificates: Certificates, topic_suffix: str
) -> None:
    config = by(door, cluster, certificates, topic_suffix)
    feed = Feed(cluster.bootstrap, f"transactions-{topic_suffix}")
    with running(config) as pipeline:
        feed.send(EVENTS)
        wait_for(cluster.bootstrap, config, feed.sources)
        assert pipeline.stop().drained


@pytest.mark.parametrize(
    ("door", "wrong", "why"),
    [
        (SASL, {"sasl.password": "guessed"}, "SASL authentication error: Authentication failed"),
        (TLS, {"ssl.ca.location": "stranger"}, "certificate verify failed"),
        (MTLS, {"ssl.certificate.location": "", "ssl.key.location": ""}, "certificate"),
    ],
)
def test_the_wrong_secret_ends_soon_with_the_address_and_the_reason(
    door: str, wrong: dict[str, str], why: str, cluster: JarCluster, certificates: Certificates, tmp_path: Path
) -> None:
    settings = {**client_settings(door, certificates), **wrong}
    if "ssl.ca.location" in wrong:
        settings["ssl.ca.location"] = str(certificates.stranger)
    given = {name: value for name, value in settings.items() if value}
    member = Member(assignments(cluster.address(door), *sets(given)), tmp_path / "log")
    member.start()
    assert member.wait(END_S_MAX) == ExitCode.UNREACHABLE
    last = member.last_words().splitlines()[-1]
    assert f"no broker answers at {cluster.address(door)} within 5000 ms: " in last
    assert why in last


@pytest.mark.parametrize(
    "guarantee",
    [(), ("delivery.guarantee=exactly_once", "kafka.group.instance.id=a")],
    ids=["at least", "exactly once"],
)
def test_a_right_to_write_that_is_lost_ends_it_and_a_restart_goes_on(
    cluster: JarCluster, certificates: Certificates, topic_suffix: str, guarantee: tuple[str, ...]
) -> None:
    config = by(SASL, cluster, certificates, topic_suffix, *guarantee)
    topic = f"transactions-{topic_suffix}"
    right = (ResourceType.TOPIC, config.topics.decisions, AclOperation.WRITE)
    feed = Feed(cluster.bootstrap, topic)
    with running(config) as pipeline:
        feed.send(EVENTS)
        wait_for(cluster.bootstrap, config, feed.sources)
        decided = {p: sum(source[1] == p for source in feed.sources) for p in range(4)}
        take(cluster.bootstrap, [right])
        time.sleep(0.5)
        feed.send(EVENTS)
        error = pipeline.ended()
    assert isinstance(error, RefusedError)
    assert f"topic {config.topics.decisions!r} takes no outcomes: " in str(error)
    assert "Topic authorization failed" in str(error)
    assert exit_code_of(error) == ExitCode.FAILED
    assert committed(cluster.bootstrap, config, topic) == decided
    give(cluster.bootstrap, [right])
    wait_for_rights(config)
    with running(config) as pipeline:
        rows = wait_for(cluster.bootstrap, config, feed.sources)
        assert pipeline.stop().drained
    assert len(rows) == len(feed.sources)
    letters = contents(cluster.bootstrap, config.topics.dead_letters, len, time.monotonic() + 0.5)
    assert not letters, "a decision that could be delivered later was buried"


@pytest.mark.parametrize("what", ["topic", "group"])
def test_a_right_to_read_that_is_lost_is_waited_for(
    what: str,
    cluster: JarCluster,
    certificates: Certificates,
    topic_suffix: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = by(SASL, cluster, certificates, topic_suffix)
    right = {
        "topic": (ResourceType.TOPIC, f"transactions-{topic_suffix}", AclOperation.READ),
        "group": (ResourceType.GROUP, config.kafka.common["group.id"], AclOperation.READ),
    }[what]
    feed = Feed(cluster.bootstrap, f"transactions-{topic_suffix}")
    with running(config) as pipeline:
        feed.send(EVENTS)
        wait_for(cluster.bootstrap, config, feed.sources)
        caplog.clear()
        take(cluster.bootstrap, [right])
        time.sleep(2.0)
        feed.send(EVENTS)
        time.sleep(2.0)
        told = [line for line in caplog.messages if "uthoriz" in line]
        assert pipeline.error is None
        give(cluster.bootstrap, [right])
        wait_for(cluster.bootstrap, config, feed.sources)
        assert pipeline.stop().drained
    assert told, "nobody was told"
    assert len(told) < 60, f"{len(told)} lines in four seconds, as {told[-1]}"
    if what == "topic":
        assert any(f"transactions-{topic_suffix}" in line for line in told)


def test_the_doors_are_closed_to_those_without_rights(
    cluster: JarCluster, certificates: Certificates, topic_suffix: str, tmp_path: Path
) -> None:
    prepared(cluster.bootstrap, topic_suffix)
    settings = sets(client_settings(SASL, certificates))
    member = Member(assignments(cluster.address(SASL), *settings, suffix=f"-{topic_suffix}"), tmp_path / "log")
    member.start()
    assert member.wait(END_S_MAX) == ExitCode.USAGE
    assert f"has no topic transactions-{topic_suffix}" in member.last_words()
    assert "lets us see" in member.last_words()
