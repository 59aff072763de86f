"""`headrace slo`: the app that watches the SLOs, in a process of its own."""

import os

import click

from pipeline.cli.options import BOOTSTRAP_KEY, bootstrap_option
from pipeline.errors import HeadraceError

REQUEST_MS_MAX = 10_000


class MissingExtraError(HeadraceError):
    """What this command needs is not installed."""


@click.command()
@click.option(
    "-c",
    "--config",
    "name",
    default="slo",
    show_default=True,
    metavar="FILE|NAME",
    help="The SLO app's configuration: a file, or the shipped one.",
)
@click.option("--set", "assignments", multiple=True, metavar="TABLE.KEY=VALUE", help="Override a value; repeatable.")
@bootstrap_option
@click.option("--check", is_flag=True, help="Check the configuration and end.")
def slo(name: str, assignments: tuple[str, ...], bootstrap: str | None, check: bool) -> None:
    """Watch the SLOs of all pipelines until it is told to stop, and alert."""
    from pipeline.slo.load import load_slo

    extra = (f"{BOOTSTRAP_KEY}={bootstrap}",) if bootstrap else ()
    config = load_slo(name, environ=os.environ, assignments=(*assignments, *extra))
    if check:
        click.echo(
            f"{len(config.slos)} SLOs of {len(config.pipelines)} pipelines: {', '.join(s.name for s in config.slos)}"
        )
        return
    try:
        from pipeline.slo.service import run_slo
    except ModuleNotFoundError as error:
        text = f"headrace slo needs {error.name}, which is not installed: pip install 'headrace[slo]'"
        raise MissingExtraError(text) from None
    from pipeline.cli.cluster import missing_topics
    from pipeline.config.problems import ConfigError, Problem
    from pipeline.slo.keeping import make_topics

    if missing_topics(config.kafka.common, [config.topics.metrics], REQUEST_MS_MAX):
        text = (
            f"{config.kafka.bootstrap} has no topic {config.topics.metrics} that it lets us see; make the pipelines' "
        )
        raise ConfigError("", [Problem("topics.metrics", f"{text}topics with: headrace topics create")])
    make_topics(config, REQUEST_MS_MAX / 1000)
    run_slo(config)
