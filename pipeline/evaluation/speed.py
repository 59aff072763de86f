"""Latency, goodput and cost from the rounds: pooled figures, and intervals over whole rounds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.replayed import Decided
from pipeline.evaluation.report import Figure, told
from pipeline.evaluation.rounds import Round
from pipeline.evaluation.statistics import Direction, Statistic, over_rounds, verdict
from pipeline.telemetry.histogram import Histogram, middle_of
from pipeline.wire.metrics import added

QUANTILES = (0.5, 0.99)
S_AN_HOUR = 3600
TAIL_POINTS = 120


@dataclass(frozen=True)
class Played:
    """One side's rounds as arrays; `best` is the name of its first tier."""

    rounds: Sequence[Round]
    best: str

    @cached_property
    def sent(self) -> NDArray[np.float64]:
        """Events of each round."""
        return np.array([one.sent for one in self.rounds], np.float64)

    @cached_property
    def cpu_s(self) -> NDArray[np.float64]:
        """The process's CPU time in each round, all threads."""
        return np.array([one.cpu_s for one in self.rounds])

    @cached_property
    def good(self) -> NDArray[np.float64]:
        """Rows of each round that the best tier scored and that were delivered inside their deadline."""
        return np.array([one.record.in_time.get(self.best, 0) for one in self.rounds], np.float64)

    def ended(self, outcome: str) -> NDArray[np.float64]:
        """Rows of each round with this outcome."""
        return np.array([one.record.outcomes.get(outcome, 0) for one in self.rounds], np.float64)

    def histograms(self, name: str) -> NDArray[np.int64]:
        """int64[rounds, buckets]."""
        return np.stack([Histogram.of(one.record.histograms.get(name, {})).counts for one in self.rounds])


def figures(a: Played, b: Played, round_s: float, cpu_hour: float, currency: str) -> list[Figure]:
    """Everything about how the sides ran; ratios of B to A where the unit is one of time, money or rate."""
    rounds, per_us = len(a.rounds), cpu_hour / S_AN_HOUR
    made = [
        _ratio("cpu_us", "cost", "CPU a decision", "µs", "lower", _cpu_us(a), _cpu_us(b), rounds),
        _ratio(
            "cost",
            "cost",
            "a million decisions",
            currency,
            "lower",
            lambda kept: _cpu_us(a)(kept) * per_us,
            lambda kept: _cpu_us(b)(kept) * per_us,
            rounds,
        ),
    ]
    for histogram, title in (("age", "timestamp to delivery"), ("total", "arrival to hand-over")):
        for quantile in QUANTILES:
            of_a, of_b = (_quantile_ms(side, histogram, quantile) for side in (a, b))
            percent = f"p{quantile * 100:g}"
            made.append(
                _ratio(
                    f"{histogram}_{percent}_ms", "latency", f"{title}, {percent}", "ms", "lower", of_a, of_b, rounds
                )
            )
    rate_a, rate_b = (_rate(side.good, round_s) for side in (a, b))
    made.append(_ratio("goodput", "goodput", "goodput", "1/s", "higher", rate_a, rate_b, rounds))
    shares: list[tuple[str, str, Direction, Callable[[Played], NDArray[np.float64]]]] = [
        ("good", "scored by the best tier in time", "higher", lambda side: side.good),
        ("degraded", "degraded", "lower", lambda side: side.ended("degraded")),
        ("expired", "expired", "lower", lambda side: side.ended("expired")),
    ]
    for name, title, better, rows in shares:
        of_a, of_b = (_share(rows(side), side.sent) for side in (a, b))
        made.append(_difference(name, "goodput", title, better, of_a, of_b, rounds))
    return made


def full_batches(a: Decided, b: Decided, cpu_hour: float, currency: str) -> list[Figure]:
    """CPU and cost of a decision in the replays, where batches are as full as they get."""
    cpu_a, cpu_b = (np.array(one.cpu_s) / max(one.events, 1) * 1e6 for one in (a, b))
    replays, per_us = len(cpu_a), cpu_hour / S_AN_HOUR
    made = []
    for name, title, unit, by in (
        ("full_cpu_us", "CPU a decision, full batches", "µs", 1.0),
        ("full_cost", "a million decisions, full batches", currency, per_us),
    ):
        of_a, of_b = _mean(cpu_a * by), _mean(cpu_b * by)
        made.append(_ratio(name, "cost", title, unit, "lower", of_a, of_b, replays))
    return made


def tail_ms(side: Played, histogram: str) -> list[tuple[float, float]]:
    """(ms, share of rows above) of all rounds together, few enough to draw."""
    counts = side.histograms(histogram).sum(axis=0)
    total = int(counts.sum())
    if not total:
        return []
    filled = np.flatnonzero(counts)
    above = 1 - np.cumsum(counts[filled]) / total
    keep = np.unique(np.linspace(0, len(filled) - 1, TAIL_POINTS).astype(int))
    return [(middle_of(int(filled[at])) / 1000, float(above[at])) for at in keep if above[at] > 0]


def outcomes(side: Played) -> dict[str, int]:
    """How all events of the rounds ended."""
    summed = added(one.record.outcomes for one in side.rounds)
    return {name: summed.get(name, 0) for name in ("scored", "degraded", "expired", "dead_letter")}


def by_tier(side: Played) -> dict[str, int]:
    """Rows that each tier scored."""
    return added(one.record.tiers for one in side.rounds)


def round_cpu_us(side: Played) -> list[float]:
    """CPU a decision of each round."""
    return [float(cpu_s / sent * 1e6) for cpu_s, sent in zip(side.cpu_s, side.sent, strict=True)]


def _cpu_us(side: Played) -> Statistic:
    return lambda kept: float(kept @ side.cpu_s / (kept @ side.sent) * 1e6)


def _mean(values: NDArray[np.float64]) -> Statistic:
    return lambda kept: float(kept @ values / kept.sum())


def _rate(rows: NDArray[np.float64], round_s: float) -> Statistic:
    return lambda kept: float(kept @ rows / (kept.sum() * round_s))


def _share(rows: NDArray[np.float64], of: NDArray[np.float64]) -> Statistic:
    return lambda kept: float(kept @ rows / (kept @ of))


def _quantile_ms(side: Played, histogram: str, quantile: float) -> Statistic:
    every = side.histograms(histogram)
    used = np.flatnonzero(every.any(axis=0))
    counts = every[:, used]

    def found(kept: NDArray[np.int64]) -> float:
        pooled = np.cumsum(kept @ counts)
        if not len(used) or not pooled[-1]:
            return np.nan
        return middle_of(int(used[np.searchsorted(pooled, max(1, np.ceil(quantile * pooled[-1])))])) / 1000

    return found


def _ratio(
    name: str, group: str, title: str, unit: str, better: Direction, a: Statistic, b: Statistic, rounds: int
) -> Figure:
    def log_ratio(kept: NDArray[np.int64]) -> float:
        of_a, of_b = a(kept), b(kept)
        return float(np.log(of_b / of_a)) if of_a > 0 and of_b > 0 else np.nan

    interval = over_rounds(log_ratio, rounds)
    change = interval.mapped(lambda value: float(np.expm1(value)))
    every = np.ones(rounds, np.int64)
    return Figure(
        name=name,
        group=group,
        title=title,
        unit=unit,
        a=told(a(every)),
        b=told(b(every)),
        change=told(change.value),
        low=told(change.low),
        high=told(change.high),
        relative=True,
        better=better,
        verdict=verdict(interval, better),
    )


def _difference(
    name: str, group: str, title: str, better: Direction, a: Statistic, b: Statistic, rounds: int
) -> Figure:
    interval = over_rounds(lambda kept: b(kept) - a(kept), rounds)
    every = np.ones(rounds, np.int64)
    return Figure(
        name=name,
        group=group,
        title=title,
        unit="share",
        a=told(a(every)),
        b=told(b(every)),
        change=told(interval.value),
        low=told(interval.low),
        high=told(interval.high),
        relative=False,
        better=better,
        verdict=verdict(interval, better),
    )
