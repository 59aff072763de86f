"""What is wrong with a configuration, said so that it can be mended: where, what was found, what was expected."""

import difflib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.errors import HeadraceError

UNITS = {"_ms": "milliseconds", "_s": "seconds", "_bytes": "bytes", "_rows": "rows"}
MASK = "********"
_SECRET_PARTS = ("password", "secret", "token", "sasl.oauthbearer.config", "key.pem", "private")
_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a string",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}


@dataclass(frozen=True)
class Problem:
    """One mistake: the key (or variable, or file) and what to do about it."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


class ConfigError(HeadraceError):
    """A configuration that cannot be used, with every mistake found in it."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems]
        head = f"{source}: " if source else ""
        if len(lines) == 1:
            super().__init__(head + lines[0])
        else:
            super().__init__(f"{head}{len(lines)} mistakes\n  " + "\n  ".join(lines))


def dotted(path: Sequence[str | int]) -> str:
    """A path as people write it: quotes only where a name itself has dots."""
    return ".".join(f'"{part}"' if "." in str(part) else str(part) for part in path)


def near(name: str, known: Sequence[str]) -> str:
    """The clause that helps with a misspelt name."""
    close = difflib.get_close_matches(name, known, n=1)
    return f', did you mean "{close[0]}"?' if close else f"; known are {', '.join(known)}"


def is_secret(name: str) -> bool:
    """Whether a setting's value must never be printed."""
    return any(part in name.lower() for part in _SECRET_PARTS)


def problems_of(
    error: ValidationError, model: type[BaseModel], origins: Mapping[tuple[str | int, ...], str]
) -> list[Problem]:
    """The mistakes that pydantic found, in our words, each once."""
    found: dict[tuple[str | int, ...], Problem] = {}
    for details in error.errors(include_url=False):
        path = _known_path(details["loc"])
        origin = origins.get(path)
        suffix = f" (from {origin})" if origin else ""
        found.setdefault(path, Problem(dotted(path), _text(details, path, model) + suffix))
    return list(found.values())


def _text(details: ErrorDetails, path: tuple[str | int, ...], model: type[BaseModel]) -> str:
    kind, name = details["type"], str(path[-1]) if path else ""
    found = MASK if is_secret(name) else repr(details["input"])
    if kind == "extra_forbidden":
        return _unknown(name, keys_at(model, path[:-1]))
    if kind == "missing":
        return "missing"
    if kind == "value_error":
        return details["msg"].removeprefix("Value error, ")
    unit = next((f" of {unit}" for ending, unit in UNITS.items() if name.endswith(ending)), "")
    if kind in _TYPES:
        return f"found {found}, expected {_TYPES[kind]}{unit}"
    return f"found {found}, {details['msg'].replace('Input should', 'but it should', 1)}"


def _unknown(name: str, known: Sequence[str]) -> str:
    stem = name.rpartition("_")[0]
    same_stem = [key for key in known if stem and key.rpartition("_")[0] == stem]
    close = same_stem or difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if not close:
        return f"unknown key; known are {', '.join(known)}"
    unit = next((f" (in {unit})" for ending, unit in UNITS.items() if close[0].endswith(ending)), "")
    return f'unknown key, did you mean "{close[0]}"{unit}?'


def keys_at(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The keys that the table at `path` may have."""
    kind = _type_at(model, path)
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _type_at(model: type[BaseModel], path: Sequence[str | int]) -> Any:
    kind: Any = model
    for part in path:
        kind = _inner(kind, part)
    return kind


def _inner(kind: Any, part: str | int) -> Any:
    """The type of one member of a table, a dict of tables or a list of tables; None for anything else."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return field.annotation if field is not None else None
    arguments = typing.get_args(kind)
    tables = [a for a in arguments if isinstance(a, type) and issubclass(a, BaseModel)]
    if not tables:
        return None
    if typing.get_origin(kind) in (dict, tuple):
        return tables[0]
    return _inner(tables[0], part)


def _known_path(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """An error's path as the file has it: without our own grouping of the settings for both clients."""
    return tuple(part for part in loc if part != "common" or loc[0] != "kafka")
