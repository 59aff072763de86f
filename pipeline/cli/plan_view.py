"""The tables of `headrace plan`."""

from rich.console import Console
from rich.table import Table

from pipeline.config.load import Loaded
from pipeline.sim.forecast import QUANTILES, Forecast
from pipeline.sim.plan import Planner

NOTHING = "-"
WIDTH_MIN = 118
"""Of a report that goes into a file or a pipe: the table, unbroken."""


def show(loaded: Loaded, planner: Planner, chosen: Forecast | None) -> None:
    """Print what was tried, the chosen number marked, and what rows of low and high value got."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_MIN)
    load, pipeline = planner.load, loaded.config.pipeline
    console.print(
        f"{pipeline.name}: {load.rate:,.0f} events/s, {load.arrivals}, {load.seconds:g} s, seed {load.seed}, "
        f"{load.partitions} partitions, budget {pipeline.budget_ms} ms",
        highlight=False,
    )
    shown = chosen or planner.tried[-1]
    tables = [_outcomes(planner, chosen), _times(planner, chosen), *([_by_value(shown)] if shown.by_value else [])]
    for table in tables:
        for column in table.columns:
            column.justify = "right"
        console.print(table)


def _outcomes(planner: Planner, chosen: Forecast | None) -> Table:
    tiers = list(planner.tried[0].tiers)
    table = Table("processes", "goodput/s", "good", "late", *tiers, "expired", title="how events end, as shares")
    for it in planner.tried:
        shares = (it.good, it.late, *it.tiers.values(), it.expired)
        _add(table, it, chosen, f"{it.goodput:,.0f}", *(share(value) for value in shares))
    return table


def _times(planner: Planner, chosen: Forecast | None) -> Table:
    percentiles = [f"p{q * 100:g} ms" for q in QUANTILES]
    rest = ("busy", "cores", "µs/event", "rows/run", "over promise")
    caption = (
        "ms from timestamp to delivery, scored rows; busy: the busiest loop; over promise: runs that took longer"
    )
    table = Table("processes", *percentiles, *rest, title="latency and cost", caption=caption)
    for it in planner.tried:
        latencies = [f"{it.latency_ms[str(q)]:.1f}" if it.latency_ms else NOTHING for q in QUANTILES]
        costs = (f"{it.busy:.2f}", f"{it.cores:.2f}", f"{it.cpu_us:.1f}", f"{it.batch_rows:.1f}")
        _add(table, it, chosen, *latencies, *costs, share(it.broken_promises))
    return table


def _add(table: Table, it: Forecast, chosen: Forecast | None, *cells: str) -> None:
    marked = it is chosen
    table.add_row(f"{'*' if marked else ''}{it.processes}", *cells, style="bold" if marked else None)


def _by_value(forecast: Forecast) -> Table:
    names = list(forecast.by_value[0])
    table = Table("by value", *names, title=counted(forecast.processes))
    labels = ["lowest quarter", *[""] * (len(forecast.by_value) - 2), "highest quarter"]
    for label, shares in zip(labels, forecast.by_value, strict=True):
        table.add_row(label, *(share(shares[name]) for name in names))
    return table


def counted(processes: int) -> str:
    """The number with its noun."""
    return f"{processes} process" if processes == 1 else f"{processes} processes"


def share(value: float) -> str:
    """A share so that 0.9994 is not shown as 1: four digits, and exact ends."""
    if value in (0.0, 1.0):
        return f"{value:g}"
    return f"{min(max(value, 0.0001), 0.9999):.4f}"
