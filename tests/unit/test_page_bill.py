"""What the page shows of the bill is what the records say, in an order that stays."""

import pytest

from pipeline.bill.prices import Prices
from pipeline.telemetry.page_bill import LINES_MAX, bill_of
from pipeline.wire.metrics import MetricsRecord, merged
from tests.page_records import record_of

PRICES = Prices(cpu_hour=0.04, gpu_hour=0.0, kwh=0.0, currency="EUR")


def test_shares_are_of_the_last_seconds_and_come_to_all() -> None:
    records = [record_of(number) for number in range(20)]
    totals = records[0]
    for record in records[1:]:
        totals = merged(totals, record)
    bill = bill_of(records[-10:], totals, PRICES, ["decline"])
    for lines in ("tiers", "tenants"):
        assert sum(line["share"] for line in bill[lines]) == pytest.approx(1.0, abs=1e-4)
    used_us = sum(record.counts["cpu_us/total"] for record in records[-10:])
    decided = sum(
        sum(record.outcomes[name] for name in ("scored", "degraded", "expired")) for record in records[-10:]
    )
    assert bill["total"]["cpu_s_a_million"] == pytest.approx(used_us / decided)
    assert bill["total"]["money_a_million"] == pytest.approx(used_us / decided * 0.04 / 3600)
    assert [line["name"] for line in bill["tiers"]] == ["primary", "lite", "rule", "(rest)"]
    assert bill["detected"] == 20 * 7
    assert bill["budgets"] == [{"name": "a_day", "allowed": 2.0, "spent": 1.3}]
    assert bill["energy_w"] == {"estimate": pytest.approx(used_us * 35 / 10_000 / 10_000, rel=1e-3)}


def test_tenants_keep_their_order_and_there_is_a_bound() -> None:
    def of(costs_us: dict[str, int]) -> MetricsRecord:
        counts = {f"cpu_us/tenant/{name}": us for name, us in costs_us.items()}
        total = {"cpu_us/total": sum(costs_us.values())}
        return MetricsRecord(pipeline="fraud", instance="a", from_ms=0, to_ms=1000, counts={**counts, **total})

    many = {f"t{number:02}": 1000 - number for number in range(LINES_MAX + 3)}
    now = of({"t01": 5, "t00": 1, "t05": 2})
    bill = bill_of([now], merged(of(many), now), Prices(0.0, 0.0, 0.0, "EUR"), [])
    assert [line["name"] for line in bill["tenants"]] == ["t01", "t00", "t05"]
    assert bill["tenants_more"] == 3
    assert bill["currency"] is bill["spent"] is bill["cost_a_case"] is None


def test_a_process_that_has_done_nothing_has_a_bill() -> None:
    record = MetricsRecord(pipeline="fraud", instance="a", from_ms=0, to_ms=1000)
    bill = bill_of([record], record, PRICES, [])
    assert bill["total"]["cpu_s_a_million"] is None
    assert bill["tenants"] == []
