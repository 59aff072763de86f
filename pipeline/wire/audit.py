"""What served when, as JSON, version 1: the records of the audit topic, which are only ever added."""

from typing import Literal

import msgspec

from pipeline.wire.versioned import decode_versioned

AUDIT_VERSION = 1
AuditEvent = Literal[
    "started", "loaded", "canary", "shadow", "share", "held", "promoted", "rolled_back", "refused", "stopped"
]


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One change of what serves in one process, or that it began or ended to serve.

    `model`, `version`, `sha256` are of the model that the record is about: `started`, `promoted` and `stopped` of the
    stable version, as is `rolled_back` (`reason` says what went); the others of the candidate, `loaded` and `refused`
    of either. `share` is the candidate's. `config_sha256` is of the process's configuration without addresses and
    ports; `by` is who asked for it, a person or a process. `offsets` says from where on, by "topic/partition":
    all records below the first number were answered before, none at or above the second.
    """

    pipeline: str
    instance: str
    at_ms: int
    event: AuditEvent
    tier: str
    model: str
    version: str
    v: int = AUDIT_VERSION
    sha256: str = ""
    share: float = 0.0
    config_sha256: str = ""
    reason: str = ""
    by: str = ""
    offsets: dict[str, tuple[int, int]] = {}

    def encode(self) -> bytes:
        """The record's value on the audit topic."""
        return msgspec.json.encode(self)


def decode_audit(value: bytes) -> AuditRecord:
    """Read a record back; fields added later are passed over. Raises ValueError saying what is wrong."""
    return decode_versioned(value, AuditRecord, AUDIT_VERSION, "audit record", article="an")
