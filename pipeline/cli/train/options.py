"""What all training commands share: where models go, the seed, and what is said when a library is not there."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pipeline.config.problems import ConfigError, Problem

Span = tuple[int, int]
F = TypeVar("F", bound=Callable[..., Any])


def out_option(command: F) -> F:
    """`--out`: the repository that entries are written to."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("my-models"),
        show_default=True,
        help="The model repository to write to; then run with --set models.folder=...",
    )(command)


def seed_option(command: F) -> F:
    """`--seed`: what makes a training the same again."""
    return click.option("--seed", type=int, default=1, show_default=True)(command)


def extra_missing(error: ModuleNotFoundError, extra: str) -> ConfigError:
    """The error that says what to install."""
    text = f"{error.name} is not installed; training needs the extra: pip install 'headrace[{extra}]'"
    return ConfigError("", [Problem("", text)])


def span(_context: click.Context, option: click.Parameter, text: str | None) -> Span | None:
    """(first, last) of `FIRST-LAST`, both included."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,18})-(\d{1,18})", text)
    if found is None or int(found[1]) > int(found[2]):
        raise click.BadParameter(f"{text!r} is no span of numbers; expected FIRST-LAST, like 1-200", param=option)
    return int(found[1]), int(found[2])
