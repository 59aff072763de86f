"""Questions to a cluster, by confluent-kafka's own admin client: is it there, which topics, make some."""

from collections.abc import Collection, Mapping
from typing import Any

from pipeline.kafka.librdkafka import KafkaError

REACH_MS_MAX = 5_000
"""Whoever waits for an answer hears within 10 s that there is none."""


def missing_topics(settings: Mapping[str, str], topics: Collection[str], timeout_ms: int) -> list[str]:
    """Which of the topics the cluster does not have. Raises KafkaError naming the address when none answers."""
    known = _known_topics(*_admin(settings), settings, timeout_ms)
    return [topic for topic in topics if topic not in known]


def reach(settings: Mapping[str, str], timeout_ms: int) -> tuple[Any, Any]:
    """An admin client and what the cluster says of itself. Raises KafkaError naming the address when none answers."""
    admin, errors = _admin(settings)
    return admin, _described(admin, errors, settings, timeout_ms)


def create_topics(
    settings: Mapping[str, str],
    partitions: Mapping[str, int],
    replication: int,
    timeout_ms: int,
    topic_settings: Mapping[str, str] | None = None,
) -> list[str]:
    """Make the topics that are not there yet, with Kafka's own `topic_settings`; returns those made.

    Topics that are there stay as they are. Raises KafkaError naming the topic.
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.cimpl import NewTopic

    admin, errors = _admin(settings)
    known = _known_topics(admin, errors, settings, timeout_ms)
    config = dict(topic_settings or {})
    wanted = [
        NewTopic(topic, count, replication, config=config)
        for topic, count in partitions.items()
        if topic not in known
    ]
    if not wanted:
        return []
    answers = admin.create_topics(wanted, operation_timeout=timeout_ms / 1000, request_timeout=timeout_ms / 1000)
    for topic, answer in answers.items():
        try:
            answer.result()
        except KafkaException as error:
            raise KafkaError(error.args[0].code(), f"create topic {topic!r}: {error.args[0].str()}") from None
    return [topic.topic for topic in wanted]


def _admin(settings: Mapping[str, str]) -> tuple[Any, list[Any]]:
    """A client, and the errors that it meets while it is polled."""
    from confluent_kafka.admin import AdminClient

    errors: list[Any] = []
    # Its attempts are logged from a thread of librdkafka's; what came of them is ours to tell, once.
    merged: dict[str, Any] = {**settings, "log_level": "0", "error_cb": errors.append}
    return AdminClient(merged), errors


def _known_topics(admin: Any, errors: list[Any], settings: Mapping[str, str], timeout_ms: int) -> Collection[str]:
    known: Collection[str] = _described(admin, errors, settings, timeout_ms).topics
    return known


def _described(admin: Any, errors: list[Any], settings: Mapping[str, str], timeout_ms: int) -> Any:
    from confluent_kafka import KafkaException

    limit_ms = min(timeout_ms, REACH_MS_MAX)
    try:
        return admin.list_topics(timeout=limit_ms / 1000)
    except KafkaException as error:
        address = settings["bootstrap.servers"]
        admin.poll(0)
        reasons = [error.str() for error in errors if error.name() != "_ALL_BROKERS_DOWN"]
        text = f"no broker answers at {address} within {limit_ms} ms" + "".join(f": {why}" for why in reasons[:1])
        raise KafkaError(error.args[0].code(), text) from None
