"""`headrace topics`: what a pipeline reads and writes, made once."""

from typing import Any

import click

from features.duration import duration_ms
from pipeline.cli.options import bootstrap_option, config_options, load_config

MESSAGE_BYTES = "message.max.bytes"
"""What a client sends at most; a topic's own limit has another name."""

COMPACTED = {"cleanup.policy": "compact"}
KEPT = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""Of the topics of rollouts, one partition each: the newest word on each tier, and the books, for ever."""


class Duration(click.ParamType):
    """A duration such as 36h or 7d, in ms."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it, or fail with the forms there are."""
        try:
            return duration_ms(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group()
def topics() -> None:
    """Create the topics of a pipeline."""


@topics.command()
@config_options
@bootstrap_option
@click.option("--partitions", type=click.IntRange(1, 10_000), default=4, show_default=True)
@click.option("--replication", type=click.IntRange(1, 10), default=1, show_default=True, help="Copies of each.")
@click.option("--retention", type=Duration(), metavar="7d", help="How long records are kept; default: the cluster's.")
@click.option("--retention-bytes", type=click.IntRange(1), help="How much of a partition is kept at most.")
def create(
    name: str,
    assignments: tuple[str, ...],
    bootstrap: str | None,
    partitions: int,
    replication: int,
    retention: int | None,
    retention_bytes: int | None,
) -> None:
    """Make every topic that the pipeline reads or writes and that is not there yet.

    They take records as large as the pipeline's clients send: kafka."message.max.bytes", where it is set.
    """
    from pipeline.cli.cluster import create_topics

    config = load_config(name, assignments, bootstrap).config
    settings = config.kafka.admin_settings()
    wanted = {
        "retention.ms": retention,
        "retention.bytes": retention_bytes,
        "max.message.bytes": settings.get(MESSAGE_BYTES),
    }
    given = {key: str(value) for key, value in wanted.items() if value is not None}
    counts = dict.fromkeys(config.topic_names, partitions)
    rollouts = {config.topics.rollouts, config.topics.audit} if config.rollout.enabled else set()
    others = {topic: count for topic, count in counts.items() if topic not in rollouts}
    limit_ms = config.engine.request_ms_max
    made = create_topics(settings, others, replication, limit_ms, given)
    for topic, policy in {config.topics.rollouts: COMPACTED, config.topics.audit: KEPT}.items():
        if topic in rollouts:
            made += create_topics(settings, {topic: 1}, replication, limit_ms, policy)
    for topic in config.topic_names:
        click.echo(f"{topic}: {'made' if topic in made else 'was there'}")
