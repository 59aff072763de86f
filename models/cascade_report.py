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


class Loss(msgspec.Struct, frozen=True):
    """What the calibration found on held-out rows."""

    data: str
    """Where they are from, for people."""
    measure: str
    """`ap`, whose losses are relative to the second model's, or `accuracy`, whose losses are shares of rows."""
    second: float
    """The second model's, alone."""
    cascade: float
    lost: float
    lost_high: float
    """What was held to `lost_max`: no more is lost, with this confidence."""
    lost_max: float
    confidence: float


class RowCost(msgspec.Struct, frozen=True):
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
    loss: Loss | None = None
    cost: RowCost | None = None

    @property
    def thresholds(self) -> Thresholds:
        """What was calibrated."""
        return Thresholds(self.sure_below, self.sure_above)

    @property
    def expected(self) -> Expected:
        """What a stream like the held-out rows will look like."""
        return Expected(self.rows, self.below_share, self.above_share, self.agreement, self.agreement_std)


def report_of(
    first: Manifest,
    second: Manifest,
    thresholds: Thresholds,
    expected: Expected,
    loss: Loss | None = None,
    cost: RowCost | None = None,
) -> CascadeReport:
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
        loss,
        cost,
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
