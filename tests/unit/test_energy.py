"""Energy by the machine's counters, read from files as Linux writes them; by an estimate where there are none."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.bill.energy import EnergyMeter, Watts, share_of
from pipeline.bill.nvml import NoCounterError, Nvml
from pipeline.bill.rapl import MachineCpu, Rapl, counted_up

WATTS = Watts(4.0, 250.0)
S = 1_000_000_000
RANGE_UJ = 262_143_328_850


def domain(folder: Path, place: str, name: str, uj: int, range_uj: int = RANGE_UJ) -> Path:
    at = folder / place
    at.mkdir(parents=True, exist_ok=True)
    for file, text in (("name", name), ("energy_uj", uj), ("max_energy_range_uj", range_uj)):
        (at / file).write_text(f"{text}\n")
    return at


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    folder = tmp_path / "powercap"
    domain(folder, "intel-rapl:0", "package-0", 1_000)
    domain(folder, "intel-rapl:0:0", "core", 50)
    domain(folder, "intel-rapl:0:1", "dram", 70)
    domain(folder, "intel-rapl:1", "package-1-die-0", RANGE_UJ - 10)
    domain(folder, "intel-rapl:2", "psys", 9_000)
    domain(folder, "intel-rapl-mmio:0", "package-0", 1_000)
    (folder / "intel-rapl").mkdir()
    return folder


def test_packages_and_memory_are_added_and_nothing_twice(powercap: Path) -> None:
    rapl = Rapl(powercap)
    for place in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:0:1", "intel-rapl:2", "intel-rapl-mmio:0"):
        file = powercap / place / "energy_uj"
        file.write_text(f"{int(file.read_text()) + 400}\n")
    assert rapl.take_uj() == 800
    assert rapl.take_uj() == 0


def test_a_counter_that_begins_anew_has_counted_on(powercap: Path) -> None:
    rapl = Rapl(powercap)
    (powercap / "intel-rapl:1" / "energy_uj").write_text("89\n")
    assert rapl.take_uj() == 100


@given(st.integers(1, 2**40), st.data())
def test_what_was_counted_is_told_over_any_one_turn(range_max: int, data: st.DataObject) -> None:
    before, passed = data.draw(st.integers(0, range_max)), data.draw(st.integers(0, range_max))
    assert counted_up(before, (before + passed) % (range_max + 1), range_max) == passed


def test_counters_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no package has an energy counter"):
        Rapl(tmp_path)
    (tmp_path / "stat").write_text("intr 1 2 3\n")
    with pytest.raises(ValueError, match="expected the line cpu"):
        MachineCpu(tmp_path / "stat")


def test_a_counter_that_goes_away_is_no_error(powercap: Path) -> None:
    rapl = Rapl(powercap)
    (powercap / "intel-rapl:0" / "energy_uj").unlink()
    assert rapl.take_uj() is None


def stat(file: Path, *ticks: int) -> Path:
    file.write_text(f"cpu  {' '.join(map(str, ticks))}\ncpu0 1 2 3\n")
    return file


def test_busy_time_is_work_and_not_waiting(tmp_path: Path) -> None:
    file = stat(tmp_path / "stat", 100, 10, 20, 5_000, 600, 3, 4, 50, 9, 0)
    machine = MachineCpu(file)
    stat(file, 101, 12, 23, 9_000, 900, 7, 9, 99, 19, 0)
    assert machine.take_ns() == (1 + 2 + 3 + 4 + 5) * 10_000_000


def test_the_process_has_its_share_of_what_the_packages_took(powercap: Path, tmp_path: Path) -> None:
    file = stat(tmp_path / "stat", 0, 0, 0, 0, 0, 0, 0)
    meter = EnergyMeter(WATTS, Rapl(powercap), MachineCpu(file), None)
    stat(file, 400, 0, 0, 100, 0, 0, 0)
    (powercap / "intel-rapl:0" / "energy_uj").write_text(f"{1_000 + 8_000_000}\n")
    joules = meter.read(1 * S, 0.0, 5 * S)
    assert (joules.cpu_uj, joules.cpu_source) == (2_000_000, "rapl")
    (powercap / "intel-rapl:0" / "energy_uj").unlink()
    joules = meter.read(1 * S, 0.0, 5 * S)
    assert (joules.cpu_uj, joules.cpu_source) == (4_000_000, "estimate")


@given(st.floats(0, 1e12), st.floats(0, 1e12))
def test_a_share_is_a_share(process_ns: float, busy_ns: float) -> None:
    assert 0.0 <= share_of(process_ns, busy_ns) <= 1.0


def test_without_counters_it_is_an_estimate_and_says_so() -> None:
    joules = EnergyMeter(WATTS, None, None, None).read(2 * S, 0.5 * S, S)
    assert (joules.cpu_uj, joules.gpu_uj) == (8_000_000, 125_000_000)
    assert (joules.cpu_source, joules.gpu_source) == ("estimate", "estimate")
    assert EnergyMeter(WATTS, None, None, None).read(2 * S, 0.0, S).gpu_source == ""


class Drawn:
    """A device that draws 100 J each time it is asked."""

    def take_uj(self) -> float:
        return 100e6


def test_a_device_is_paid_for_while_a_session_runs_on_it() -> None:
    joules = EnergyMeter(WATTS, None, None, Drawn()).read(0.0, 0.25 * S, S)
    assert (joules.gpu_uj, joules.gpu_source) == (25e6, "nvml")


def test_a_machine_without_a_gpu_says_why_there_is_no_counter() -> None:
    if Path("/dev/nvidiactl").exists():
        assert Nvml().take_uj() is not None
        return
    with pytest.raises(NoCounterError, match=r"."):
        Nvml()
