"""The bill of a stretch of time, from metrics records: lines by tenant, model and tier that add up. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.bill.counts import (
    DECISIONS,
    ENERGY,
    LABEL,
    MODEL,
    ROWS,
    SOURCE,
    TENANT,
    below,
    model_of,
    rest_of,
    total_of,
    usages,
)
from pipeline.bill.prices import Prices, Usage, a_million
from pipeline.wire.metrics import MetricsRecord, merged

OUTCOMES = ("scored", "degraded", "expired")
"""Those that are decisions."""
REST_NAME = "(rest)"
_MJ_PER_J = 1_000


@dataclass(frozen=True, slots=True)
class Line:
    """What one of them used, and what that cost; `count` are its decisions (tenants) or rows (models, tiers)."""

    name: str
    usage: Usage
    count: int | None
    money: float | None

    @property
    def cpu_s_a_million(self) -> float | None:
        """CPU seconds for each million of `count`."""
        return a_million(self.usage.cpu_s, self.count or 0)

    @property
    def money_a_million(self) -> float | None:
        """Money for each million of `count`; None without prices."""
        return None if self.money is None else a_million(self.money, self.count or 0)


@dataclass(frozen=True, slots=True)
class Statement:
    """A pipeline's bill of [from_ms, to_ms): `processes` told of it. Each list of lines adds up to `total`.

    Models and tiers hold their runs alone; what else was used is a line of its own there. `sources` are joules by how
    they are known. `labels` are decisions of models and rules by what was decided, `detected` how many of them are
    found cases. `saved_s`, `lookup_s`: what answers given again were expected to take, and what looking took.
    """

    pipeline: str
    from_ms: int
    to_ms: int
    processes: int
    prices: Prices
    total: Line
    tenants: tuple[Line, ...]
    models: tuple[Line, ...]
    tiers: tuple[Line, ...]
    sources: Mapping[str, float]
    labels: Mapping[str, int]
    detected: int
    saved_s: float
    lookup_s: float

    @property
    def cost_a_case(self) -> float | None:
        """What one detected case costs; None without prices or cases."""
        return None if self.total.money is None or not self.detected else self.total.money / self.detected


def statement_of(records: Iterable[MetricsRecord], prices: Prices, detected: Sequence[str]) -> list[Statement]:
    """A bill for each pipeline that the records are of, in the order of their names."""
    whole: dict[str, MetricsRecord] = {}
    processes: dict[str, set[str]] = {}
    for record in records:
        name = record.pipeline
        whole[name] = merged(whole[name], record) if name in whole else record
        processes.setdefault(name, set()).add(record.instance)
    return [_statement(whole[name], len(processes[name]), prices, detected) for name in sorted(whole)]


def _statement(record: MetricsRecord, processes: int, prices: Prices, detected: Sequence[str]) -> Statement:
    counts, decided = record.counts, sum(record.outcomes.get(name, 0) for name in OUTCOMES)

    def line(name: str, usage: Usage, count: int | None) -> Line:
        return Line(name, usage, count, prices.of(usage) if prices.known else None)

    rows, by_model, by_tenant = below(counts, ROWS), usages(counts, MODEL), below(counts, DECISIONS, TENANT)
    tiers: dict[str, Usage] = {}
    tier_rows: dict[str, int] = {}
    for name, usage in by_model.items():
        tier = model_of(name).tier
        tiers[tier] = tiers.get(tier, Usage()) + usage
        tier_rows[tier] = record.tiers.get(tier, tier_rows.get(tier, 0) + rows.get(name, 0))
    rest = line(REST_NAME, rest_of(counts), None)
    labels = below(counts, DECISIONS, LABEL)
    return Statement(
        pipeline=record.pipeline,
        from_ms=record.from_ms,
        to_ms=record.to_ms,
        processes=processes,
        prices=prices,
        total=line("total", total_of(counts), decided),
        tenants=_dearest(line(name, usage, by_tenant.get(name)) for name, usage in usages(counts, TENANT).items()),
        models=(*_dearest(line(name, usage, rows.get(name)) for name, usage in by_model.items()), rest),
        tiers=(*_dearest(line(name, usage, tier_rows[name]) for name, usage in tiers.items()), rest),
        sources={name: mj / _MJ_PER_J for name, mj in below(counts, ENERGY, SOURCE).items()},
        labels=labels,
        detected=sum(labels.get(name, 0) for name in detected),
        saved_s=sum(below(counts, "saved_us").values()) / 1e6,
        lookup_s=sum(below(counts, "lookup_us").values()) / 1e6,
    )


def _dearest(lines: Iterable[Line]) -> tuple[Line, ...]:
    return tuple(sorted(lines, key=lambda each: (-(each.money or 0.0), -each.usage.cpu_s, each.name)))
