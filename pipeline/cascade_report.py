"""The calibration that a cascade rests on: which models, which thresholds, what was lost on held-out rows."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from models.cascade_calibration import Calibrated
from models.repository import ModelEntry
from pipeline.config.problems import ConfigError, Problem

REPORT_VERSION = 1
THRESHOLD_APART_MAX = 1e-9


@dataclass(frozen=True, slots=True)
class Named:
    """A model, by what cannot be mistaken."""

    model: str
    version: str
    sha256: str

    @classmethod
    def of(cls, entry: ModelEntry) -> "Named":
        """The entry's."""
        return cls(entry.manifest.name, entry.manifest.version, entry.manifest.sha256)


@dataclass(frozen=True, slots=True)
class RowCost:
    """CPU time a row, us, on one thread, measured in turns."""

    batch: int
    first_us: float
    second_us: float
    """In batches as large, which is what the second model alone costs."""
    passed_batch: int
    passed_us: float
    """Of the second model in the smaller batches that are passed on."""
    cascade_us: float
    """What is expected of the cascade: the first model, and the share that is passed on."""


@dataclass(frozen=True, slots=True)
class CascadeReport:
    """What `headrace models cascade` writes, and `cascade.report` names."""

    v: int
    first: Named
    second: Named
    data: str
    calibrated: Calibrated
    cost: RowCost


def read_report(file: Path) -> CascadeReport:
    """The report in a file. Raises ConfigError, naming `cascade.report`, where there is none."""
    try:
        report = msgspec.json.decode(file.read_bytes(), type=CascadeReport)
    except (OSError, msgspec.DecodeError) as error:
        raise _refused(file, f"cannot be read as a report of `headrace models cascade`: {error}") from None
    if report.v != REPORT_VERSION:
        raise _refused(file, f"is of version {report.v}, expected {REPORT_VERSION}: calibrate again")
    return report


def check_report(
    file: Path, first: ModelEntry, second: ModelEntry, sure_below: float, sure_above: float
) -> CascadeReport:
    """The report, of these very models and thresholds. Raises ConfigError where it is about others.

    Thresholds that are sure of less than the calibrated ones are as good: what was measured bounds their loss.
    """
    report = read_report(file)
    for place, entry, named in (("first", first, report.first), ("second", second, report.second)):
        if entry.manifest.sha256 != named.sha256:
            name = f"{entry.manifest.name}/{entry.manifest.version}"
            raise _refused(
                file,
                f"its {place} model is {named.model}/{named.version} of another sha256, expected the one of {name}",
            )
    given = report.calibrated.thresholds
    if sure_below > given.sure_below + THRESHOLD_APART_MAX or sure_above < given.sure_above - THRESHOLD_APART_MAX:
        raise _refused(
            file,
            f"was calibrated for sure_below = {given.sure_below!r} and sure_above = {given.sure_above!r}; found "
            f"{sure_below!r} and {sure_above!r}, which settle more than was measured",
        )
    return report


def _refused(file: Path, text: str) -> ConfigError:
    return ConfigError("", [Problem("cascade.report", f"{file}: {text}")])
