"""Alerts as JSON, version 1: one record each time an alert begins to fire or is resolved."""

from typing import Literal

import msgspec

from pipeline.wire.versioned import decode_versioned

ALERT_VERSION = 1
AlertKind = Literal["burn", "instance-silent", "silent", "stuck"]
AlertSeverity = Literal["page", "ticket"]


class AlertRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An alert, as of the evaluation that changed it.

    `kind` says what it is about: `burn`, an error budget that burns too fast (`slo` is the SLO's name; burns are
    times the sustainable rate, `budget_left` is what is left of the budget over the longest window, below 0
    overspent); `instance-silent`, a process (`subject`) that publishes no metrics; `silent`, all processes of a
    pipeline; `stuck`, a partition (`subject`, `topic/number`) that does not move while it has lag. Those have null
    burns, and `slo` is the pipeline and the kind. `since_ms` is when the state began. The topic's key is `key`.
    """

    v: int = ALERT_VERSION
    slo: str
    severity: AlertSeverity
    state: Literal["firing", "resolved"]
    long_burn: float | None
    short_burn: float | None
    budget_left: float | None
    since_ms: int
    summary: str
    kind: AlertKind
    pipeline: str
    subject: str = ""

    @property
    def key(self) -> str:
        """What tells one alert from another, whatever its state."""
        return "/".join(part for part in (self.slo, self.severity, self.subject) if part)

    @property
    def firing(self) -> bool:
        """Whether it goes on."""
        return self.state == "firing"

    def encode(self) -> bytes:
        """The record's value on the alerts topic."""
        return msgspec.json.encode(self)


def decode_alert(value: bytes) -> AlertRecord:
    """Read a record back; fields added later are passed over. Raises ValueError saying what is wrong."""
    return decode_versioned(value, AlertRecord, ALERT_VERSION, "alert", article="an")
