"""What a process writes of rollouts: wishes to the control topic, notes to the audit topic."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Producer

from pipeline.rollout.control_topic import writing_settings
from pipeline.wire.audit import AuditRecord
from pipeline.wire.rollout import RolloutRecord

log = logging.getLogger(__name__)


class RolloutWriter:
    """One thread calls everything. A change is said to be done when all copies of the audit topic have it."""

    def __init__(self, settings: Mapping[str, str], rollouts: str, audit: str) -> None:
        self._producer = Producer({**settings, "log_level": "0", **writing_settings()})
        self._rollouts = rollouts
        self._audit = audit
        self.undelivered = 0

    def wish(self, record: RolloutRecord) -> None:
        """Have all processes follow this record."""

        def delivered(error: Any, _message: Any) -> None:
            if error is not None:
                log.error("tier %s: %s could not be written for all to follow: %s", record.tier, record.event, error)

        self._give(self._rollouts, record.key, record.encode(), delivered)

    def note(self, record: AuditRecord) -> None:
        """Have it in the books."""

        def delivered(error: Any, _message: Any) -> None:
            if error is not None:
                self.undelivered += 1
                text = "tier %s: %s of %s/%s is in no audit topic: %s"
                log.error(text, record.tier, record.event, record.model, record.version, error)
            else:
                log.info("tier %s: %s", record.tier, said(record), extra={"offsets": record.offsets})

        self._give(self._audit, f"{record.pipeline}/{record.tier}", record.encode(), delivered)

    def _give(self, topic: str, key: str, value: bytes, delivered: Callable[[Any, Any], None]) -> None:
        try:
            self._producer.produce(topic, value, key.encode(), on_delivery=delivered)
        except BufferError as error:
            delivered(error, None)

    def poll(self) -> None:
        """Hear of deliveries."""
        self._producer.poll(0)

    def flush(self, timeout_s: float) -> None:
        """Wait for the deliveries of all that was given."""
        left = self._producer.flush(timeout_s)
        if left:
            log.error("%d records of rollouts were not delivered before the end", left)


def said(record: AuditRecord) -> str:
    """An audit record in one line."""
    share = f" at {record.share:g} of the keys" if record.share else ""
    reason = f": {record.reason}" if record.reason else ""
    by = f", by {record.by}" if record.by else ""
    return f"{record.event} {record.model}/{record.version}{share}{by}{reason}"
