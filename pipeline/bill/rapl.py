"""The processor's energy counters, as Linux shows them: running average power limit, `powercap` in sysfs.

Files as of Documentation/power/powercap/powercap.rst: `energy_uj` counts up to `max_energy_range_uj` and begins anew.
Since CVE-2020-8694 only root may read them, unless the machine's owner allows it.
"""

from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
PROC_STAT = Path("/proc/stat")
NS_PER_TICK = 10_000_000
"""Of /proc/stat: USER_HZ is 100 on every architecture that Linux still builds."""
_BUSY = (0, 1, 2, 5, 6)
"""user, nice, system, irq, softirq; guests are in user, idle and iowait are not work, stolen time is another's."""


def counted_up(before: int, after: int, range_max: int) -> int:
    """How far a counter went that begins anew after `range_max`; at most one such turn can be told."""
    return after - before if after >= before else after + range_max + 1 - before


@dataclass
class _Domain:
    file: Path
    range_max_uj: int
    last_uj: int


class Rapl:
    """Packages and their memory together. Raises OSError where no counter can be read."""

    def __init__(self, folder: Path = POWERCAP) -> None:
        files = sorted(folder.glob("intel-rapl*:*/name"))
        self._domains = [_domain(file.parent) for file in files if _counts(file.parent)]
        if not self._domains:
            raise OSError(f"{folder}: no package has an energy counter that can be read")

    def take_uj(self) -> float | None:
        """What they took since this was last asked; None when a counter cannot be read any more."""
        taken = 0
        for domain in self._domains:
            try:
                now_uj = int(domain.file.read_text())
            except (OSError, ValueError):
                return None
            taken += counted_up(domain.last_uj, now_uj, domain.range_max_uj)
            domain.last_uj = now_uj
        return float(taken)


def _counts(folder: Path) -> bool:
    """Whether a domain is in no other: cores and graphics are in the package, psys has all of them."""
    name = (folder / "name").read_text().strip()
    by_memory_map = folder.name.startswith("intel-rapl-mmio")
    return not by_memory_map and (name.startswith("package") or name == "dram")


def _domain(folder: Path) -> _Domain:
    energy = folder / "energy_uj"
    return _Domain(energy, int((folder / "max_energy_range_uj").read_text()), int(energy.read_text()))


class MachineCpu:
    """CPU time of the whole machine, a container's host too. Raises OSError or ValueError where it cannot be read."""

    def __init__(self, file: Path = PROC_STAT) -> None:
        self._file = file
        self._last = self._ticks()

    def _ticks(self) -> int:
        with self._file.open() as lines:
            name, *ticks = lines.readline().split()
        if name != "cpu" or len(ticks) <= max(_BUSY):
            raise ValueError(f"{self._file}: found {name!r} with {len(ticks)} numbers, expected the line cpu")
        return sum(int(ticks[index]) for index in _BUSY)

    def take_ns(self) -> int | None:
        """How long its CPUs together were busy since this was last asked; None when it cannot be read."""
        try:
            now = self._ticks()
        except (OSError, ValueError):
            return None
        passed, self._last = now - self._last, now
        return passed * NS_PER_TICK
