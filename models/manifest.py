"""What stands beside a model: where it came from, what it takes and gives, how good and how fast it was."""

import tomllib
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class ModelError(ValueError):
    """A model that cannot be used, with its path, what was found and what was expected."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trained(_Part):
    """How the model was made."""

    when: date
    """The day it was trained (UTC)."""
    how: str
    data: str
    rows: int
    positives: int
    seed: int


class Manifest(_Part):
    """`manifest.toml`, beside `model.onnx`."""

    name: str
    version: str
    kind: str
    licence: str
    inputs: tuple[str, ...] = Field(min_length=1)
    """The features, in the order of the model's input columns."""
    input: str
    """The ONNX input: float32[rows, features]."""
    output: str
    """The ONNX output: float32[rows, 1] or float32[rows], the score in [0, 1]."""
    thresholds: tuple[float, ...]
    """Scores at which the decisions above the lowest begin."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    trained: Trained
    quality: dict[str, float]


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest. Raises ModelError naming the file and the key."""
    try:
        return Manifest.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no manifest") from None
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in error.errors()
        )
        raise ModelError(f"{path}: {problems}") from None


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest as TOML, keys in declaration order."""
    lines: list[str] = []
    tables: list[str] = []
    for key, value in manifest.model_dump().items():
        if isinstance(value, dict):
            tables += ["", f"[{key}]", *(f"{name} = {_toml(item)}" for name, item in value.items())]
        else:
            lines.append(f"{key} = {_toml(value)}")
    path.write_text("\n".join([*lines, *tables, ""]), encoding="utf-8")


def _toml(value: Any) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
