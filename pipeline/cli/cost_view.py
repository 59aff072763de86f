"""A bill as tables, as JSON and as CSV."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.bill.statement import Line, Statement

NOTHING = "-"
WIDTH_MIN = 118
MS_PER_S = 1000
_COLUMNS = ("pipeline", "by", "name", "cpu_s", "gpu_s", "energy_j", "count", "money", "cpu_s_a_million", "a_million")


def show(statements: Sequence[Statement]) -> None:
    """Print one after the other."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_MIN)
    for bill in statements:
        console.print(_headline(bill), highlight=False)
        for title, count, lines in _kinds(bill):
            console.print(_table(bill, title, count, lines))
        for text in _sayings(bill):
            console.print(text, highlight=False)


def _kinds(bill: Statement) -> Iterable[tuple[str, str, tuple[Line, ...]]]:
    return ("tenant", "decisions", bill.tenants), ("tier", "rows", bill.tiers), ("model", "rows", bill.models)


def _headline(bill: Statement) -> str:
    span = f"{_time(bill.from_ms)} to {_time(bill.to_ms)}"
    processes = "1 process" if bill.processes == 1 else f"{bill.processes} processes"
    return f"{bill.pipeline}: {span}, {processes}, {bill.total.count:,} decisions"


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / MS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _table(bill: Statement, title: str, count: str, lines: tuple[Line, ...]) -> Table:
    currency = bill.prices.currency
    money = (f"{currency}", f"{currency} a million") if bill.prices.known else ()
    table = Table(title, "CPU s", "share", "GPU s", "J", count, "CPU s a million", *money)
    for column in table.columns[1:]:
        column.justify = "right"
    for each in (*lines, bill.total):
        cells = _cells(each, bill.total)
        table.add_row(*(cells if bill.prices.known else cells[:-2]), style="bold" if each is bill.total else None)
    return table


def _cells(line: Line, total: Line) -> tuple[str, ...]:
    usage = line.usage
    return (
        line.name,
        f"{usage.cpu_s:,.2f}",
        f"{usage.cpu_s / total.usage.cpu_s:.1%}" if total.usage.cpu_s else NOTHING,
        f"{usage.gpu_s:,.2f}" if usage.gpu_s else NOTHING,
        f"{usage.energy_j:,.1f}",
        NOTHING if line.count is None else f"{line.count:,}",
        _number(line.cpu_s_a_million),
        _number(line.money),
        _number(line.money_a_million),
    )


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _sayings(bill: Statement) -> Iterable[str]:
    sources = ", ".join(f"{joules:,.1f} J by {name}" for name, joules in bill.sources.items()) or "none told"
    yield f"energy: {sources}"
    decided = ", ".join(f"{count:,} {name}" for name, count in bill.labels.items())
    if decided:
        yield f"decided: {decided}"
    if bill.cost_a_case is not None:
        yield f"a detected case ({bill.detected:,}): {bill.cost_a_case:.4g} {bill.prices.currency}"
    if bill.saved_s or bill.lookup_s:
        yield f"answers given again spared {bill.saved_s:,.2f} s of runs, looking took {bill.lookup_s:,.2f} s"
    if not bill.prices.known:
        yield "no prices: set cost.cpu_hour, cost.gpu_hour or cost.kwh"


def as_json(statements: Sequence[Statement]) -> str:
    """All of it, seconds and joules, one object a pipeline."""
    return json.dumps([_object(bill) for bill in statements], indent=2)


def _object(bill: Statement) -> dict[str, Any]:
    return {
        "pipeline": bill.pipeline,
        "from_ms": bill.from_ms,
        "to_ms": bill.to_ms,
        "processes": bill.processes,
        "currency": bill.prices.currency if bill.prices.known else None,
        "total": _line(bill.total),
        "tenants": [_line(each) for each in bill.tenants],
        "tiers": [_line(each) for each in bill.tiers],
        "models": [_line(each) for each in bill.models],
        "energy_j_by_source": dict(bill.sources),
        "decisions": dict(bill.labels),
        "detected": bill.detected,
        "cost_a_case": bill.cost_a_case,
        "saved_s": bill.saved_s,
        "lookup_s": bill.lookup_s,
    }


def _line(line: Line) -> dict[str, Any]:
    usage = line.usage
    return {
        "name": line.name,
        "cpu_s": usage.cpu_s,
        "gpu_s": usage.gpu_s,
        "energy_j": usage.energy_j,
        "count": line.count,
        "money": line.money,
        "cpu_s_a_million": line.cpu_s_a_million,
        "a_million": line.money_a_million,
    }


def as_csv(statements: Sequence[Statement]) -> str:
    """A row for each line, `by` saying of what; what is not known is empty."""
    text = io.StringIO()
    table = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    table.writeheader()
    for bill in statements:
        kinds = (*_kinds(bill), ("total", "decisions", (bill.total,)))
        table.writerows(
            {"pipeline": bill.pipeline, "by": by, **_line(each)} for by, _, lines in kinds for each in lines
        )
    return text.getvalue()
