"""`headrace topics`: what a pipeline reads and writes, made once."""

import click

from pipeline.cli.options import bootstrap_option, config_options, load_config


@click.group()
def topics() -> None:
    """Create the topics of a pipeline."""


@topics.command()
@config_options
@bootstrap_option
@click.option("--partitions", type=click.IntRange(1, 10_000), default=4, show_default=True)
@click.option("--replication", type=click.IntRange(1, 10), default=1, show_default=True, help="Copies of each.")
def create(name: str, assignments: tuple[str, ...], bootstrap: str | None, partitions: int, replication: int) -> None:
    """Make every topic that the pipeline reads or writes and that is not there yet."""
    from pipeline.cli.cluster import create_topics

    config = load_config(name, assignments, bootstrap).config
    counts = dict.fromkeys(config.topic_names, partitions)
    made = create_topics(config.kafka.admin_settings(), counts, replication, config.engine.request_ms_max)
    for topic in config.topic_names:
        click.echo(f"{topic}: {'made' if topic in made else 'was there'}")
