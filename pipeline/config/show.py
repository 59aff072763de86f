"""The effective configuration as TOML that can be saved and run, with the origin of each value beside it."""

import json
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from features.catalog import FeatureSpec
from features.duration import UNIT_MS, duration_ms
from features.schema import EventField
from pipeline.config.kafka_section import KafkaSection
from pipeline.config.load import Loaded
from pipeline.config.problems import MASK, dotted, is_secret

Path = tuple[str | int, ...]
TERSE = (FeatureSpec, EventField)
"""Written on one line each, without what was left out."""


@dataclass(frozen=True)
class Setting:
    """One value: the table it is in, its key, the value (secrets masked) and where it came from."""

    table: Path
    key: str
    value: Any
    origin: str


def settings(loaded: Loaded) -> Iterator[Setting]:
    """Every value in force, table by table. What has no value and no default is left out."""
    yield from _walk(loaded, (), _plain(loaded.config))


def as_toml(loaded: Loaded) -> str:
    """Valid TOML, a comment behind each value. Secrets are masked: give them again in the environment."""
    lines: list[str] = []
    table: Path = ()
    for setting in settings(loaded):
        if setting.table != table:
            table = setting.table
            name = dotted([part for part in table if isinstance(part, str)])
            lines += ["", f"[[{name}]]" if isinstance(table[-1], int) else f"[{name}]"]
        lines.append(f"{dotted([setting.key])} = {_toml(setting.value)}  # {setting.origin}")
    return "\n".join(lines[1:]) + "\n"


def as_json(loaded: Loaded) -> str:
    """A list with an object a value: `key`, `value`, `origin`."""
    rows = [
        {"key": dotted([*setting.table, setting.key]), "value": setting.value, "origin": setting.origin}
        for setting in settings(loaded)
    ]
    return json.dumps(rows, indent=1)


class _Inline(dict[str, Any]):
    """A table that is written as one value."""


def _walk(loaded: Loaded, path: Path, table: Mapping[str, Any]) -> Iterator[Setting]:
    for key, value in table.items():
        if not _is_table(value):
            shown = MASK if value and is_secret(key) else value
            yield Setting(path, key, shown, _origin(loaded, (*path, key)))
    for key, value in table.items():
        if not _is_table(value):
            continue
        if isinstance(value, list):
            for position, member in enumerate(value):
                yield from _walk(loaded, (*path, key, position), member)
        else:
            yield from _walk(loaded, (*path, key), value)


def _is_table(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(member, dict) for member in value)
    return isinstance(value, dict) and not isinstance(value, _Inline)


def _origin(loaded: Loaded, path: Path) -> str:
    """Where a value came from; of several layers the last, of an inline table any that touched it."""
    for laid, origin in loaded.origins.items():
        if laid[: len(path)] == path:
            return origin
    node: Any = loaded.tables
    for part in path:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            return "default"
    return loaded.source.name


def _plain(value: Any) -> Any:
    """A model as the file would have it."""
    if isinstance(value, KafkaSection):
        return {**value.common, "consumer": dict(value.consumer), "producer": dict(value.producer)}
    if isinstance(value, BaseModel):
        table = {name: _member(value, name) for name in type(value).model_fields if _is_given(value, name)}
        return _Inline(table) if isinstance(value, TERSE) else table
    if isinstance(value, Mapping):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, tuple):
        return [_plain(member) for member in value]
    return value


def _is_given(model: BaseModel, name: str) -> bool:
    if isinstance(model, TERSE):
        return name in model.model_fields_set
    return getattr(model, name) is not None


def _member(model: BaseModel, name: str) -> Any:
    value = getattr(model, name)
    return _duration(value) if _is_duration(type(model).model_fields[name]) else _plain(value)


def _is_duration(field: FieldInfo) -> bool:
    """Whether a field is a `DurationMs`, alone or in a union."""
    metadata = [*field.metadata]
    for member in typing.get_args(field.annotation):
        metadata += getattr(member, "__metadata__", ())
    return any(getattr(check, "func", None) is duration_ms for check in metadata)


def _duration(ms: int) -> str:
    """As a person writes it: in the largest unit that keeps it whole."""
    unit = next(unit for unit in reversed(UNIT_MS) if ms % UNIT_MS[unit] == 0)
    return f"{ms // UNIT_MS[unit]}{unit}"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{dotted([key])} = {_toml(member)}" for key, member in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(member) for member in value) + "]"
    return json.dumps(value, ensure_ascii=False)
