"""What a fleet's simulated processes add up to: goodput, latencies, tiers, cost. Small, whatever was simulated."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clock import NS_PER_MS
from pipeline.rows import Outcome
from pipeline.sim.trace import NO_TIER, Trace

QUANTILES = (0.5, 0.9, 0.99, 0.999)
TAIL = 1.0 - np.logspace(0.0, -5.0, 200)
"""The quantiles of the curve that is plotted, dense towards the tail."""
MOMENTS = 120
"""Pieces of time in a forecast's history."""
VALUE_GROUPS = 4


@dataclass(frozen=True)
class Forecast:
    """Of the whole load; shares are of all events, latencies those of rows that a model scored, in ms."""

    processes: int
    events: int
    goodput: float
    """Events a second scored by the best tier and delivered inside their deadline."""
    good: float
    """The same as a share."""
    in_time: float
    """The share scored by any tier and delivered inside the deadline."""
    late: float
    """The share scored, but delivered after the deadline."""
    expired: float
    tiers: dict[str, float]
    """The share that each tier scored, in time or not."""
    latency_ms: dict[str, float]
    """By quantile, as "0.99"; empty when nothing was scored."""
    busy: float
    """The busiest process's loop: the share of time it worked."""
    cores: float
    """Cores that loops and sessions keep busy, all processes together."""
    cpu_us: float
    """The same an event."""
    batch_rows: float
    """Rows a run, on average."""
    broken_promises: float
    """The share of runs that took longer than promised."""
    by_value: tuple[dict[str, float], ...]
    """What each quarter of the rows by value got, lowest first: shares of the tiers and `expired`."""
    tail_ms: tuple[float, ...]
    """Latency at the quantiles TAIL."""
    history: dict[str, tuple[float, ...]]
    """Events a second by time of arrival: `arrived`, each tier's name, `expired`; and `at_s`."""

    def as_json(self) -> dict[str, Any]:
        """Without the curves that only a plot needs."""
        return {name: value for name, value in asdict(self).items() if name not in ("tail_ms", "history")}


class _Rows:
    """The rows of all traces end to end, each counted as often as there are processes like its own."""

    def __init__(self, traces: Sequence[tuple[int, Trace]]) -> None:
        self.weight = np.concatenate([np.full(trace.work.rows, float(count)) for count, trace in traces])
        self.tier = np.concatenate([trace.tier for _, trace in traces])
        self.good = np.concatenate([trace.good() for _, trace in traces])
        self.met = np.concatenate([trace.deadline_met() for _, trace in traces])
        self.latency_ms = np.concatenate([trace.latency_ns() for _, trace in traces]) / NS_PER_MS
        self.arrival_ns = np.concatenate([trace.work.arrival_ns for _, trace in traces])
        self.value = np.concatenate([trace.work.value for _, trace in traces])
        self.scored = np.concatenate([trace.outcome != Outcome.EXPIRED for _, trace in traces])

    def share(self, rows: NDArray[np.bool_], among: NDArray[np.bool_] | None = None) -> float:
        whole = self.weight if among is None else self.weight * among
        return float(self.weight @ (rows if among is None else rows & among) / max(whole.sum(), 1e-12))


def summed_up(processes: int, traces: Sequence[tuple[int, Trace]], tiers: Sequence[str], seconds: float) -> Forecast:
    """Sum up a fleet: each trace with the number of processes that are like it, over a load of so many seconds."""
    rows = _Rows(traces)
    events = float(rows.weight.sum())
    good = rows.share(rows.good)
    busy_ns = sum(count * _busy_ns(trace) for count, trace in traces)
    runs = sum(count * len(trace.batches.rows) for count, trace in traces)
    broken = sum(count * len(trace.batches.rows) * trace.batches.broken_promises() for count, trace in traces)
    points = _quantiles(rows, np.array(QUANTILES))
    return Forecast(
        processes=processes,
        events=round(events),
        goodput=good * events / seconds,
        good=good,
        in_time=rows.share(rows.met),
        late=rows.share(rows.scored & ~rows.met),
        expired=rows.share(~rows.scored),
        tiers={name: rows.share(rows.tier == number) for number, name in enumerate(tiers)},
        latency_ms={str(q): float(ms) for q, ms in zip(QUANTILES, points, strict=False)},
        busy=max(trace.loop_busy_ns / _length_ns(trace, seconds) for _, trace in traces),
        cores=sum(count * _busy_ns(trace) / _length_ns(trace, seconds) for count, trace in traces),
        cpu_us=busy_ns / 1000 / max(events, 1),
        batch_rows=rows.share(rows.scored) * events / max(runs, 1),
        broken_promises=broken / max(runs, 1),
        by_value=_by_value(rows, tiers),
        tail_ms=tuple(_quantiles(rows, TAIL).tolist()),
        history=_history(rows, tiers, seconds),
    )


def _length_ns(trace: Trace, seconds: float) -> float:
    """The load's length, or the time until its last row was delivered."""
    return max(seconds * 1e9, float(trace.done_ns.max(initial=0)))


def _busy_ns(trace: Trace) -> int:
    """The loop's time and, where sessions run beside it, theirs."""
    beside = int(trace.batches.took_ns.sum()) if trace.overlapped else 0
    return trace.loop_busy_ns + beside


def _quantiles(rows: _Rows, at: NDArray[np.float64]) -> NDArray[np.float64]:
    scored = rows.latency_ms[rows.scored]
    if not len(scored):
        return np.empty(0)
    found: NDArray[np.float64] = np.quantile(scored, at, weights=rows.weight[rows.scored], method="inverted_cdf")
    return found


def _by_value(rows: _Rows, tiers: Sequence[str]) -> tuple[dict[str, float], ...]:
    """By rank, so that groups are equally large; empty when all rows are of equal value."""
    if not len(rows.value) or rows.value.min() == rows.value.max():
        return ()
    rank = np.empty(len(rows.value), np.int64)
    rank[np.argsort(rows.value, kind="stable")] = np.arange(len(rows.value))
    group = rank * VALUE_GROUPS // len(rows.value)
    return tuple(
        {
            **{name: rows.share(rows.tier == tier, group == number) for tier, name in enumerate(tiers)},
            "expired": rows.share(rows.tier == NO_TIER, group == number),
        }
        for number in range(VALUE_GROUPS)
    )


def _history(rows: _Rows, tiers: Sequence[str], seconds: float) -> dict[str, tuple[float, ...]]:
    length_s = seconds / MOMENTS
    moment = np.minimum(rows.arrival_ns / 1e9 / length_s, MOMENTS - 1).astype(np.int64)

    def rate(which: NDArray[np.bool_]) -> tuple[float, ...]:
        counted = np.bincount(moment[which], rows.weight[which], MOMENTS) / length_s
        return tuple(counted.tolist())

    everything = np.ones(len(moment), np.bool_)
    by_tier = {name: rate(rows.tier == number) for number, name in enumerate(tiers)}
    at_s = tuple(((np.arange(MOMENTS) + 0.5) * length_s).tolist())
    return {"at_s": at_s, "arrived": rate(everything), **by_tier, "expired": rate(rows.tier == NO_TIER)}
