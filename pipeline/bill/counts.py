"""The bill as counts of a metrics record, and read back from them: whole µs and mJ, which add up over a fleet.

`cpu_us/total` is what the operating system says the process used. `cpu_us/tenant/<tenant>` add up to it, and so do
`cpu_us/model/<model>/<version>/<tier>` with `cpu_us/rest`; `gpu_us/...` and `energy_mj/...` are named alike, and
`energy_mj/source/<source>` says how the energy is known. A rule has `-` for its model and version.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.bill.ledger import Ledger, Spent, named
from pipeline.bill.prices import MILLION, Prices, Usage
from pipeline.servings import Servings

CPU, GPU, ENERGY = "cpu_us", "gpu_us", "energy_mj"
DECISIONS, ROWS, COST = "decisions", "model_rows", "cost_micros"
TENANT, MODEL, LABEL, SOURCE = "tenant", "model", "label", "source"
TOTAL, REST = "total", "rest"
HEADS = (CPU, GPU, ENERGY, DECISIONS, ROWS, COST)
"""What names of the bill begin with, up to the first `/`."""
NO_MODEL = "-"
_NS_PER_US, _UJ_PER_MJ = 1_000, 1_000
_US_PER_S, _MJ_PER_J = 1_000_000, 1_000


class ModelName(NamedTuple):
    """One model version in a tier."""

    model: str
    version: str
    tier: str


def told(ledger: Ledger, servings: Servings, tenants: Sequence[str], labels: Sequence[str]) -> dict[str, int]:
    """Running totals by name; what nobody spent is left out."""
    models = {number: _model_of(servings, number) for number in range(1, len(servings) + 1)}
    found = {f"{CPU}/{TOTAL}": ledger.seen_ns // _NS_PER_US}
    for head, spent, unit in (
        (CPU, ledger.cpu_ns, _NS_PER_US),
        (GPU, ledger.gpu_ns, _NS_PER_US),
        (ENERGY, ledger.energy_uj, _UJ_PER_MJ),
    ):
        found.update(_spent(head, spent, tenants, models, unit))
    found.update({f"{ENERGY}/{SOURCE}/{name}": int(uj) // _UJ_PER_MJ for name, uj in ledger.sources_uj.items()})
    found.update({f"{ROWS}/{models[number]}": rows for number, rows in ledger.rows.items()})
    for name, decided in zip(tenants, ledger.decided.tolist(), strict=False):
        if decided:
            key = f"{DECISIONS}/{TENANT}/{name}"
            found[key] = found.get(key, 0) + decided
    found.update({f"{DECISIONS}/{LABEL}/{name}": n for name, n in zip(labels, ledger.labels.tolist(), strict=True)})
    return found


def _model_of(servings: Servings, number: int) -> str:
    label = servings.of(number).label
    return f"{label.model or NO_MODEL}/{label.version or NO_MODEL}/{label.tier}"


def _spent(head: str, spent: Spent, tenants: Sequence[str], models: Mapping[int, str], unit: int) -> dict[str, int]:
    found = {f"{head}/{TENANT}/{name}": int(value) // unit for name, value in named(spent, tenants).items()}
    for number, value in spent.servings.items():
        key = f"{head}/{MODEL}/{models[number]}"
        found[key] = found.get(key, 0) + int(value) // unit
    if spent.rest:
        found[f"{head}/{REST}"] = int(spent.rest) // unit
    return found


def in_micros(prices: Prices, usage: Usage) -> dict[str, int]:
    """The money as a count of millionths; nothing where nothing has a price."""
    return {f"{COST}/{prices.currency}": round(prices.of(usage) * MILLION)} if prices.known else {}


def below(counts: Mapping[str, int], *heads: str) -> dict[str, int]:
    """Counts by what their names have after `head/head/`."""
    start = "/".join(heads) + "/"
    return {name[len(start) :]: value for name, value in counts.items() if name.startswith(start)}


def model_of(name: str) -> ModelName:
    """Read `model/version/tier` back."""
    model, version, tier = name.rsplit("/", 2)
    return ModelName(model, version, tier)


def total_of(counts: Mapping[str, int]) -> Usage:
    """All that was used."""
    return Usage(
        counts.get(f"{CPU}/{TOTAL}", 0) / _US_PER_S,
        sum(below(counts, GPU, TENANT).values()) / _US_PER_S,
        sum(below(counts, ENERGY, SOURCE).values()) / _MJ_PER_J,
    )


def usages(counts: Mapping[str, int], kind: str) -> dict[str, Usage]:
    """What each tenant, or each model, used, by name."""
    cpu, gpu, energy = (below(counts, head, kind) for head in (CPU, GPU, ENERGY))
    return {
        name: Usage(cpu.get(name, 0) / _US_PER_S, gpu.get(name, 0) / _US_PER_S, energy.get(name, 0) / _MJ_PER_J)
        for name in {**cpu, **gpu, **energy}
    }


def rest_of(counts: Mapping[str, int]) -> Usage:
    """What was used beside runs of models and rules."""
    return Usage(
        counts.get(f"{CPU}/{REST}", 0) / _US_PER_S,
        counts.get(f"{GPU}/{REST}", 0) / _US_PER_S,
        counts.get(f"{ENERGY}/{REST}", 0) / _MJ_PER_J,
    )
