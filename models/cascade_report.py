"""What a calibration of a cascade found, as a file: with which models, which thresholds, and what to expect."""

from pathlib import Path

import msgspec

from models.cascade import Expected, Thresholds
from models.manifest import Manifest, ModelError

REPORT_VERSION = 1


class ModelOf(msgspec.Struct, frozen=True):
    """One of the two models, by name and by its file's hash."""

    model: str
    version: str
    sha256: str

    @classmethod
    def of(cls, manifest: Manifest) -> "ModelOf":
        """As its manifest has it."""
        return cls(manifest.name, manifest.version, manifest.sha256)


class CascadeReport(msgspec.Struct, frozen=True):
    """`sure_below` is 0 where classes are told and the probability of the likeliest is the score."""

    v: int
    first: ModelOf
    second: ModelOf
    sure_below: float
    sure_above: float
    rows: int
    below_share: float
    above_share: float
    agreement: float
    agreement_std: float

    @property
    def thresholds(self) -> Thresholds:
        """What was calibrated."""
        return Thresholds(self.sure_below, self.sure_above)

    @property
    def expected(self) -> Expected:
        """What a stream like the held-out rows will look like."""
        return Expected(self.rows, self.below_share, self.above_share, self.agreement, self.agreement_std)


def report_of(first: Manifest, second: Manifest, thresholds: Thresholds, expected: Expected) -> CascadeReport:
    """The report about these models."""
    return CascadeReport(
        REPORT_VERSION,
        ModelOf.of(first),
        ModelOf.of(second),
        thresholds.sure_below,
        thresholds.sure_above,
        expected.rows,
        expected.below_share,
        expected.above_share,
        expected.agreement,
        expected.agreement_std,
    )


def read_report(path: Path) -> CascadeReport:
    """Read a report. Raises ModelError naming the file and what is wrong with it."""
    try:
        report = msgspec.json.decode(path.read_bytes(), type=CascadeReport)
    except (OSError, msgspec.DecodeError) as error:
        raise ModelError(f"{path}: cannot be read as a report of `headrace models cascade`: {error}") from None
    if report.v != REPORT_VERSION:
        raise ModelError(f"{path}: is a report of version {report.v}, expected {REPORT_VERSION}")
    return report
