"""What a variant is: a file that answers as a model does, or the reason why there is none."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Variant:
    """One way to have a model cheaper. `path` is None where it cannot be made, and `why` says so."""

    name: str
    how: str
    path: Path | None
    why: str = ""


def not_made(name: str, how: str, why: str) -> Variant:
    """A variant that this model cannot have."""
    return Variant(name, how, None, why)
