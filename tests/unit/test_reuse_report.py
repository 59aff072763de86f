"""What reuse of like pictures rests on: replayed as it would go, bounded as statistics say, else refused."""

import random
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.bounds import upper_bound
from pipeline.cli.app import run
from pipeline.config.load import load
from pipeline.config.problems import ConfigError
from pipeline.reuse import Answer, Reuse, ReuseLimits
from pipeline.reuse_report import DOUBT, ReuseReport, Seen, replayed
from pipeline.tiers import open_tiers
from tests.frames import image, write_classifiers


def test_the_bound_is_the_one_of_the_textbook():
    assert upper_bound(0, 100, DOUBT) == pytest.approx(1 - 0.05 ** (1 / 100))  # the rule of three, exactly
    assert upper_bound(1, 10, DOUBT) == pytest.approx(0.3942, abs=1e-4)
    assert upper_bound(5, 100, DOUBT) == pytest.approx(0.1023, abs=1e-4)
    assert upper_bound(0, 0, DOUBT) == upper_bound(7, 7, DOUBT) == 1.0


@pytest.mark.parametrize("bits", [0, 2, 5])
def test_frames_are_replayed_as_the_engine_would_answer_them(bits):
    draw = random.Random(bits)
    frames = [Seen(draw.getrandbits(4) << draw.choice([0, 0, 8]), draw.randrange(2)) for _ in range(300)]
    reuse, reused, wrong = Reuse(ReuseLimits(0, 3, bits, 10**9), lambda: 0), 0, 0
    for frame in frames:
        found = reuse.like(0, b"c", frame.perceptual_hash)
        if found is None:
            told = np.array([frame.decision], np.float32)
            reuse.keep(None, b"c", Answer(0, told, told, frame.perceptual_hash, 0))
        else:
            reused += 1
            wrong += int(found[0].probabilities[0]) != frame.decision
    got = replayed(frames, bits, 3)
    assert (got.reused, got.wrong) == (reused, wrong)
    assert reused


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Two cameras: one shows the same over and over, one alternates between two decisions."""
    for camera, levels in (("still", [128] * 30), ("changing", [128, 250] * 15)):
        folder = tmp_path / "recorded" / camera
        folder.mkdir(parents=True)
        for number, level in enumerate(levels):
            (folder / f"{number:04d}.jpg").write_bytes(image(level))
    (tmp_path / "recorded" / "still" / "broken.png").write_bytes(b"no image")
    write_classifiers(tmp_path / "models")
    return tmp_path


def measured(folder: Path, *more: str) -> int:
    out, data = str(folder / "reuse.json"), str(folder / "recorded")
    sets = ["--set", f"models.folder={folder / 'models'}"]
    return run(["models", "reuse", "-c", "vision", "--data", data, "--out", out, *sets, *more])


def opened(folder: Path, *more: str) -> None:
    own = [f"models.folder={folder / 'models'}", f"reuse.near_report={folder / 'reuse.json'}", *more]
    config = load("vision", environ={}, assignments=own).config
    open_tiers(config, tuple(config.features))


def test_a_report_is_measured_and_says_what_it_may_be_used_for(recorded, capsys):
    assert measured(recorded) == 0
    said = capsys.readouterr()
    assert "60 frames of 2 cameras, surface-cnn/1" in said.out
    assert "broken.png: left out" in said.err
    report = msgspec.json.decode((recorded / "reuse.json").read_bytes(), type=ReuseReport)
    first = report.by_bits[0]
    assert (first.reused, first.wrong) == (58, 15)  # even greys are alike to the hash, whatever their level
    with pytest.raises(ConfigError, match=r"with 0 bits 15 of 58 answers .* above near_false_max = 0\.001"):
        opened(recorded, "reuse.near_bits=0")
    opened(recorded, "reuse.near_bits=0", "reuse.near_false_max=0.5")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("reuse.near_rows=5",), "was measured with crop .* near_rows 16, expected .* and 5"),
        (("inputs.frames.image.crop=[0.0,0.0,0.5,0.5]",), "was measured with crop"),
        (("tiers.0.model=surface-cnn-int8",), None),
        (("reuse.near_bits=20",), "says nothing of 20 bits"),
        (("reuse.near_report=nothing.json",), "cannot be read as a report"),
    ],
)
def test_a_report_about_something_else_is_refused(recorded, more, told):
    assert measured(recorded) == 0
    limits = ("reuse.near_bits=0", "reuse.near_false_max=0.9")
    if told is None:  # the tiny models are the same file, so the report fits both
        opened(recorded, *limits, *more)
        return
    with pytest.raises(ConfigError, match=told):
        opened(recorded, *limits, *more)


def test_a_report_about_another_model_is_refused(recorded):
    assert measured(recorded) == 0
    file = recorded / "reuse.json"
    file.write_bytes(file.read_bytes().replace(b'"sha256": "', b'"sha256": "0'))
    with pytest.raises(ConfigError, match="is about surface-cnn/1 of another sha256"):
        opened(recorded, "reuse.near_bits=0", "reuse.near_false_max=0.9")


def test_a_folder_without_frames_and_a_pipeline_without_images_are_refused(recorded, capsys, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    sets = ["--set", f"models.folder={recorded / 'models'}"]
    assert run(["models", "reuse", "-c", "vision", "--data", str(empty), *sets]) == 2
    assert "found no frames" in capsys.readouterr().err
    assert run(["models", "reuse", "-c", "fraud", "--data", str(empty)]) == 2
    assert "takes no images" in capsys.readouterr().err
