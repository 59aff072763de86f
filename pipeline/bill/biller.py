"""The bill of a running process: told of rows and runs once a batch, closed once a metrics record."""

import logging
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from features.columns import Columns
from models.session import CUDA
from pipeline.bill import counts
from pipeline.bill.budget import Budget, Crossing
from pipeline.bill.energy import EnergyMeter, Watts
from pipeline.bill.ledger import Ledger
from pipeline.bill.nvml import NoCounterError, Nvml
from pipeline.bill.prices import Prices, prices_of
from pipeline.bill.rapl import MachineCpu, Rapl
from pipeline.bill.savings import Savings
from pipeline.bill.tenants import ALL_NAME, FIRST, Tenants
from pipeline.clock import Instant
from pipeline.config.model import PipelineConfig
from pipeline.rows import Rows
from pipeline.runner import Scored
from pipeline.servings import Servings
from pipeline.tier import ModelTier, Tier

log = logging.getLogger(__name__)
_WORDS = {"a_day": "a day at the last hour's rate", "per_million": "a million decisions in the last hour"}


class Biller:
    """Keeps the ledger of one process. Belongs to the loop's thread; `tenants` is None where no field is named."""

    def __init__(
        self,
        rows: Rows,
        servings: Servings,
        labels: Sequence[str],
        tenants: Tenants | None,
        tenants_max: int,
        prices: Prices,
        budget: Budget,
        energy: EnergyMeter,
        savings: Savings | None = None,
        process_cpu_ns: Callable[[], int] = time.process_time_ns,
    ) -> None:
        self._rows = rows
        self._servings = servings
        self._labels = labels
        self._tenants = tenants
        self._prices = prices
        self._budget = budget
        self._energy = energy
        self._savings = savings
        self._process_cpu_ns = process_cpu_ns
        self._closed_ns = 0
        self.ledger = Ledger(FIRST + tenants_max if tenants is not None else 1, len(labels))

    def begin(self, now_ns: int) -> None:
        """What the process used until now was its start."""
        process_ns = self._process_cpu_ns()
        self.ledger.begin(process_ns, self._energy.read(process_ns, 0.0, 1))
        self._closed_ns = now_ns

    def read(self, columns: Columns, first: int, stop: int) -> None:
        """The events of rows [first, stop) were read."""
        tenant_of = self._rows.tenant
        if self._tenants is not None:
            self._tenants.number(columns, first, stop, tenant_of)
        self.ledger.read(first, stop, tenant_of)

    def ran(self, scored: Scored) -> None:
        """A batch has come back."""
        for run in scored.runs:
            self.ledger.ran(run.serving, run.slots, self._rows.tenant, run.cpu_ns, run.gpu_ns)
        if self._savings is not None:
            self._savings.observe(scored)

    def decided(self, slots: NDArray[np.int32]) -> None:
        """These rows have their decision."""
        rows = self._rows
        self.ledger.given(slots, rows.tenant, rows.outcome, rows.decision)

    def counts(self, now: Instant) -> dict[str, int]:
        """End an interval; running totals by name, see `pipeline.bill.counts`."""
        ledger, process_ns = self.ledger, self._process_cpu_ns()
        joules = self._energy.read(*ledger.used(process_ns), now.mono_ns - self._closed_ns)
        self._closed_ns = now.mono_ns
        ledger.close(process_ns, joules)
        names = self._tenants.names() if self._tenants is not None else [ALL_NAME]
        found = counts.told(ledger, self._servings, names, self._labels)
        if self._savings is not None:
            found.update(self._savings.counts())
        if not self._prices.known:
            return found
        usage = counts.total_of(found)
        for crossing in self._budget.observe(now.wall_ms, self._prices.of(usage), int(ledger.decided.sum())):
            self._tell(crossing)
        return {**found, **counts.in_micros(self._prices, usage)}

    def _tell(self, crossing: Crossing) -> None:
        what, name, currency = _WORDS[crossing.budget], f"cost.budget_{crossing.budget}", self._prices.currency
        if crossing.over:
            text = "this process alone costs %s %s %s, above %s of all: %s"
            log.warning(text, f"{crossing.spent:.4g}", currency, what, name, f"{crossing.allowed:g}")
        else:
            log.info("this process costs %s %s %s, below %s again", f"{crossing.spent:.4g}", currency, what, name)

    def levels(self) -> dict[str, float]:
        """What this process costs by the last hour, and what all may, where there are budgets."""
        if not self._prices.known:
            return {}
        currency = self._prices.currency
        spent = {f"cost_{name}/{currency}": value for name, value in self._budget.spent.items()}
        return {**spent, **{f"budget_{name}/{currency}": value for name, value in self._budget.allowed.items()}}


def biller_of(config: PipelineConfig, rows: Rows, tiers: Sequence[Tier], servings: Servings) -> Biller:
    """The bill that a configuration asks for, with what counters of energy there are; which is told in the log."""
    cost = config.cost
    tenants = Tenants(config.catalog.decided.schema_, cost.tenant, cost.tenants_max) if cost.tenant else None
    on_gpu = any(isinstance(tier, ModelTier) and tier.label.provider == CUDA for tier in tiers)
    return Biller(
        rows,
        servings,
        config.decide.labels,
        tenants,
        cost.tenants_max,
        prices_of(cost),
        Budget(cost.budget_a_day, cost.budget_per_million),
        energy_meter(Watts(cost.watts_a_core, cost.watts_a_gpu), on_gpu=on_gpu),
        Savings(tiers) if config.reuse.exact_rows or config.reuse.near_bits >= 0 else None,
    )


def energy_meter(watts: Watts, *, on_gpu: bool) -> EnergyMeter:
    """What can be read on this machine; what cannot is estimated, and said so."""
    package = machine = device = None
    try:
        package, machine = Rapl(), MachineCpu()
        log.info("energy of CPUs is read from the processor's counters (RAPL)")
    except (OSError, ValueError) as error:
        log.info("energy of CPUs is estimated, %s W a busy core: %s", watts.core, error)
    if on_gpu:
        try:
            device = Nvml()
            log.info("energy of the GPU is read from its counter (NVML)")
        except NoCounterError as error:
            log.info("energy of the GPU is estimated, %s W while a session runs: %s", watts.gpu, error)
    return EnergyMeter(watts, package, machine, device)
