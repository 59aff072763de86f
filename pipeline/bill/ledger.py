"""Who pays for a process's CPU time: runs of models to the rows of their batches, the rest to all rows. Pure.

The rules, held by tests/laws/test_ledger.py:
- A run's CPU time is shared alike by the rows of its batch, those that turned out to be no event too.
- What else the process used in an interval (its loop, Kafka's threads, telemetry) is shared by the rows that were
  read and the rows that were decided in it, each of the two counting once.
- Of an interval with neither, it goes to `(idle)`. What was used before `begin` goes to `(start)`.
- A run that began in an earlier interval is charged in the one that it ends in. What that interval did not use itself
  is taken off the rest of the next ones. So all tenants together have what the process used, and at most the runs
  that are in flight differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from pipeline.rows import Outcome

IDLE_NAME, START_NAME = "(idle)", "(start)"
_SCORED, _DEGRADED = int(Outcome.SCORED), int(Outcome.DEGRADED)


@kernel("void(int32[::1], int16[::1], float64, float64, float64[:, ::1])")
def _share_run(slots: Any, tenant_of: Any, cpu_ns: float, gpu_ns: float, run_ns: Any) -> None:
    cpu_each, gpu_each = cpu_ns / len(slots), gpu_ns / len(slots)
    for index in range(len(slots)):
        tenant = tenant_of[slots[index]]
        run_ns[0, tenant] += cpu_each
        run_ns[1, tenant] += gpu_each


@kernel("void(int64, int64, int16[::1], int64[::1])")
def _count_read(first: int, stop: int, tenant_of: Any, touched: Any) -> None:
    for row in range(first, stop):
        touched[tenant_of[row]] += 1


@kernel("void(int32[::1], int16[::1], int8[::1], int8[::1], int64[::1], int64[::1], int64[::1])")
def _count_decided(
    slots: Any, tenant_of: Any, outcome: Any, decision: Any, touched: Any, decided: Any, labels: Any
) -> None:
    for index in range(len(slots)):
        slot = slots[index]
        tenant = tenant_of[slot]
        touched[tenant] += 1
        decided[tenant] += 1
        if outcome[slot] == _SCORED or outcome[slot] == _DEGRADED:
            labels[decision[slot]] += 1


@dataclass(frozen=True, slots=True)
class Joules:
    """What an interval took, in µJ, and how that is known."""

    cpu_uj: float
    gpu_uj: float
    cpu_source: str
    gpu_source: str


@dataclass(frozen=True)
class Spent:
    """One kind of thing that was spent: by tenant's number (two more: idle, start), by serving's number, the rest."""

    tenants: NDArray[np.float64]
    servings: dict[int, float]
    rest: float

    @property
    def total(self) -> float:
        """Of all tenants."""
        return float(self.tenants.sum())


class _Account:
    """What was spent of one thing so far."""

    def __init__(self, tenants: int) -> None:
        self.tenants: NDArray[np.float64] = np.zeros(tenants + 2, np.float64)
        self.servings: dict[int, float] = {}
        self.rest = 0.0

    def add(self, tenants: NDArray[np.float64], servings: Mapping[int, float], rest: float) -> None:
        self.tenants += tenants
        for number, value in servings.items():
            self.servings[number] = self.servings.get(number, 0.0) + value
        self.rest += rest

    def spread(self, amount: float, tenants: NDArray[np.float64], servings: Mapping[int, float], rest: float) -> None:
        """Add an amount, in proportion to what was spent of another thing; idle where nothing was."""
        whole = float(tenants.sum())
        if whole > 0:
            share = amount / whole
            self.add(tenants * share, {number: ns * share for number, ns in servings.items()}, rest * share)
        elif amount:
            self.tenants[-2] += amount
            self.rest += amount

    def told(self) -> Spent:
        return Spent(self.tenants.copy(), dict(self.servings), self.rest)


class Ledger:
    """What a process spent so far. One thread at a time; rows are those of one `Rows`, all times ns.

    `tenants` is how many numbers there may be, `labels` how many decisions.
    """

    def __init__(self, tenants: int, labels: int) -> None:
        self._run_ns: NDArray[np.float64] = np.zeros((2, tenants), np.float64)
        self._touched: NDArray[np.int64] = np.zeros(tenants, np.int64)
        self._servings: dict[int, float] = {}
        self._gpu_servings: dict[int, float] = {}
        self.rows: dict[int, int] = {}
        """Rows that were run, by serving's number."""
        self.decided: NDArray[np.int64] = np.zeros(tenants, np.int64)
        """Decisions by tenant, whatever their outcome."""
        self.labels: NDArray[np.int64] = np.zeros(labels, np.int64)
        """Decisions that a model or a rule made, by label."""
        self._cpu, self._gpu, self._energy = _Account(tenants), _Account(tenants), _Account(tenants)
        self.sources_uj: dict[str, float] = {}
        """Energy by how it is known."""
        self._seen_ns = 0
        self._owed_ns = 0.0

    def begin(self, process_cpu_ns: int, joules: Joules) -> None:
        """From here on rows are paid for; what the process used before is the start's."""
        tenants, (used_ns, _) = np.zeros_like(self._cpu.tenants), self.used(process_cpu_ns)
        tenants[-1] = used_ns
        self._cpu.add(tenants, {}, used_ns)
        self._draw(joules, tenants, {}, used_ns, tenants, {})
        self._seen_ns = process_cpu_ns

    def ran(
        self, serving: int, slots: NDArray[np.int32], tenant_of: NDArray[np.int16], cpu_ns: int, gpu_ns: int = 0
    ) -> None:
        """A batch of these rows took so much CPU time of the thread that ran it, and so long on a GPU."""
        if not len(slots):
            return
        _share_run(slots, tenant_of, cpu_ns, gpu_ns, self._run_ns)
        self._servings[serving] = self._servings.get(serving, 0.0) + cpu_ns
        self.rows[serving] = self.rows.get(serving, 0) + len(slots)
        if gpu_ns:
            self._gpu_servings[serving] = self._gpu_servings.get(serving, 0.0) + gpu_ns

    def read(self, first: int, stop: int, tenant_of: NDArray[np.int16]) -> None:
        """Rows [first, stop) were read."""
        _count_read(first, stop, tenant_of, self._touched)

    def given(
        self,
        slots: NDArray[np.int32],
        tenant_of: NDArray[np.int16],
        outcome: NDArray[np.int8],
        decision: NDArray[np.int8],
    ) -> None:
        """These rows have their decision."""
        _count_decided(slots, tenant_of, outcome, decision, self._touched, self.decided, self.labels)

    def used(self, process_cpu_ns: int) -> tuple[int, float]:
        """CPU time since the last `close`, and the GPU time of the runs that ended since."""
        return process_cpu_ns - self._seen_ns, float(sum(self._gpu_servings.values()))

    def close(self, process_cpu_ns: int, joules: Joules) -> None:
        """An interval ends: the process has used so much CPU time since it was started."""
        spent_ns, _ = self.used(process_cpu_ns)
        self._seen_ns = process_cpu_ns
        rest_ns = spent_ns - float(sum(self._servings.values())) + self._owed_ns
        self._owed_ns, rest_ns = min(rest_ns, 0.0), max(rest_ns, 0.0)
        cpu = self._with_reserved(self._run_ns[0])
        touched = int(self._touched.sum())
        if touched:
            cpu[:-2] += self._touched * (rest_ns / touched)
        else:
            cpu[-2] += rest_ns
        gpu = self._with_reserved(self._run_ns[1])
        self._cpu.add(cpu, self._servings, rest_ns)
        self._gpu.add(gpu, self._gpu_servings, 0.0)
        self._draw(joules, cpu, self._servings, rest_ns, gpu, self._gpu_servings)
        self._run_ns[:] = 0.0
        self._touched[:] = 0
        self._servings, self._gpu_servings = {}, {}

    def _draw(
        self,
        joules: Joules,
        cpu: NDArray[np.float64],
        servings: Mapping[int, float],
        rest_ns: float,
        gpu: NDArray[np.float64],
        gpu_servings: Mapping[int, float],
    ) -> None:
        """Share energy as the time of the same interval was."""
        self._energy.spread(joules.cpu_uj, cpu, servings, rest_ns)
        self._energy.spread(joules.gpu_uj, gpu, gpu_servings, 0.0)
        for source, uj in ((joules.cpu_source, joules.cpu_uj), (joules.gpu_source, joules.gpu_uj)):
            if source:
                self.sources_uj[source] = self.sources_uj.get(source, 0.0) + uj

    def _with_reserved(self, tenants: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate((tenants, (0.0, 0.0)))

    @property
    def seen_ns(self) -> int:
        """The process's CPU time, as of the last `close`."""
        return self._seen_ns

    @property
    def owed_ns(self) -> float:
        """What was charged before it was used, by runs that began before the last interval; 0 or less."""
        return self._owed_ns

    @property
    def cpu_ns(self) -> Spent:
        """CPU time, as of the last `close`."""
        return self._cpu.told()

    @property
    def gpu_ns(self) -> Spent:
        """Time of sessions on a GPU."""
        return self._gpu.told()

    @property
    def energy_uj(self) -> Spent:
        """Energy."""
        return self._energy.told()


def named(spent: Spent, names: Sequence[str]) -> dict[str, float]:
    """By tenant's name, without those who spent nothing."""
    found: dict[str, float] = {}
    for name, value in zip(names, spent.tenants[:-2].tolist(), strict=False):
        found[name] = found.get(name, 0.0) + value  # 7 and "7" read alike
    found.update(zip((IDLE_NAME, START_NAME), spent.tenants[-2:].tolist(), strict=True))
    return {name: value for name, value in found.items() if value}
