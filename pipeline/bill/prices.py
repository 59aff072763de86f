"""From CPU hours, GPU hours and kilowatt-hours to money. Pure."""

from dataclasses import dataclass

from pipeline.config.cost_section import CostSection

S_PER_HOUR = 3600
J_PER_KWH = 3_600_000
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used: CPU seconds, GPU seconds, joules."""

    cpu_s: float = 0.0
    gpu_s: float = 0.0
    energy_j: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(self.cpu_s + other.cpu_s, self.gpu_s + other.gpu_s, self.energy_j + other.energy_j)

    def times(self, share: float) -> "Usage":
        """A part of it, or a multiple."""
        return Usage(self.cpu_s * share, self.gpu_s * share, self.energy_j * share)


@dataclass(frozen=True, slots=True)
class Prices:
    """What is paid for each, in `currency`; 0 is free."""

    cpu_hour: float
    gpu_hour: float
    kwh: float
    currency: str

    @property
    def known(self) -> bool:
        """Whether anything has a price; else there is no money to speak of."""
        return bool(self.cpu_hour or self.gpu_hour or self.kwh)

    def of(self, usage: Usage) -> float:
        """Its cost."""
        hours = usage.cpu_s * self.cpu_hour + usage.gpu_s * self.gpu_hour
        return hours / S_PER_HOUR + usage.energy_j * self.kwh / J_PER_KWH


def prices_of(cost: CostSection) -> Prices:
    """Those of a configuration."""
    return Prices(cost.cpu_hour, cost.gpu_hour, cost.kwh, cost.currency)


def a_million(amount: float, count: int) -> float | None:
    """An amount for each million of a count; None where nothing was counted."""
    return amount * MILLION / count if count else None
