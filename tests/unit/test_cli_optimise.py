"""`headrace models optimise` and `cascade`, as a user calls them, on a few drawn pictures."""

import json
from pathlib import Path

import pytest

from models.cascade_report import read_report
from models.repository import Repository
from pipeline.cli.app import run
from pipeline.sim.ship_surfaces import jpeg
from pipeline.sim.surfaces import CLASSES

PER_CLASS = 6
FAST = ("--batch", "4", "--cost-ratio-max", "10")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir()
        for number in range(PER_CLASS):
            content = jpeg(2_000_000 + label * PER_CLASS + number, name)
            (folder / name / f"{name}_{number}.jpg").write_bytes(content)
    return folder


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    found = run(["models", *arguments])
    captured = capsys.readouterr()
    assert found == code, captured.err
    return captured.out + captured.err


def test_a_variant_is_measured_drawn_and_registered(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    out, plot, figures = tmp_path / "models", tmp_path / "front.png", tmp_path / "front.json"
    text = told(
        capsys, "optimise", "surface-cnn/1", "--data", str(pictures), "--holdout-numbers", "1-5", *FAST,
        "--only", "int8", "--only", "int4", "--quality-drop-max", "1",
        "--agreement-min", "0.9", "--plot", str(plot), "--json", str(figures),
        "--register", "int8", "--out", str(out),
    )  # fmt: skip
    assert "surface-cnn/1 on 35 held-out rows" in text
    assert plot.read_bytes().startswith(b"\x89PNG")
    found = json.loads(figures.read_bytes())
    assert [each["name"] for each in found["findings"]] == ["surface-cnn/1", "int8", "int4"]
    entry = Repository(out).load("surface-cnn", "1-int8")
    assert entry.manifest.parity is not None
    assert entry.manifest.parity.images == 35
    assert sum(map(sum, entry.manifest.confusion.values())) == 35


def test_a_file_that_answers_otherwise_is_not_registered(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Repository.shipped().load("fraud-gbt", "1").path
    text = told(
        capsys, "optimise", "surface-cnn/1", "--data", str(pictures), *FAST, "--only", "graph",
        "--variant", f"mine={other}", "--register", "mine", "--out", str(tmp_path), code=2,
    )  # fmt: skip
    assert "not registered: mine: inputs are features" in text
    assert "expected image tensor(float)[rows, 1, 96, 96]" in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("optimise", "surface-cnn"), "expected MODEL/VERSION"),
        (("optimise", "surface-cnn/7"), "there is no model surface-cnn/7"),
        (("optimise", "surface-cnn/1", "--variant", "mine"), "expected NAME=FILE"),
        (("optimise", "surface-cnn/1", "--plot", "front.txt"), "--plot: front.txt: expected a name ending in"),
        (("optimise", "fraud-gbt/1", "-c", "vision"), "vision declares the features"),
        (("cascade", "--first", "fraud-lite/1", "--then", "surface-cnn/1"), "expected --then's"),
        (("cascade", "--first", "fraud-gbt/1", "--then", "fraud-gbt/1"), "is the same model as --then's"),
        (
            ("cascade", "--first", "fraud-lite/1", "--then", "fraud-gbt/1", "--loss-max", "2"),
            "expected none or a number",
        ),
    ],
)
def test_what_cannot_be_asked_is_told(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], wanted: str
) -> None:
    assert run(["models", *arguments]) != 0
    captured = capsys.readouterr()
    assert wanted in " ".join((captured.out + captured.err).split())


def test_pictures_of_other_classes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(jpeg(1, "clean"))
    assert run(["models", "optimise", "surface-cnn/1", "--data", str(tmp_path)]) != 0
    assert "cats, dogs is no class of surface-cnn/1" in capsys.readouterr().err


def test_a_cascade_is_calibrated_and_says_of_what(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cascade.json"
    text = told(
        capsys, "cascade", "--first", "surface-cnn-int8/1", "--then", "surface-cnn/1", "--data", str(pictures),
        "--holdout-numbers", "1-5", "--loss-max", "0.1", "--batch", "4", "--out", str(out),
    )  # fmt: skip
    assert "[cascade]" in text
    report = read_report(out)
    entries = [Repository.shipped().load(name, "1") for name in ("surface-cnn-int8", "surface-cnn")]
    assert [report.first.sha256, report.second.sha256] == [entry.manifest.sha256 for entry in entries]
    assert report.rows == 35
    assert report.loss is not None
    assert (report.loss.measure, report.loss.lost_max) == ("accuracy", 0.1)
    assert f"sure_min = {report.sure_above!r}" in text
    assert "sure_below" not in text
