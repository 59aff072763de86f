"""What the live page shows of the bill: the last seconds by tier and by tenant, and how much of a budget is used."""

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.bill.prices import Prices
from pipeline.bill.statement import Line, Statement, statement_of
from pipeline.wire.metrics import MetricsRecord

LINES_MAX = 10
"""Of tenants; the dearest since the start."""
BUDGETS = ("a_day", "per_million")


def bill_of(
    recent: Sequence[MetricsRecord], totals: MetricsRecord, prices: Prices, detected: Sequence[str]
) -> dict[str, Any]:
    """Shares of the CPU time, and what a million decisions (of a tier: rows) take; None where nothing was decided."""
    (now,), (ever,) = statement_of(recent, prices, detected), statement_of([totals], prices, detected)
    return {
        "currency": prices.currency if prices.known else None,
        "total": _line(now.total, now),
        "tiers": _alike(ever.tiers, now.tiers, now),
        "tenants": _alike(ever.tenants[:LINES_MAX], now.tenants, now),
        "tenants_more": max(0, len(ever.tenants) - LINES_MAX),
        "energy_w": {name: joules / _span_s(now) for name, joules in now.sources.items()},
        "detected": ever.detected,
        "cost_a_case": ever.cost_a_case,
        "spent": ever.total.money,
        "spared": _spared(ever),
        "budgets": list(_budgets(totals, prices)),
    }


def _span_s(bill: Statement) -> float:
    return max(1, bill.to_ms - bill.from_ms) / 1000


def _line(line: Line, bill: Statement) -> dict[str, Any]:
    whole_s = bill.total.usage.cpu_s
    return {
        "name": line.name,
        "share": line.usage.cpu_s / whole_s if whole_s else 0.0,
        "count": line.count,
        "cpu_s_a_million": line.cpu_s_a_million,
        "money_a_million": line.money_a_million,
    }


def _alike(order: Sequence[Line], lines: Sequence[Line], bill: Statement) -> list[dict[str, Any]]:
    """In the order since the start, which does not change from second to second; those alone that are used now."""
    found = {line.name: line for line in lines}
    return [_line(found[each.name], bill) for each in order if each.name in found]


def _spared(bill: Statement) -> dict[str, float] | None:
    return {"saved_s": bill.saved_s, "lookup_s": bill.lookup_s} if bill.saved_s or bill.lookup_s else None


def _budgets(totals: MetricsRecord, prices: Prices) -> Iterable[dict[str, Any]]:
    for name in BUDGETS:
        allowed = totals.levels.get(f"budget_{name}/{prices.currency}")
        if allowed:
            spent = totals.levels.get(f"cost_{name}/{prices.currency}")
            yield {"name": name, "allowed": allowed, "spent": spent}
