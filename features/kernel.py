"""How every kernel of the product is compiled: cached on disk, without the GIL, with IEEE arithmetic."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


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
