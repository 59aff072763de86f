"""Values from outside the file: the environment and `--set`, each laid over the file's tables by its name."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.config.problems import ConfigError, Problem, dotted, near

PREFIX = "HEADRACE_"
LEVEL = "__"
RESERVED = frozenset({"HEADRACE_CONFIG", "HEADRACE_LOG_LEVEL", "HEADRACE_LOG_FORMAT", "HEADRACE_LOG_CONTENTS"})
"""Read by the command line itself."""
KAFKA = "kafka"
KAFKA_CLIENTS = ("consumer", "producer")
_SERVICE_LINK = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?$")
"""What Kubernetes sets in every container for a service named headrace: not meant for us."""

Path = tuple[str | int, ...]


@dataclass
class Layers:
    """The tables as they stand, and for each value that was laid over them where it came from.

    `texts` keeps an overriding value as it was written, for a key that turns out to be a string.
    """

    tables: dict[str, Any]
    origins: dict[Path, str] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)

    def lay(self, names: Sequence[str], text: str, origin: str) -> None:
        """Put a value at the place that the names mean; raises ConfigError when there is no such place."""
        path = self._path(names, origin)
        node: Any = self.tables
        for name in path[:-1]:
            node = node.setdefault(name, {}) if isinstance(node, dict) else node[name]
            if not isinstance(node, dict | list):
                raise ConfigError("", [Problem(origin, f"{dotted(path[:-1])} is a value, not a table")])
        node[path[-1]] = text if path[0] == KAFKA else _parsed(text)
        self.origins[path] = origin
        self.texts[path] = text

    def _path(self, names: Sequence[str], origin: str) -> Path:
        path: list[str | int] = []
        node: Any = self.tables
        for name in names:
            if isinstance(node, list):
                key: str | int = _position(node, name, origin, dotted(path))
                node = node[int(key)]
            else:
                key = _same_key(name, node if isinstance(node, dict) else {})
                node = node.get(key) if isinstance(node, dict) else None
            path.append(key)
        return tuple(path)


def lay_environment(layers: Layers, environ: Mapping[str, str], sections: Sequence[str]) -> None:
    """Lay every variable HEADRACE_SECTION__KEY over the tables. A variable that nobody reads is an error."""
    problems = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in RESERVED:
            continue
        names = name.removeprefix(PREFIX).lower().split(LEVEL)
        if len(names) == 1:
            if not _SERVICE_LINK.search(name):
                problems.append(Problem(name, _single_hint(names[0], sections)))
            continue
        if names[0] not in sections:
            problems.append(Problem(name, f"no table [{names[0]}]{near(names[0], sections)}"))
            continue
        if names[0] == KAFKA:
            names = _kafka_names([part.replace("_", ".") for part in names])
        layers.lay(names, environ[name], f"environment {name}")
    if problems:
        raise ConfigError("environment", problems)


def lay_assignments(layers: Layers, assignments: Sequence[str], sections: Sequence[str]) -> None:
    """Lay each `table.key=value` of the command line over the tables."""
    for assignment in assignments:
        target, equals, text = assignment.partition("=")
        names = [part.strip() for part in target.split(".")]
        where = f"--set {target}"
        if not equals or len(names) < 2 or not all(names):
            raise ConfigError("", [Problem(f"--set {assignment}", "expected table.key=value")])
        if names[0] not in sections:
            raise ConfigError("", [Problem(where, f"no table [{names[0]}]{near(names[0], sections)}")])
        layers.lay(_kafka_names(names) if names[0] == KAFKA else names, text, f"command line {where}")


def _kafka_names(names: Sequence[str]) -> list[str]:
    """librdkafka's names have dots themselves: all that follows the table is one name."""
    head = 2 if len(names) > 2 and names[1] in KAFKA_CLIENTS else 1
    return [*names[:head], ".".join(names[head:])]


def _same_key(name: str, table: Mapping[str, Any]) -> str:
    """The table's own spelling of a name, whatever the case and with `-` written as `_`."""
    plain = name.lower().replace("-", "_")
    return next((key for key in table if key.lower().replace("-", "_") == plain), name)


def _position(tables: list[Any], name: str, origin: str, path: str) -> int:
    """Where in a list of tables: by number, or by the table's `name`."""
    names = [str(table.get("name", "")) if isinstance(table, dict) else "" for table in tables]
    if name.isdigit() and int(name) < len(tables):
        return int(name)
    for position, own in enumerate(names):
        if own.lower().replace("-", "_") == name.lower().replace("-", "_"):
            return position
    raise ConfigError("", [Problem(origin, f"{path} has no entry {name!r}; there are {', '.join(names)}")])


def _single_hint(rest: str, sections: Sequence[str]) -> str:
    for section in sections:
        if rest.startswith(f"{section}_"):
            meant = f"{PREFIX}{section}{LEVEL}{rest.removeprefix(section + '_')}".upper()
            return f"not a setting; did you mean {meant} (two underscores after the table)?"
    return f"not a setting; expected {PREFIX}TABLE{LEVEL}KEY"


def _parsed(text: str) -> Any:
    """A value as TOML would read it; what is not TOML is a string."""
    try:
        value = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    only = value["value"]
    return only if len(value) == 1 and isinstance(only, bool | int | float | str | list | dict) else text
