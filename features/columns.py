"""Events as columns: what decoders write and feature kernels read."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.schema import NULL, Schema


class Columns:
    """Decoded events, one row an event, in arrays that live as long as this object.

    `value` is int64[fields, capacity]: numbers as `FieldType` says, float64 as its bits (`floats` is the
    same memory seen as float64), strings as the address of their bytes. `length` is int32[fields, capacity]:
    NUMBER, NULL, or a string's length in bytes. Whoever fills a row keeps the bytes behind its addresses
    alive while
    the row is in use; `keep` is a place to hold their owners.
    """

    def __init__(self, schema: Schema, capacity_rows: int) -> None:
        self.schema = schema
        self.capacity_rows = capacity_rows
        fields = len(schema.fields)
        self.value: NDArray[np.int64] = np.zeros((fields, capacity_rows), np.int64)
        self.length: NDArray[np.int32] = np.full((fields, capacity_rows), NULL, np.int32)
        self.keep: list[Any] = []

    @property
    def floats(self) -> NDArray[np.float64]:
        """The same memory as `value`, seen as float64."""
        return self.value.view(np.float64)
