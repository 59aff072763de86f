"""How every kernel of the product is compiled: cached on disk, without the GIL, with IEEE arithmetic.

Numba takes a cached kernel for good as long as its own file is unchanged, although other files' kernels and constants
are compiled into it. So the cache lies in a folder that is named after all of them: machine code of other sources is
never found. The folder is beside this file, in `NUMBA_CACHE_DIR` where that is set, or in the user's cache.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])
_HERE = Path(__file__).parent
_MARK = b"features.kernel"


def sources(features: Path, others: Iterable[Path]) -> list[Path]:
    """What machine code may depend on: all of `features`, and what declares kernels elsewhere."""
    declaring = (path for folder in others for path in folder.rglob("*.py") if _MARK in path.read_bytes())
    return sorted([*features.rglob("*.py"), *declaring])


def fingerprint(paths: Iterable[Path]) -> str:
    """The same for the same contents, whatever their dates."""
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(b"%s %d " % (path.name.encode(), len(content)) + content)
    return digest.hexdigest()[:16]


def cache_folder(given: str, beside: Path, own: Path) -> Path:
    """Where the folder of machine code goes: the one given, the one beside the sources, or the user's own."""
    if given:
        return Path(given)
    return beside if os.access(beside if beside.exists() else beside.parent, os.W_OK) else own


_OWN = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headrace"
_OTHERS = [_HERE.parent / name for name in ("models", "pipeline") if (_HERE.parent / name).is_dir()]
_settings: Any = numba.config
_settings.CACHE_DIR = str(
    cache_folder(_settings.CACHE_DIR, _HERE / "__pycache__", _OWN) / f"kernels-{fingerprint(sources(_HERE, _OTHERS))}"
)


def kernel(signature: str | list[str] | None = None, *, inline: bool = False) -> Callable[[F], F]:
    """Compile a function with Numba.

    With a signature it is compiled (or loaded from the cache) at import, so that no event ever waits for a
    compiler; without one it is a building block that is compiled into its callers. `fastmath` stays off:
    a feature has the same bits wherever it is computed.
    """
    options: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
    if inline:
        options["inline"] = "always"

    def compile_it(function: F) -> F:
        return cast(F, numba.njit(signature, **options)(function))

    return compile_it
