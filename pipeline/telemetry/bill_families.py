"""The metrics of the bill and of answers given again; see docs/cost.md and docs/caches.md."""

from collections.abc import Callable

from pipeline.bill.counts import CPU, DECISIONS, ENERGY, GPU, LABEL, MODEL, ROWS, SOURCE, TENANT, below, model_of
from pipeline.bill.prices import MILLION
from pipeline.telemetry.families import US_PER_S, Family, Samples, count, counts_of
from pipeline.wire.metrics import MetricsRecord

MJ_PER_J = 1_000
_MODEL = ("model", "version", "tier")


def _by(*heads: str, divisor: float = 1) -> Callable[[MetricsRecord], Samples]:
    def read(record: MetricsRecord) -> Samples:
        for name, value in below(record.counts, *heads).items():
            yield (name,), value / divisor

    return read


def _by_model(*heads: str, divisor: float = 1) -> Callable[[MetricsRecord], Samples]:
    def read(record: MetricsRecord) -> Samples:
        for name, value in below(record.counts, *heads).items():
            yield tuple(model_of(name)), value / divisor

    return read


def _two_levels(name: str) -> Callable[[MetricsRecord], Samples]:
    """Levels named `name_what/currency`."""

    def read(record: MetricsRecord) -> Samples:
        for key, value in record.levels.items():
            head, _, currency = key.partition("/")
            if head in (f"{name}_a_day", f"{name}_per_million"):
                yield (head.removeprefix(f"{name}_"), currency), value

    return read


BILL_COUNTERS = (
    Family("headrace_cpu_seconds", "seconds", (), "CPU time of the process.", count(f"{CPU}/total", US_PER_S)),
    Family(
        "headrace_tenant_cpu_seconds",
        "seconds",
        ("tenant",),
        "CPU time by tenant; together it is that of the process.",
        _by(CPU, TENANT, divisor=US_PER_S),
    ),
    Family(
        "headrace_model_cpu_seconds",
        "seconds",
        _MODEL,
        "CPU time of the runs of a model version or a rule, by tier.",
        _by_model(CPU, MODEL, divisor=US_PER_S),
    ),
    Family(
        "headrace_tenant_gpu_seconds",
        "seconds",
        ("tenant",),
        "Time of sessions on a GPU, by tenant.",
        _by(GPU, TENANT, divisor=US_PER_S),
    ),
    Family(
        "headrace_model_gpu_seconds",
        "seconds",
        _MODEL,
        "Time of sessions on a GPU, by model version and tier.",
        _by_model(GPU, MODEL, divisor=US_PER_S),
    ),
    Family(
        "headrace_energy_joules",
        "joules",
        ("source",),
        "Energy of the process by how it is known: rapl, nvml or estimate.",
        _by(ENERGY, SOURCE, divisor=MJ_PER_J),
    ),
    Family(
        "headrace_tenant_energy_joules",
        "joules",
        ("tenant",),
        "Energy by tenant.",
        _by(ENERGY, TENANT, divisor=MJ_PER_J),
    ),
    Family(
        "headrace_model_rows", "rows", _MODEL, "Rows that a model version or a rule was run for.", _by_model(ROWS)
    ),
    Family(
        "headrace_tenant_decisions",
        "decisions",
        ("tenant",),
        "Decisions by tenant, whatever their outcome.",
        _by(DECISIONS, TENANT),
    ),
    Family(
        "headrace_decisions",
        "decisions",
        ("decision",),
        "Decisions that a model or a rule made, by what was decided.",
        _by(DECISIONS, LABEL),
    ),
    Family(
        "headrace_cost",
        "currency",
        ("currency",),
        "What the process has cost, by the prices of [cost].",
        counts_of("cost_micros", MILLION),
    ),
    Family(
        "headrace_reuse_rows",
        "rows",
        ("tier",),
        "Rows that an answer given before was looked for (where [reuse] asks for it).",
        counts_of("reuse_rows"),
    ),
    Family(
        "headrace_reuse_spared",
        "rows",
        ("tier",),
        "Those of them that had one: no model was asked.",
        counts_of("reuse_spared"),
    ),
    Family(
        "headrace_reuse_saved_seconds",
        "seconds",
        ("tier",),
        "What these were expected to take, by the tier's cost model.",
        counts_of("saved_us", US_PER_S),
    ),
    Family(
        "headrace_reuse_lookup_seconds",
        "seconds",
        ("tier",),
        "What looking for answers and remembering them took.",
        counts_of("lookup_us", US_PER_S),
    ),
)
BILL_GAUGES = (
    Family(
        "headrace_cost_rate",
        "currency",
        ("per", "currency"),
        "By the last hour, what this process costs a day, and a million of its decisions (where there is a budget).",
        _two_levels("cost"),
    ),
    Family(
        "headrace_cost_budget",
        "currency",
        ("per", "currency"),
        "What all processes of the pipeline may cost a day, and a million decisions (cost.budget_...).",
        _two_levels("budget"),
    ),
)
