"""The energy of an interval: from the machine's own counters where they can be read, else a stated estimate.

- `rapl`: what the packages (and their memory, where it has a domain) took, by the processor's counters, times this
  process's share of the CPU time that the machine was busy in the interval. So the processes of a machine together
  have all of it, what it takes while it idles too.
- `nvml`: what the device took, times the share of the interval that a session of ours ran on it.
- `estimate`: CPU time times `cost.watts_a_core`, device time times `cost.watts_a_gpu`.
"""

from dataclasses import dataclass
from typing import Protocol

from pipeline.bill.ledger import Joules

RAPL, NVML, ESTIMATE = "rapl", "nvml", "estimate"
UJ_PER_J = 1_000_000
NS_PER_S = 1_000_000_000


class Counted(Protocol):
    """A counter of energy."""

    def take_uj(self) -> float | None:
        """What was counted since it was last asked; None when it cannot be told this time."""
        ...


class Busy(Protocol):
    """A counter of the machine's CPU time."""

    def take_ns(self) -> int | None:
        """How long all CPUs together were busy since it was last asked; None when it cannot be told."""
        ...


@dataclass(frozen=True, slots=True)
class Watts:
    """What is taken to be drawn where nothing is measured: by a logical CPU and by a device that are busy."""

    core: float
    gpu: float


def share_of(process_ns: float, busy_ns: float) -> float:
    """This process's part of what all did; all of it where the coarser of the two clocks saw less."""
    return 0.0 if process_ns <= 0 else min(1.0, process_ns / max(busy_ns, process_ns))


class EnergyMeter:
    """Reads what there is. `read` is called once an interval, from one thread."""

    def __init__(self, watts: Watts, package: Counted | None, machine: Busy | None, device: Counted | None) -> None:
        self._watts = watts
        self._package = package
        self._machine = machine
        self._device = device

    def read(self, cpu_ns: float, gpu_ns: float, interval_ns: int) -> Joules:
        """The energy of this process in an interval in which it used so much CPU and device time."""
        cpu_uj, cpu_source = self._cpu(cpu_ns)
        gpu_uj, gpu_source = self._gpu(gpu_ns, interval_ns)
        return Joules(cpu_uj, gpu_uj, cpu_source, gpu_source)

    def _cpu(self, cpu_ns: float) -> tuple[float, str]:
        counted = self._package.take_uj() if self._package is not None else None
        busy_ns = self._machine.take_ns() if self._machine is not None else None
        if counted is None or busy_ns is None:
            return self._watts.core * max(cpu_ns, 0.0) * (UJ_PER_J / NS_PER_S), ESTIMATE
        return counted * share_of(cpu_ns, busy_ns), RAPL

    def _gpu(self, gpu_ns: float, interval_ns: int) -> tuple[float, str]:
        counted = self._device.take_uj() if self._device is not None else None
        if gpu_ns <= 0:
            return 0.0, ""
        if counted is None:
            return self._watts.gpu * gpu_ns * (UJ_PER_J / NS_PER_S), ESTIMATE
        return counted * share_of(gpu_ns, interval_ns), NVML
