"""What exactly-once needs of a configuration, and what is said where it is missing."""

import pytest

from pipeline.cli.checks import check_kafka_settings
from pipeline.cli.run import names_of, ports_of
from pipeline.config.load import load
from pipeline.config.model import PipelineConfig
from pipeline.config.problems import ConfigError

NAMED = ("delivery.guarantee=exactly_once", "kafka.group.instance.id=pod-3", "engine.commit_ms=20")


def config(*assignments: str, **environ: str) -> PipelineConfig:
    return load("fraud", environ=environ, assignments=assignments).config


def test_at_least_once_is_the_default_and_needs_nothing() -> None:
    assert not config().exactly_once
    assert names_of(config().kafka, 2) == [[], []]


def test_the_transactional_id_is_made_of_the_group_and_the_stable_name() -> None:
    found = config(*NAMED)
    assert found.exactly_once
    assert found.kafka.transactional_id == "headrace-fraud-pod-3"
    assert "group.instance.id" not in found.kafka.producer_settings()
    by_environment = config(*NAMED[::2], HEADRACE_KAFKA__GROUP_INSTANCE_ID="pod-4")
    assert by_environment.kafka.transactional_id == "headrace-fraud-pod-4"


def test_workers_get_a_name_each_wherever_the_name_was_given() -> None:
    assert [own[1] for own in names_of(config(*NAMED).kafka, 2)] == [
        "kafka.group.instance.id=pod-3-0",
        "kafka.group.instance.id=pod-3-1",
    ]
    consumers = ("delivery.guarantee=exactly_once", "kafka.consumer.group.instance.id=x", "engine.commit_ms=20")
    own = names_of(config(*consumers).kafka, 2)[1][1]
    assert config(*consumers, own).kafka.transactional_id == "headrace-fraud-x-1"


def test_workers_get_a_port_each_from_the_one_that_is_named() -> None:
    assert ports_of(config().http, 2) == ports_of(config("http.port=0").http, 2) == [[], []]
    named = ports_of(config("http.port=9500").http, 3)
    assert [config("http.port=9500", own[1]).http.port for own in named] == [9500, 9501, 9502]


@pytest.mark.parametrize(
    ("assignments", "told"),
    [
        (["delivery.guarantee=exactly_once"], 'kafka: "group.instance.id" is missing, which exactly_once needs'),
        ([*NAMED, "kafka.group.instance.id="], 'kafka: "group.instance.id" is missing'),
        ([*NAMED, "pipeline.mode=replay"], "a replay has none: expected at_least_once"),
        ([*NAMED, "engine.commit_ms=51"], "engine.commit_ms 51 is more than half of budget_ms 100"),
        (
            [*NAMED, "kafka.producer.transaction.timeout.ms=39"],
            "engine.commit_ms 20 is more than half of kafka.producer.transaction.timeout.ms 39",
        ),
        (["kafka.producer.transactional.id=mine"], '"transactional.id" cannot be set: it is made of "group.id"'),
        (["kafka.transactional.id=mine"], '"transactional.id" cannot be set'),
        (["delivery.guarantee=once"], "found 'once', but it should be 'at_least_once' or 'exactly_once'"),
        (["delivery.garantee=exactly_once"], 'delivery.garantee: unknown key, did you mean "guarantee"?'),
    ],
)
def test_what_is_missing_or_ours_is_said(assignments: list[str], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(*assignments)
    assert told in str(caught.value)


def test_settings_of_transactions_are_checked_by_librdkafka_when_there_are_any() -> None:
    timeout = "kafka.producer.transaction.timeout.ms"
    assert check_kafka_settings(config(*NAMED, f"{timeout}=30000")) == "accepted"
    with pytest.raises(ConfigError, match=r"\"transaction\.timeout\.ms\": found 'soon', expected a whole number"):
        config(*NAMED, f"{timeout}=soon")
    with pytest.raises(ValueError, match=r"enable\.idempotence"):
        check_kafka_settings(config(*NAMED, "kafka.producer.enable.idempotence=false"))
