"""What whoever is on call wants to read of the load: when events began to be degraded or expired, when it ended."""

import logging

from pipeline.clock import NS_PER_MS
from pipeline.telemetry.histogram import Histogram
from pipeline.telemetry.meter import UNDELIVERABLE
from pipeline.telemetry.spell import Spell
from pipeline.wire.metrics import MetricsRecord

log = logging.getLogger(__name__)
FULL = 0.75
"""Reading that was stopped goes on when a quarter of the rows is free."""


class OnCall:
    """A sink of metrics records that tells changes of state, each once, with the figures that say why."""

    def __init__(self, budget_ms: int, rows_max: int) -> None:
        self._budget_ms = budget_ms
        self._rows_max = rows_max
        self._degraded, self._expired, self._held, self._buried = Spell(), Spell(), Spell(), Spell()

    def tell(self, record: MetricsRecord, _totals: MetricsRecord) -> None:
        """Look at one record; call with each."""
        now_ns = record.to_ms * NS_PER_MS
        asked = sum(count for name, count in record.outcomes.items() if name not in ("absorbed", "dead_letter"))
        for name, spell in (("degraded", self._degraded), ("expired", self._expired)):
            count = record.outcomes.get(name, 0)
            if count and (told := spell.happened(now_ns, count)) is not None:
                since = f", {told.count} events in {told.lasted_s:.0f} s" if told.lasted_s else ""
                text = "events are %s%s: %d of the last %d, %s"
                log.warning(text, name, since, count, asked, self._why(name, record), extra=self._figures(record))
            if not count and (told := spell.over(now_ns)) is not None:
                log.info("events are %s no more: %d events in %.0f s", name, told.count, told.lasted_s)
        self._pressure(record, now_ns)
        self._burials(record.dead_letter_codes.get(UNDELIVERABLE, 0), now_ns)

    def _pressure(self, record: MetricsRecord, now_ns: int) -> None:
        in_flight = record.levels.get("rows_in_flight", 0)
        stopped = record.counts.get("held", 0)
        if stopped or (self._held.on and in_flight >= FULL * self._rows_max):
            if (told := self._held.happened(now_ns, stopped)) is not None:
                since = f" for {told.lasted_s:.0f} s" if told.lasted_s else ""
                text = "back-pressure%s: reading waits for room, %d of %d rows are in flight, lag %d"
                log.warning(text, since, in_flight, self._rows_max, _lag(record), extra=self._figures(record))
        elif (told := self._held.over(now_ns)) is not None:
            log.info("no back-pressure any more, after %.0f s; reading stopped %d times", told.lasted_s, told.count)

    def _burials(self, count: int, now_ns: int) -> None:
        if count and (told := self._buried.happened(now_ns, count)) is not None:
            log.error("decisions can never be delivered: %d became dead letters in %.0f s", told.count, told.lasted_s)
        if not count:
            self._buried.over(now_ns)

    def _why(self, name: str, record: MetricsRecord) -> str:
        tiers = ", ".join(f"{name} {count}" for name, count in record.tiers.items() if count) or "none"
        figures = self._figures(record)
        reason = "no tier could" if name == "expired" else "the best tier could not"
        return (
            f"since {reason} answer in time (answered by {tiers}); {figures['rows_pending']} rows wait, "
            f"lag {figures['lag']}, p99 in the queue {figures['queue_p99_ms']} ms, of a run "
            f"{figures['score_p99_ms']} ms, of the age {figures['age_p99_ms']} ms; the budget is {self._budget_ms} ms"
        )

    def _figures(self, record: MetricsRecord) -> dict[str, float]:
        p99 = {f"{name}_p99_ms": _p99_ms(record, name) for name in ("queue", "score", "age")}
        return {**p99, "rows_pending": round(record.levels.get("rows_pending", 0)), "lag": _lag(record)}


def _lag(record: MetricsRecord) -> int:
    return sum(record.lag.values())


def _p99_ms(record: MetricsRecord, name: str) -> float:
    found = Histogram.of(record.histograms.get(name, {})).quantile(0.99)
    return 0.0 if found is None else round(found / 1000, 1)
