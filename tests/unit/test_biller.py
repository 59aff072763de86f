"""What a process tells of its bill: counts that only rise, budgets once, energy by the source that is named."""

import logging

import numpy as np
import pytest

from features.columns import Columns
from features.schema import NUMBER, EventField, Schema
from pipeline.bill.biller import Biller
from pipeline.bill.budget import Budget
from pipeline.bill.counts import below, model_of, total_of
from pipeline.bill.energy import EnergyMeter, Watts
from pipeline.bill.prices import Prices
from pipeline.bill.tenants import Tenants
from pipeline.clock import Instant
from pipeline.models_run import DeviceSession, ModelRun
from pipeline.rows import Outcome, Rows
from pipeline.runner import Scored
from pipeline.servings import Servings, TierLabel

SCHEMA = Schema(fields={"shop": EventField(type="int")})
SERVINGS = Servings.of_ladder(
    [(TierLabel("primary", "gbt", "2", "CPU"), (0.5,)), (TierLabel("rule", None, None, None), (0.5,))]
)
MIN_MS = 60_000
S = 1_000_000_000


class Process:
    """A biller over eight rows of two shops; its CPU time is what the test says."""

    def __init__(self, prices: Prices, budget: Budget, *, tenants: bool = True) -> None:
        self.cpu_ns, self.now_ms = 2 * S, 0
        self.rows, self.columns = Rows(8, 1), Columns(SCHEMA, 8)
        self.columns.value[0], self.columns.length[0] = [7, 7, 7, 7, 7, 7, 8, 8], NUMBER
        self.rows.outcome[:] = Outcome.SCORED
        named = Tenants(SCHEMA, "shop", 4) if tenants else None
        energy = EnergyMeter(Watts(4.0, 100.0), None, None, None)
        labels = ("good", "bad")
        self.biller = Biller(
            self.rows, SERVINGS, labels, named, 4, prices, budget, energy, process_cpu_ns=lambda: self.cpu_ns
        )
        self.biller.begin(0)

    def minute(self, used_ns: int, gpu_ns: int = 0) -> dict[str, int]:
        """All rows read, run and decided once."""
        slots = np.arange(8, dtype=np.int32)
        self.biller.read(self.columns, 0, 8)
        runs = (ModelRun(1, slots[:4], used_ns // 4, gpu_ns), ModelRun(2, slots[4:], used_ns // 4, 0))
        self.biller.ran(Scored(None, slots, [], 0, 0, 0, runs))  # type: ignore[arg-type]
        self.biller.decided(slots)
        self.cpu_ns += used_ns
        self.now_ms += MIN_MS
        return self.biller.counts(Instant(self.now_ms * 1_000_000, self.now_ms))


def test_what_is_told_after_a_minute() -> None:
    process = Process(Prices(36.0, 0.0, 0.0, "EUR"), Budget(0.0, 0.0))
    counts = process.minute(1 * S)
    assert below(counts, "cpu_us", "tenant") == {"7": 750_000, "8": 250_000, "(start)": 2_000_000}
    assert below(counts, "cpu_us", "model") == {"gbt/2/primary": 250_000, "-/-/rule": 250_000}
    assert (counts["cpu_us/rest"], counts["cpu_us/total"]) == (2_500_000, 3_000_000)
    assert below(counts, "decisions", "tenant") == {"7": 6, "8": 2}
    assert below(counts, "decisions", "label") == {"good": 8, "bad": 0}
    assert below(counts, "model_rows") == {"gbt/2/primary": 4, "-/-/rule": 4}
    assert below(counts, "energy_mj", "source") == {"estimate": 12_000}
    assert counts["cost_micros/EUR"] == 30_000
    assert model_of("-/-/rule") == ("-", "-", "rule")


def test_counts_only_rise() -> None:
    process, before = Process(Prices(36.0, 0.0, 0.0, "EUR"), Budget(0.0, 0.0)), dict[str, int]()
    for used_ns in (S, 0, 3 * S, 7):
        counts = process.minute(used_ns)
        assert all(counts[name] >= value for name, value in before.items())
        before = counts


def test_a_gpu_is_told_where_there_is_one() -> None:
    counts = Process(Prices(0.0, 3600.0, 0.0, "EUR"), Budget(0.0, 0.0), tenants=False).minute(S, gpu_ns=S // 2)
    assert below(counts, "gpu_us", "tenant") == {"(all)": 500_000}
    assert below(counts, "gpu_us", "model") == {"gbt/2/primary": 500_000}
    assert below(counts, "energy_mj", "source") == {"estimate": 62_000}
    assert counts["cost_micros/EUR"] == 500_000
    assert total_of(counts).gpu_s == 0.5


def test_a_device_session_is_timed() -> None:
    class Slow:
        def run(self, rows: np.ndarray, out: np.ndarray) -> None:
            out[:] = 1

    ticks = iter((100, 350, 400, 500))
    session, out = DeviceSession(Slow(), lambda: next(ticks)), np.zeros(1, np.float32)
    session.run(np.zeros((1, 1), np.float32), out)
    session.run(np.zeros((1, 1), np.float32), out)
    assert (session.take_ns(), session.take_ns(), out[0]) == (350, 0, 1)


def test_a_budget_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    process = Process(Prices(36.0, 0.0, 0.0, "EUR"), Budget(20.0, 0.0))
    assert process.biller.levels() == {"budget_a_day/EUR": 20.0}
    with caplog.at_level(logging.INFO, "pipeline.bill.biller"):
        for used_ns in (*[2 * S] * 20, *[0] * 60):
            process.minute(used_ns)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert caplog.messages[0].startswith("this process alone costs 28.8 EUR a day at the last hour's rate, above")
    assert process.biller.levels()["cost_a_day/EUR"] == pytest.approx(0.0)


def test_without_prices_there_is_no_money() -> None:
    process = Process(Prices(0.0, 0.0, 0.0, "EUR"), Budget(0.0, 0.0))
    assert not below(process.minute(S), "cost_micros")
    assert process.biller.levels() == {}
