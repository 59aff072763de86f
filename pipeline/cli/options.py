"""Options that several commands share, so that they look and work alike."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from pipeline.config.load import Loaded, load

F = TypeVar("F", bound=Callable[..., Any])

BOOTSTRAP_KEY = "kafka.bootstrap.servers"


def config_options(command: F) -> F:
    """`--config` and `--set`: which pipeline, and what is different this time."""
    command = click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="TABLE.KEY=VALUE",
        help="Override a value of the configuration; may be repeated.",
    )(command)
    return click.option(
        "-c",
        "--config",
        "name",
        default="fraud",
        show_default=True,
        envvar="HEADRACE_CONFIG",
        metavar="FILE|NAME",
        help="A configuration file, or the name of a shipped pipeline.",
    )(command)


def bootstrap_option(command: F) -> F:
    """`--bootstrap`: which cluster, whatever the configuration says."""
    return click.option(
        "--bootstrap", metavar="HOST:PORT,...", help="The cluster; short for --set kafka.bootstrap.servers=..."
    )(command)


def load_config(name: str, assignments: tuple[str, ...], bootstrap: str | None = None) -> Loaded:
    """The checked configuration that the options mean, under this process's environment."""
    extra = (f"{BOOTSTRAP_KEY}={bootstrap}",) if bootstrap else ()
    return load(name, environ=os.environ, assignments=(*assignments, *extra))
