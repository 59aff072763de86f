"""The drawing of `headrace plan`; needs matplotlib, the extra `plot`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from pipeline.cli.plan_view import counted
from pipeline.sim.forecast import TAIL, Forecast

mpl.use("Agg")
COLOURS = ("#2f6fb0", "#6aa56e", "#c9a227", "#8e6bb3")
EXPIRED, DEADLINE = "#c0504d", "#9aa5b1"


def formats() -> list[str]:
    """The endings that a plot's name may have."""
    return sorted(Figure().canvas.get_supported_filetypes())


def draw(path: Path, tried: Sequence[Forecast], chosen: Forecast, budget_ms: int, slo: float) -> None:
    """Four views: latencies of the chosen, goodput and tiers by number of processes, outcomes over time."""
    figure = Figure(figsize=(11.0, 7.5))
    axes = figure.subplots(2, 2)
    _latency(axes[0][0], chosen, budget_ms)
    _goodput(axes[0][1], tried, slo)
    _tiers(axes[1][0], tried)
    _history(axes[1][1], chosen)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _latency(axis: Any, chosen: Forecast, budget_ms: int) -> None:
    if chosen.tail_ms:
        axis.loglog(chosen.tail_ms, 1 - TAIL, color=COLOURS[0])
    axis.axvline(budget_ms, color=DEADLINE, linestyle="--", label="budget")
    axis.set(xlabel="ms from timestamp to delivery", ylabel="share of scored rows above")
    axis.set_title(f"latency, {counted(chosen.processes)}")
    axis.legend()


def _goodput(axis: Any, tried: Sequence[Forecast], slo: float) -> None:
    processes = [it.processes for it in tried]
    best, *lower = tried[0].tiers
    axis.plot(processes, [it.goodput for it in tried], "o-", color=COLOURS[0], label=f"by {best}, in time")
    if lower:
        by_any = [it.in_time * it.events / _seconds(it) for it in tried]
        axis.plot(processes, by_any, "s--", color=COLOURS[1], label="by any tier, in time")
    axis.axhline(slo * tried[0].events / _seconds(tried[0]), color=DEADLINE, linestyle="--", label="SLO")
    axis.set(xlabel="processes", ylabel="events a second", title="goodput")
    axis.set_ylim(bottom=0)
    axis.legend()


def _tiers(axis: Any, tried: Sequence[Forecast]) -> None:
    places = np.arange(len(tried))
    below = np.zeros(len(tried))
    names = [*tried[0].tiers, "expired"]
    for number, name in enumerate(names):
        shares = np.array([it.tiers.get(name, it.expired) for it in tried])
        axis.bar(places, shares, bottom=below, label=name, color=_colour(number, names))
        below += shares
    axis.set_xticks(places, [str(it.processes) for it in tried])
    axis.set(xlabel="processes", ylabel="share of events", title="how events ended")
    axis.legend()


def _history(axis: Any, chosen: Forecast) -> None:
    at_s = chosen.history["at_s"]
    names = [*chosen.tiers, "expired"]
    axis.stackplot(
        at_s,
        *(chosen.history[name] for name in names),
        labels=names,
        colors=[_colour(number, names) for number in range(len(names))],
    )
    axis.set(
        xlabel="s, by arrival", ylabel="events a second", title=f"outcomes over time, {counted(chosen.processes)}"
    )
    axis.legend(loc="upper left")


def _colour(number: int, names: Sequence[str]) -> str:
    return EXPIRED if number == len(names) - 1 else COLOURS[number % len(COLOURS)]


def _seconds(forecast: Forecast) -> float:
    at_s = forecast.history["at_s"]
    return at_s[0] + at_s[-1]
