"""What training commands say on the way, and what they say when a library is not there."""

import time
from collections.abc import Callable

import click

from pipeline.config.problems import ConfigError, Problem

TELL_S = 2.0


def tell_sometimes() -> Callable[[str], None]:
    """Tells what goes on, of many alike one every few seconds."""
    told_s = 0.0

    def tell(text: str) -> None:
        nonlocal told_s
        if time.monotonic() - told_s > TELL_S:
            told_s = time.monotonic()
            click.echo(text, err=True)

    return tell


def extra_missing(error: ModuleNotFoundError, extra: str) -> ConfigError:
    """The error that says what to install."""
    text = f"{error.name} is not installed; training needs the extra: pip install 'headrace[{extra}]'"
    return ConfigError("", [Problem("", text)])
