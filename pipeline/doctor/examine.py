"""Everything that is looked at, in the order in which a start would need it."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numba

from pipeline.cli.checks import check_features, check_kafka_settings
from pipeline.cli.cluster import reach
from pipeline.config.model import PipelineConfig
from pipeline.config.problems import ConfigError
from pipeline.doctor import local
from pipeline.doctor.cluster import ClusterLook, probe
from pipeline.doctor.finding import Finding, fail, ok
from pipeline.kafka.librdkafka import KafkaConfigError, KafkaError


def examine(config: PipelineConfig, looking_at: Callable[[str], None], probe_topic: str = "") -> Iterator[Finding]:
    """All findings, as they come; `looking_at` is told what comes next, since some of it takes seconds."""
    looks: tuple[tuple[str, Callable[[], Iterable[Finding]]], ...] = (
        ("features", lambda: features(config)),
        ("models", lambda: local.models(config)),
        ("sessions", lambda: local.sessions(config)),
        ("kernel cache", lambda: local.kernels(kernel_folder())),
        ("checkpoints", lambda: local.checkpoints(config)),
        ("memory", lambda: local.memory(config)),
        ("processors", lambda: local.processors(config)),
        ("http port", lambda: local.http_port(config)),
        ("Kafka settings", lambda: kafka_settings(config)),
        ("cluster", lambda: cluster(config, looking_at, probe_topic)),
    )
    for title, look in looks:
        looking_at(title)
        yield from look()


def features(config: PipelineConfig) -> Iterable[Finding]:
    """Whether every feature can be compiled, functions that are named included."""
    try:
        return [ok("features", check_features(config))]
    except ConfigError as error:
        return [fail("features", str(error), "mend the feature that it names")]


def kernel_folder() -> Path:
    """Where compiled kernels are kept."""
    import features.kernel

    assert features.kernel
    settings: object = numba.config
    return Path(str(getattr(settings, "CACHE_DIR", "")))


def kafka_settings(config: PipelineConfig) -> Iterable[Finding]:
    """Whether librdkafka takes all settings."""
    try:
        return [ok("Kafka settings", check_kafka_settings(config))]
    except (KafkaConfigError, KafkaError) as error:
        return [fail("Kafka settings", str(error), "mend the [kafka] table; names are librdkafka's own")]


def cluster(config: PipelineConfig, looking_at: Callable[[str], None], probe_topic: str) -> Iterator[Finding]:
    """What the cluster has, if it can be reached."""
    settings = config.kafka.admin_settings()
    try:
        admin, described = reach(settings, config.engine.request_ms_max)
    except KafkaError as error:
        mend = "address, network, TLS and password; topics, offsets and clocks were not looked at"
        yield fail("broker", str(error), mend)
        return
    look = ClusterLook(config, admin, described)
    for title, part in (
        ("broker", look.broker),
        ("topics", look.topics),
        ("topic settings", look.settings),
        ("offsets", look.offsets),
        ("clocks", look.clocks),
    ):
        looking_at(title)
        yield from part()
    if probe_topic:
        looking_at("clock of the broker")
        yield probe(settings, probe_topic, config.engine.request_ms_max / 1000)
