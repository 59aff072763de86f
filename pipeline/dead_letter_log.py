"""Dead letters in the log: that there are any of a kind, and where the first is; what they hold only when asked."""

import logging
from collections.abc import Callable, Sequence

from pipeline.clock import NS_PER_MS
from pipeline.intake import Rejected
from pipeline.kafka.messages import record_at, topic_at
from pipeline.telemetry.logs import CONTENTS
from pipeline.telemetry.spell import Spell
from pipeline.wire.dead_letter import DeadRecord

log = logging.getLogger(__name__)
QUIET_NS = 60_000 * NS_PER_MS
"""A kind that comes again after a minute without is told anew."""


class DeadLetterLog:
    """Tells of each code when it begins to come and once a minute while it does.

    The reason that a letter's header has may quote the event, so it is told only with `--log-contents`: then of each
    letter, its key too, as many lines as the log admits.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._spells: dict[str, Spell] = {}

    def rejected(self, found: Sequence[Rejected], offsets: Callable[[int], tuple[int, int]]) -> None:
        """Of the deciding input; `offsets` gives a slot's partition and offset."""
        for item in found:
            if self._due(item.reject.code):
                partition, offset = offsets(item.slot)
                self._tell(item.reject.code, topic_at(item.pointer), partition, offset)
            if CONTENTS.isEnabledFor(logging.WARNING):
                record = record_at(item.pointer)
                _contents(item.reject.code, record.key, record.offset, item.reject.message)

    def of_state(self, records: Sequence[DeadRecord]) -> None:
        """Of inputs that only feed state."""
        for record in records:
            if self._due(record.code):
                self._tell(record.code, record.topic, record.partition, record.offset)
            if CONTENTS.isEnabledFor(logging.WARNING):
                _contents(record.code, record.key, record.offset, record.message)

    def _due(self, code: str) -> bool:
        spell = self._spells.get(code)
        if spell is None:
            spell = self._spells[code] = Spell(QUIET_NS)
        now_ns = self._now_ns()
        spell.over(now_ns)
        return spell.happened(now_ns) is not None

    def _tell(self, code: str, topic: str, partition: int, offset: int) -> None:
        more = {"code": code, "topic": topic, "partition": partition, "offset": offset}
        text = "there are dead letters, %s: %s[%d] offset %d is one; each one's headers say why"
        log.warning(text, code, topic, partition, offset, extra=more)


def _contents(code: str, key: bytes | None, offset: int, message: str) -> None:
    CONTENTS.warning("dead letter, %s, offset %d, key %r: %s", code, offset, key, message)
