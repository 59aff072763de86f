"""`headrace quality`: how good decisions turned out to be, as their labels come in."""

import click

from pipeline.cli.exit_codes import ExitCode
from pipeline.cli.options import bootstrap_option, config_options, load_config
from pipeline.cli.stopping import stop_on_signals

COMPACTED = {"cleanup.policy": "compact"}
"""A period that is told again takes its own place."""
CLUSTERS_OWN = -1


@click.command()
@config_options
@bootstrap_option
@click.option("--once", is_flag=True, help="End when all that the topics hold now was read.")
def quality(name: str, assignments: tuple[str, ...], bootstrap: str | None, once: bool) -> int:
    """Join a pipeline's decisions with their labels, and tell of each period how good they were."""
    from pipeline.cli.cluster import create_topics, missing_topics
    from pipeline.config.problems import ConfigError, Problem
    from pipeline.quality.intake import labels_of
    from pipeline.quality.service import run_quality

    config = load_config(name, assignments, bootstrap).config
    settings, timeout_ms = config.kafka.admin_settings(), config.engine.request_ms_max
    read = [config.topics.decisions, config.inputs[labels_of(config).input].topic]
    if missing := missing_topics(settings, read, timeout_ms):
        said = f"{config.kafka.bootstrap} has no topic {', '.join(missing)} that it lets us see"
        raise ConfigError("", [Problem("topics", f"{said}; make what is missing with: headrace topics create")])
    create_topics(settings, {config.topics.quality: 1}, CLUSTERS_OWN, timeout_ms, COMPACTED)
    periods = run_quality(config, stop_on_signals(), click.echo, once=once)
    if once and not periods:
        click.echo("no period is over: events need to have come so far that labels of older ones are in")
    return ExitCode.OK
