"""What an event looks like: the fields a user declares, and nothing about how they are decoded."""

from enum import IntEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

NUMBER = -1
"""Length code of a column entry that is a number (int, decimal units, float bits, time, bool)."""
NULL = -2
"""Length code of an optional field that is absent or null."""


class FieldType(IntEnum):
    """The types of fields, with the representation of each in `Columns.value`."""

    INT = 0  # the integer
    FLOAT = 1  # the float64's bits
    DECIMAL = 2  # round-half-even(float64 value * 10**decimals), an exact count of units
    BOOL = 3  # 0 or 1
    TIME = 4  # ms since the epoch, from ms or an RFC 3339 string
    STRING = 5  # address of the UTF-8 bytes, the length beside it
    ID = 6  # an integer (length NUMBER) or a string (address, length >= 0)


class EventField(BaseModel):
    """One declared field of an input's events."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["int", "float", "decimal", "bool", "time", "string", "id"]
    required: bool = True
    min: float | None = None
    max: float | None = None
    decimals: Annotated[int, Field(ge=0, le=9)] | None = None
    length_max: Annotated[int, Field(ge=1, le=65_536)] = 256

    @model_validator(mode="after")
    def _consistent(self) -> "EventField":
        if (self.type == "decimal") != (self.decimals is not None):
            raise ValueError('`decimals` is given for type = "decimal", and for no other type')
        if self.type in ("string", "bool", "id") and (self.min is not None or self.max is not None):
            raise ValueError(f'`min` and `max` have no meaning for type = "{self.type}"')
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self

    @property
    def code(self) -> FieldType:
        """The type as the kernels know it."""
        return FieldType[self.type.upper()]


class Schema(BaseModel):
    """The declared fields of one input, in declaration order; a field's position is its column's index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fields: dict[str, EventField]

    @property
    def names(self) -> tuple[str, ...]:
        """Field names in column order."""
        return tuple(self.fields)

    def index(self, name: str) -> int:
        """Column index of a field. Raises KeyError with the known names."""
        try:
            return self.names.index(name)
        except ValueError:
            raise KeyError(f"no field {name!r}; declared are {', '.join(self.names)}") from None
