"""Metrics records for tests of the live page: what a busy process would tell, second by second."""

from pipeline.config.load import load
from pipeline.config.model import PipelineConfig
from pipeline.telemetry.board import Board
from pipeline.wire.metrics import MetricsRecord, merged

BEGAN_MS = 1_700_000_000_000
SPREAD = 60
"""Buckets that each histogram has something in."""


def page_config(*assignments: str) -> PipelineConfig:
    """The shipped fraud pipeline, its page on any free port."""
    return load("fraud", environ={}, assignments=["http.port=0", *assignments]).config


def record_of(number: int, began_ms: int = BEGAN_MS) -> MetricsRecord:
    """The `number`th second: every tier, outcome and histogram has something, which differs from record to record."""
    expired, degraded, scored = number % 3, 10 + number % 7, 2000 + number % 100
    spread = {300 + (number * 7 + step * 3) % 500: 1 + step for step in range(SPREAD)}
    return MetricsRecord(
        pipeline="fraud",
        instance="host-1",
        from_ms=began_ms + number * 1000,
        to_ms=began_ms + number * 1000 + 1000,
        outcomes={"scored": scored, "degraded": degraded, "expired": expired, "dead_letter": 1, "absorbed": 5},
        delivered=scored + degraded + expired + 1,
        dead_letters=1,
        dead_letter_codes={"missing-field": 1},
        deadline_misses=expired + 1,
        late=number % 2,
        lag={f"transactions/{partition}": number % 50 + partition for partition in range(4)},
        batch_rows={1: 5, 64: 3, 200: 1},
        tiers={"primary": scored, "lite": degraded - 2, "rule": 2},
        in_time={"primary": scored - 1, "lite": degraded - 2, "rule": 2},
        overdue={"primary": 1},
        histograms=dict.fromkeys(("queue", "features", "score", "total", "delivery", "age"), spread),
        counts={"read": scored, "held": 1, **billed(number, scored, degraded)},
        levels={"rows_in_flight": float(number % 300), "budget_a_day/EUR": 2.0, "cost_a_day/EUR": 1.3},
    )


def billed(number: int, scored: int, degraded: int) -> dict[str, int]:
    """Half a core: four tenants of unlike size, two models and the rest."""
    sizes = {"shop": 8, "travel-and-tickets-of-all-kinds": 4, "(other)": 2, "(idle)": 1}
    each_us = 30_000 + number % 5 * 100
    tenants = {name: size * each_us for name, size in sizes.items()}
    total_us = sum(tenants.values())
    models = {"fraud-gbt/1/primary": total_us // 3, "fraud-lite/1/lite": total_us // 50, "-/-/rule": 200}
    return {
        "cpu_us/total": total_us,
        "cpu_us/rest": total_us - sum(models.values()),
        **{f"cpu_us/tenant/{name}": us for name, us in tenants.items()},
        **{f"cpu_us/model/{name}": us for name, us in models.items()},
        **{f"decisions/tenant/{name}": size * 140 for name, size in sizes.items() if name != "(idle)"},
        "decisions/label/decline": 7,
        "decisions/label/approve": scored + degraded - 7,
        "model_rows/fraud-gbt/1/primary": scored,
        "model_rows/fraud-lite/1/lite": degraded - 2,
        "model_rows/-/-/rule": 2,
        "energy_mj/source/estimate": total_us * 35 // 10_000,
        "cost_micros/EUR": total_us // 90_000,
    }


class Teller:
    """Tells a board record after record, totals merged as the meter does."""

    def __init__(self, board: Board, began_ms: int = BEGAN_MS) -> None:
        self.board = board
        self.number = 0
        self._began_ms = began_ms
        self._totals: MetricsRecord | None = None

    def tell(self, records: int = 1) -> MetricsRecord:
        """So many more; returns the totals."""
        for _ in range(records):
            record = record_of(self.number, self._began_ms)
            self._totals = record if self._totals is None else merged(self._totals, record)
            self.board.tell(record, self._totals)
            self.number += 1
        assert self._totals is not None
        return self._totals
