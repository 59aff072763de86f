"""Commands over a pipeline of images: what they say of its models, and what they cannot do with it."""

import json
from pathlib import Path

import pytest

from pipeline.cli.app import run
from pipeline.cli.exit_codes import ExitCode
from tests.frames import write_classifiers


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_classifiers(tmp_path / "models")
    monkeypatch.setenv("HEADRACE_MODELS__FOLDER", str(folder))
    return folder


@pytest.mark.usefixtures("models")
def test_a_configuration_of_images_is_checked_with_its_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check", "--config", "vision"]) == 0
    told = capsys.readouterr().out
    assert "features: 4 features, windows over 1 entities" in told
    assert "primary = surface-cnn/1 on CPUExecutionProvider" in told


def test_a_model_of_images_is_listed_with_what_it_takes(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list", "--folder", str(models)]) == 0
    assert "surface-cnn/1  image-classifier, images as 16 x 16 grey, 3 classes" in capsys.readouterr().out


@pytest.mark.usefixtures("models")
def test_a_load_of_frames_is_planned_with_decoding(capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "plan",
        "--config",
        "vision",
        "--rate",
        "200",
        "--seconds",
        "10",
        "--json",
        "--set",
        "engine.buckets=[1, 4]",
    ]
    assert run(command) == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("command", ["replay", "backfill"])
def test_a_file_of_rows_holds_no_images(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "frames.jsonl"
    file.write_text("{}\n")
    out = ["--out", str(tmp_path / "out.jsonl")]
    assert run([command, str(file), "--config", "vision", *out]) == ExitCode.USAGE
    assert "vision decides on images, and a file of rows has none" in capsys.readouterr().err
