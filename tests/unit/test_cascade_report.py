"""What a cascade's report is about, and what it is refused for."""

from pathlib import Path

import msgspec
import pytest

from models.bootstrap import Interval
from models.cascade import Expected, Thresholds
from models.cascade_calibration import Calibrated
from models.repository import Repository
from pipeline.cascade_report import CascadeReport, Named, RowCost, check_report, read_report
from pipeline.config.problems import ConfigError

LITE, GBT = (Repository.shipped().load(name, "1") for name in ("fraud-lite", "fraud-gbt"))


@pytest.fixture
def report() -> CascadeReport:
    calibrated = Calibrated(
        Thresholds(0.01, 0.9),
        Expected(1000, 0.9, 0.01, 0.97, 0.05),
        "ap",
        0.7,
        0.699,
        Interval(0.0014, -0.001, 0.004),
        0.005,
        0.95,
    )
    return CascadeReport(1, Named.of(LITE), Named.of(GBT), "made up", calibrated, RowCost(64, 0.2, 1.4, 6, 2.0, 0.38))


def written(folder: Path, report: CascadeReport) -> Path:
    file = folder / "cascade.json"
    file.write_bytes(msgspec.json.encode(report))
    return file


def test_a_report_is_read_as_it_was_written(tmp_path: Path, report: CascadeReport) -> None:
    assert read_report(written(tmp_path, report)) == report


@pytest.mark.parametrize(("below", "above"), [(0.01, 0.9), (0.005, 0.95), (0.0, 1.0)])
def test_the_thresholds_calibrated_and_more_cautious_ones_pass(
    tmp_path: Path, report: CascadeReport, below: float, above: float
) -> None:
    assert check_report(written(tmp_path, report), LITE, GBT, below, above) == report


@pytest.mark.parametrize(("below", "above"), [(0.011, 0.9), (0.01, 0.89)])
def test_thresholds_that_settle_more_do_not(
    tmp_path: Path, report: CascadeReport, below: float, above: float
) -> None:
    with pytest.raises(ConfigError, match=r"cascade.report: .* calibrated for sure_below = 0.01 .* settle more"):
        check_report(written(tmp_path, report), LITE, GBT, below, above)


def test_other_models_are_refused(tmp_path: Path, report: CascadeReport) -> None:
    with pytest.raises(ConfigError, match=r"its first model is fraud-lite/1 of another sha256, .* of fraud-gbt/1"):
        check_report(written(tmp_path, report), GBT, LITE, 0.01, 0.9)


@pytest.mark.parametrize("text", [None, b"{}", b"no json", b'{"v": 2}'])
def test_what_is_no_report_is_refused(tmp_path: Path, text: bytes | None) -> None:
    file = tmp_path / "cascade.json"
    if text is not None:
        file.write_bytes(text)
    with pytest.raises(
        ConfigError, match=r"cascade.report: .*cannot be read as a report of `headrace models cascade`"
    ):
        read_report(file)


def test_a_report_of_another_version_is_refused(tmp_path: Path, report: CascadeReport) -> None:
    other = msgspec.to_builtins(report)
    other["v"] = 2
    file = tmp_path / "cascade.json"
    file.write_bytes(msgspec.json.encode(other))
    with pytest.raises(ConfigError, match="is of version 2, expected 1"):
        read_report(file)
