"""What a plan takes as given: each tier's cost curve, the loop's own costs and the ways through Kafka.

The file is what `headrace plan --save-curve` writes, and what `bench/sessions` writes is one too: `us_a_row` by
model and rows a run, and, where they are known better than by default, `noise`, `loop_us`, `ways_us`, `ways_sigma`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from pipeline.config.model import PipelineConfig
from pipeline.config.problems import ConfigError, Problem
from pipeline.sim.process import LoopCost, Ways

NS_PER_US = 1000
NOISE = 0.1
"""The spread of a run's time where a file says nothing."""
MEASURED_LOOP = LoopCost(
    turn_ns=60_000,
    read_ns=200_000,
    read_row_ns=2_200,
    batch_ns=30_000,
    publish_ns=150_000,
    decided_row_ns=1_200,
    expired_row_ns=1_100,
)
"""The fraud pipeline's, timed turn by turn at 3,000 and 30,000 events a second on 2 cores of an EPYC."""
MEASURED_WAYS = Ways()
"""Chosen so that two ways with nothing between take what bench/latency measured on one machine."""

Us = Annotated[FiniteFloat, Field(gt=0)]
NotNegative = Annotated[FiniteFloat, Field(ge=0)]
Rows = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class TierCurve:
    """How long runs of one tier take, by their rows, and the spread of the logarithm of that time."""

    ns_by_rows: Mapping[int, float]
    noise: float
    padded: bool = False


@dataclass(frozen=True)
class Costs:
    """All that a plan needs to know of a machine: a curve a tier, best first, and the loop."""

    tiers: tuple[TierCurve | None, ...]
    """None for a rule."""
    loop: LoopCost = MEASURED_LOOP
    ways: Ways = MEASURED_WAYS


class _File(BaseModel):
    # What else a benchmark writes beside the curves (the machine) is no concern of a plan.
    model_config = ConfigDict(frozen=True, extra="ignore")

    us_a_row: dict[str, Annotated[dict[Rows, Us], Field(min_length=1)]]
    noise: Annotated[FiniteFloat, Field(ge=0, le=2)] = NOISE
    loop_us: dict[str, NotNegative] = Field(default_factory=dict)
    ways_us: dict[str, NotNegative] = Field(default_factory=dict)
    ways_sigma: Annotated[FiniteFloat, Field(ge=0, le=2)] = MEASURED_WAYS.sigma


def read_costs(path: Path, config: PipelineConfig) -> Costs:
    """The file's curves of the configured tiers. Raises ConfigError naming the file and what does not fit."""
    try:
        found = _File.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(str(path), [Problem("", f"cannot be read: {error.strerror}")]) from None
    except ValidationError as error:
        raise ConfigError(str(path), [_problem(item) for item in error.errors()]) from None
    names = [_model_of(tier) for tier in config.tiers if tier.model]
    missing = [name for name in names if name not in found.us_a_row]
    if missing:
        text = f"no curve of {', '.join(missing)}; there are {', '.join(found.us_a_row) or 'none'}"
        raise ConfigError(str(path), [Problem("us_a_row", text)])
    tiers = tuple(_curve(found, _model_of(tier), tier) if tier.model else None for tier in config.tiers)
    loop = LoopCost(**_laid_over(path, "loop_us", MEASURED_LOOP, found.loop_us))
    ways = Ways(**_laid_over(path, "ways_us", MEASURED_WAYS, found.ways_us), sigma=found.ways_sigma)
    return Costs(tiers, loop, ways)


def as_file(config: PipelineConfig, costs: Costs) -> dict[str, Any]:
    """What `read_costs` reads back. One noise stands for all tiers: the largest."""
    return {
        "us_a_row": {
            _model_of(tier): {str(rows): ns / rows / NS_PER_US for rows, ns in sorted(curve.ns_by_rows.items())}
            for tier, curve in zip(config.tiers, costs.tiers, strict=True)
            if curve is not None
        },
        "noise": max(curve.noise for curve in costs.tiers if curve is not None),
        "loop_us": _in_us(costs.loop),
        "ways_us": _in_us(costs.ways),
        "ways_sigma": costs.ways.sigma,
    }


def _model_of(tier: Any) -> str:
    return f"{tier.model}/{tier.version}"


def padded(tier: Any) -> bool:
    """Whether the tier's provider runs whole buckets only: all but the CPU's do."""
    return bool(tier.providers[0] != "CPUExecutionProvider")


def _curve(found: _File, name: str, tier: Any) -> TierCurve:
    ns_by_rows = {rows: us * rows * NS_PER_US for rows, us in found.us_a_row[name].items()}
    return TierCurve(ns_by_rows, found.noise, padded(tier))


def _in_us(costs: LoopCost | Ways) -> dict[str, float]:
    names = [field.name for field in fields(costs) if field.name.endswith("_ns")]
    return {name.removesuffix("_ns"): getattr(costs, name) / NS_PER_US for name in names}


def _laid_over(path: Path, table: str, measured: LoopCost | Ways, given_us: Mapping[str, float]) -> dict[str, Any]:
    """The measured costs with the given ones in their place, in ns, as their class takes them."""
    known = _in_us(measured)
    unknown = sorted(set(given_us) - set(known))
    if unknown:
        text = f"unknown key {unknown[0]!r}, expected some of {', '.join(known)}"
        raise ConfigError(str(path), [Problem(table, text)])
    return {f"{name}_ns": round(us * NS_PER_US) for name, us in {**known, **given_us}.items()}


def _problem(item: Any) -> Problem:
    where = ".".join(str(part) for part in item["loc"] if part != "[key]")
    found = "" if item["type"] in ("missing", "json_invalid") else f", found {item['input']!r}"
    return Problem(where, item["msg"][0].lower() + item["msg"][1:] + found)
