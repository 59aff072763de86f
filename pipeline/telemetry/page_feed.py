"""What the live page is told: one history for all who look, encoded once, and what is new for each."""

import time
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from pipeline.bill.prices import prices_of
from pipeline.config.model import PipelineConfig
from pipeline.telemetry.board import Board, Told
from pipeline.telemetry.latest import LatestDecisions, Sampled
from pipeline.telemetry.meter import HISTOGRAMS
from pipeline.telemetry.page_bill import bill_of
from pipeline.telemetry.page_point import EDGES_US, QUANTILES, SHOWN_OUTCOMES, point_of, quantiles_us, totals_of
from pipeline.telemetry.slo_source import SloSource
from pipeline.wire.metrics import MetricsRecord, added

RECENT_RECORDS = 10
"""How many records the numbers of `recent` are taken from."""
POINTS_IN_A_MESSAGE_MAX = 120
DECISIONS_IN_A_MESSAGE_MAX = 50
DECISION_BYTES_MAX = 4096
"""A longer one is told without its features."""
NO_SLO: dict[str, Any] = {"state": "off", "slos": []}


class News(NamedTuple):
    """What one browser is told next, and up to which point and decision it then knows."""

    body: bytes
    number: int
    decisions_number: int


def facts_of(config: PipelineConfig) -> dict[str, Any]:
    """What of the configuration the page shows; no secrets, no addresses."""
    tiers = [
        {"name": tier.name, "rule": tier.rule}
        if tier.rule
        else {"name": tier.name, "model": tier.model, "version": tier.version, "providers": tier.providers}
        for tier in config.tiers
    ]
    return {
        "pipeline": config.pipeline.name,
        "mode": config.pipeline.mode,
        "budget_ms": config.pipeline.budget_ms,
        "guarantee": config.delivery.guarantee,
        "coalesce": config.pipeline.coalesce,
        "tiers": tiers,
        "labels": config.decide.labels,
        "fallback": config.decide.fallback,
        "sizes": config.engine.buckets,
        "metrics_ms": config.engine.metrics_ms,
        "inputs": [spec.topic for spec in config.inputs.values()],
        "topics": {"decisions": config.topics.decisions, "dead_letters": config.topics.dead_letters},
        "outcomes": SHOWN_OUTCOMES,
        "quantiles": QUANTILES,
        "edges_us": EDGES_US,
    }


class Feed:
    """History and news for the page. For one event loop; what it reads may be written by other threads."""

    def __init__(self, board: Board, config: PipelineConfig, latest: LatestDecisions, slo: SloSource | None) -> None:
        self._board = board
        self._latest = latest
        self._slo = slo
        self._tiers = [tier.name for tier in config.tiers]
        self._sizes = config.engine.buckets
        self._prices, self._detected = prices_of(config.cost), config.cost.detected
        self._facts = msgspec.json.encode(facts_of(config))
        self._points: deque[bytes] = deque(maxlen=board.records_max)
        self._recent: deque[MetricsRecord] = deque(maxlen=RECENT_RECORDS)
        self._summary = b"null"
        self._totals: MetricsRecord | None = None
        self._instance = ""
        self._told_mono_s = time.monotonic()
        self.number = 0
        self.started_ms = time.time_ns() // 1_000_000

    def catch_up(self) -> None:
        """Take in what the board was told since; cheap when there is nothing."""
        self.number, told = self._board.after(self.number)
        if not told:
            return
        for at, each in enumerate(told, self.number - len(told) + 1):
            point = {"number": at, **point_of(each.record, self._tiers, self._sizes)}
            self._points.append(msgspec.json.encode(point))
        self._recent.extend(each.record for each in told[-RECENT_RECORDS:])
        self._instance = told[-1].record.instance
        self._told_mono_s = time.monotonic()
        self._summary = msgspec.json.encode(self._summary_of(told[-1]))

    def _summary_of(self, newest: Told) -> dict[str, Any]:
        recent = list(self._recent)
        span_ms = max(1, sum(record.to_ms - record.from_ms for record in recent))
        counted = [sum(record.outcomes.get(name, 0) for record in recent) for name in SHOWN_OUTCOMES]
        return {
            "recent": {
                "span_ms": span_ms,
                "outcomes": counted,
                "rate_s": sum(counted) * 1000 / span_ms,
                "misses": sum(record.deadline_misses for record in recent),
                "in_time": [sum(record.in_time.get(tier, 0) for record in recent) for tier in self._tiers],
                "overdue": [sum(record.overdue.get(tier, 0) for record in recent) for tier in self._tiers],
                "quantiles_us": {
                    name: quantiles_us(added(record.histograms.get(name, {}) for record in recent))
                    for name in HISTOGRAMS
                },
            },
            "bill": bill_of(recent, newest.totals, self._prices, self._detected),
            "lag": newest.record.lag,
            "totals": totals_of(newest.totals, self._tiers),
        }

    def state(self) -> bytes:
        """Everything, as `/api/state` gives it: the facts, the whole history, the decisions kept."""
        return self._message(list(self._points), self._latest.after(0), b',"facts":' + self._facts)

    def news(self, after: int, decisions_after: int) -> News:
        """What came after these numbers; of a long gap no more than a message may hold, the newest.

        Numbers that are not reached yet are those of an earlier process: then all is new.
        """
        after = after if after <= self.number else 0
        decisions_after = decisions_after if decisions_after <= self._latest.number else 0
        fresh = min(self.number - after, len(self._points), POINTS_IN_A_MESSAGE_MAX)
        points = list(islice(self._points, len(self._points) - fresh, None))
        sampled = self._latest.after(decisions_after)
        seen = sampled[-1].number if sampled else decisions_after
        return News(self._message(points, sampled[-DECISIONS_IN_A_MESSAGE_MAX:], b""), self.number, seen)

    def _message(self, points: list[bytes], sampled: list[Sampled], more: bytes) -> bytes:
        head = {
            "now_ms": time.time_ns() // 1_000_000,
            "started_ms": self.started_ms,
            "silent_s": round(time.monotonic() - self._told_mono_s, 3),
            "instance": self._instance,
            "number": self.number,
            "decisions_number": self._latest.number,
            "slo": NO_SLO if self._slo is None else self._slo.told(),
        }
        decisions = b",".join(_told_decision(each) for each in sampled)
        return b'%s,"summary":%s,"points":[%s],"decisions":[%s]%s}' % (
            msgspec.json.encode(head)[:-1],
            self._summary,
            b",".join(points),
            decisions,
            more,
        )


def _told_decision(sampled: Sampled) -> bytes:
    value: Mapping[str, Any] = msgspec.json.decode(sampled.value)
    if len(sampled.value) > DECISION_BYTES_MAX:
        value = {name: each for name, each in value.items() if name != "features"}
    key = sampled.key.decode(errors="replace")
    return msgspec.json.encode({"number": sampled.number, "at_ms": sampled.at_ms, "key": key, "value": value})
