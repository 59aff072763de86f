"""From a file, the environment and the command line to one checked configuration."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.config.model import PipelineConfig
from pipeline.config.overrides import Layers, lay_assignments, lay_environment
from pipeline.config.problems import ConfigError, Problem, problems_of

SECTIONS = tuple(PipelineConfig.model_fields)
NO_PIPELINES = frozenset({"slo"})
"""Shipped configurations of something else."""
Config = TypeVar("Config", bound=BaseModel)


@dataclass(frozen=True)
class Loaded:
    """A configuration and where its values came from.

    `origins` has a path for each value that did not come from `source`; what is in neither is a default.
    """

    config: PipelineConfig
    source: Path
    tables: Mapping[str, Any]
    origins: Mapping[tuple[str | int, ...], str]


def shipped() -> tuple[str, ...]:
    """The names of the pipelines that come with the product."""
    found = [entry.name for entry in _shipped_folder().iterdir()]
    names = {name.removesuffix(".toml") for name in found if name.endswith(".toml")}
    return tuple(sorted(names - NO_PIPELINES))


def find(name: str, known: Sequence[str] = (), what: str = "pipelines") -> Path:
    """The configuration file that a path, or the bare name of a shipped one (of `known`: all pipelines), means."""
    path, known = Path(name), known or shipped()
    if path.is_file():
        return path
    if name in known:
        return _shipped_folder() / f"{name}.toml"
    raise ConfigError("", [Problem(name, f"no such file, and the shipped {what} are {', '.join(known)}")])


def load(name: str, *, environ: Mapping[str, str], assignments: Sequence[str] = ()) -> Loaded:
    """Read and check a configuration. Raises ConfigError with every mistake, before anything else is touched.

    `environ` is laid over the file (HEADRACE_TABLE__KEY), `assignments` (`table.key=value`) over both.
    """
    source = find(name)
    layers = read_layers(source, SECTIONS, environ, assignments)
    _resolve_paths(layers.tables, source)
    return Loaded(checked(PipelineConfig, layers, source), source, layers.tables, layers.origins)


def read_layers(
    source: Path, sections: Sequence[str], environ: Mapping[str, str], assignments: Sequence[str]
) -> Layers:
    """The file's tables with what is laid over them. Raises ConfigError."""
    layers = Layers(_read(source))
    lay_environment(layers, environ, sections)
    lay_assignments(layers, assignments, sections)
    return layers


def checked(model: type[Config], layers: Layers, source: Path) -> Config:
    """The configuration that the tables make. Raises ConfigError with every mistake in them."""
    try:
        return _validated(model, layers)
    except ValidationError as error:
        raise ConfigError(str(source), problems_of(error, model, layers.origins)) from None


def _shipped_folder() -> Path:
    return Path(str(files("pipeline").joinpath("configs")))


def _read(source: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(str(source), [Problem("", f"cannot be read as TOML: {error}")]) from None


def _resolve_paths(tables: dict[str, Any], source: Path) -> None:
    """Folders and files are meant relative to the file that names them."""
    for section, key in (("models", "folder"), ("reuse", "near_report"), ("cascade", "report")):
        table = tables.get(section)
        if isinstance(table, dict) and isinstance(path := table.get(key), str) and path:
            table[key] = str((source.parent / path).absolute())
    checkpoint = tables.get("checkpoint")
    if isinstance(checkpoint, dict) and isinstance(url := checkpoint.get("url"), str) and url and "://" not in url:
        checkpoint["url"] = str((source.parent / url).absolute())


def _validated(model: type[Config], layers: Layers) -> Config:
    try:
        return model.model_validate(layers.tables)
    except ValidationError as error:
        strings = [e["loc"] for e in error.errors() if e["type"] == "string_type" and e["loc"] in layers.texts]
        if not strings:
            raise
    for path in strings:  # what the environment gave looks like a number, and is a string all the same
        node: Any = layers.tables
        for part in path[:-1]:
            node = node[part]
        node[path[-1]] = layers.texts[path]
    return model.model_validate(layers.tables)
