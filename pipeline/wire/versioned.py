"""Reading JSON records that say which version of their format they are of."""

from typing import Protocol, TypeVar

import msgspec


class Versioned(Protocol):
    """A record with its version."""

    @property
    def v(self) -> int:
        """The version of the format."""
        ...


Record = TypeVar("Record", bound=Versioned)


def decode_versioned(value: bytes, kind: type[Record], version: int, what: str, *, article: str = "a") -> Record:
    """Read a record back; fields added later are passed over. Raises ValueError saying what is wrong."""
    try:
        record = msgspec.json.decode(value, type=kind)
    except msgspec.DecodeError as error:
        raise ValueError(f"not {article} {what}: {error}") from None
    if record.v != version:
        raise ValueError(f"{what} of version {record.v}, expected {version}")
    return record
