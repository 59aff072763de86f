"""The report of a calibration, as a file."""

from pathlib import Path

import msgspec
import pytest

from models.cascade import Expected, Thresholds
from models.cascade_report import CascadeReport, Loss, RowCost, read_report, report_of
from models.manifest import ModelError
from models.repository import Repository


@pytest.fixture
def report() -> CascadeReport:
    lite, gbt = (Repository.shipped().load(name, "1").manifest for name in ("fraud-lite", "fraud-gbt"))
    loss = Loss("made up", "ap", 0.7, 0.699, 0.0014, 0.004, 0.005, 0.95)
    cost = RowCost(64, 0.2, 1.4, 6, 2.0, 0.38)
    return report_of(lite, gbt, Thresholds(0.01, 0.9), Expected(1000, 0.9, 0.01, 0.97, 0.05), loss, cost)


def test_a_report_is_read_as_it_was_written(tmp_path: Path, report: CascadeReport) -> None:
    file = tmp_path / "cascade.json"
    file.write_bytes(msgspec.json.encode(report))
    assert read_report(file) == report
    assert report.thresholds == Thresholds(0.01, 0.9)
    assert report.expected.passed_share == pytest.approx(0.09)


@pytest.mark.parametrize("text", [None, b"{}", b"no json", b'{"v": 2}'])
def test_what_is_no_report_is_refused(tmp_path: Path, text: bytes | None) -> None:
    file = tmp_path / "cascade.json"
    if text is not None:
        file.write_bytes(text)
    with pytest.raises(ModelError, match=r"cascade.json: cannot be read as a report of `headrace models cascade`"):
        read_report(file)


def test_a_report_of_another_version_is_refused(tmp_path: Path, report: CascadeReport) -> None:
    other = msgspec.to_builtins(report)
    other["v"] = 2
    file = tmp_path / "cascade.json"
    file.write_bytes(msgspec.json.encode(other))
    with pytest.raises(ModelError, match="is a report of version 2, expected 1"):
        read_report(file)
