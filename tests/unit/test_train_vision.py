"""`headrace train vision`: from a folder for each class to entries in a repository."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from models.manifest import ImageInput
from models.preprocess import Scratch, prepare
from models.repository import Repository
from pipeline.cli.app import run
from pipeline.image.folder import list_folder, read_pictures, shown
from pipeline.sim.surfaces import SurfaceSource

NEEDED = "training needs the extra vision-train"
KINDS = ("clean", "patches", "scale")


def write_folder(folder: Path, count: int, side: int = 48, names: tuple[str, ...] = KINDS) -> Path:
    source = SurfaceSource(5, side, side)
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(1, count + 1):
            (folder / name / f"{name}_{number}.jpg").write_bytes(jpeg(source.draw(number, name).pixels))
    return folder


def jpeg(pixels: np.ndarray) -> bytes:
    encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels[:, :, None]), 95, "GRAY")
    return encoded


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("surfaces") / "data", 12)


def failed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    pytest.importorskip("jax", reason=NEEDED)
    assert run(["train", "vision", *arguments]) == 2
    return capsys.readouterr().err


def test_classes_files_and_the_numbers_of_their_names(small: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(small, tmp_path / "data")
    (folder / "clean" / "notes.txt").write_text("no image")
    (folder / "clean" / ".hidden.jpg").write_text("no image")
    (folder / "clean" / "unnumbered.JPG").write_bytes((folder / "clean" / "clean_1.jpg").read_bytes())
    found = list_folder(folder)
    assert found.names == KINDS
    assert len(found.files) == 37 == len(found.truth)
    assert np.bincount(found.truth).tolist() == [13, 12, 12]
    assert found.numbers[[path.name == "clean_12.jpg" for path in found.files]].tolist() == [12]
    assert (found.numbers < 0).sum() == 1


def test_pictures_are_decoded_as_they_are_and_shown_as_the_stream_does(tmp_path: Path) -> None:
    grey = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    pictures = read_pictures(("a", "b"), [lambda: jpeg(grey)] * 2, np.array([0, 1]), 48, 1, str)
    assert pictures.images[0].shape == (64, 64, 1)
    assert np.abs(pictures.images[0][:, :, 0].astype(int) - grey).max() <= 3
    image = ImageInput(height=48, width=48, channels=1, mean=(0.4,), std=(0.2,))
    expected = np.empty((1, 48, 48), np.float32)
    prepare(pictures.images[0], (0, 0, 64, 64), np.float32([0.4]), np.float32([0.2]), expected, Scratch())
    assert np.array_equal(shown(pictures, image)[1], expected)


def test_a_picture_that_exif_turns_is_taken_as_it_is_shown() -> None:
    picture = Image.fromarray(np.tile(np.linspace(0, 255, 64).astype(np.uint8), (40, 1)))
    stored, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # stored turned: to be shown, a quarter to the right
    picture.save(stored, "JPEG", quality=95, exif=exif)
    pixels = read_pictures(("a", "b"), [stored.getvalue], np.array([0]), 48, 1, str).images[0]
    assert pixels.shape == (64, 40, 1)
    assert np.abs(pixels[:, :, 0].astype(int) - np.array(picture).T).max() <= 3


def test_large_pictures_are_kept_reduced(tmp_path: Path) -> None:
    large = jpeg(np.zeros((400, 640), np.uint8))
    pictures = read_pictures(("a", "b"), [lambda: large], np.array([0]), 48, 3, str)
    assert pictures.images[0].shape == (100, 160, 3)


def test_a_folder_that_is_no_set_of_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "absent: no such folder" in failed(["--data", str(tmp_path / "absent")], capsys)
    (tmp_path / "data").mkdir()
    assert "data: holds no folders; expected" in failed(["--data", str(tmp_path / "data")], capsys)
    write_folder(tmp_path / "data", 1, names=("clean",))
    assert "data: holds one folder, clean; expected" in failed(["--data", str(tmp_path / "data")], capsys)
    (tmp_path / "data" / "pits").mkdir()
    (tmp_path / "data" / "pits" / "a.bmp").touch()
    said = failed(["--data", str(tmp_path / "data")], capsys)
    assert "pits: class pits has no JPEG or PNG files, 1 others" in said


def test_what_cannot_be_trained_on_says_why(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", str(small), "--out", str(tmp_path / "out")]
    said = failed([*data, "--train-numbers", "1-5"], capsys)
    assert "class clean has 5 images to train on and 7 held out, expected at least 8 and 2" in said
    said = failed([*data, "--train-numbers", "1-10", "--holdout-numbers", "10-12"], capsys)
    assert "3 pictures would be both trained on and held out" in said
    assert "'12-1' is no span of numbers; expected FIRST-LAST" in failed([*data, "--train-numbers", "12-1"], capsys)
    assert "clean class spotless: no such class; there are clean" in failed([*data, "--clean", "spotless"], capsys)
    assert "there is no model surface/9" in failed([*data, "--from", "surface/9"], capsys)
    assert "takes features, not an image" in failed([*data, "--from", "fraud-gbt/1"], capsys)
    assert not (tmp_path / "out").exists()


def test_an_image_that_cannot_be_read_is_named(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(small, tmp_path / "data")
    path = folder / "patches" / "patches_3.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    assert f"{path}: " in failed(["--data", str(folder)], capsys)
    path.write_text("hello")
    assert f"{path}: the value is text" in failed(["--data", str(folder)], capsys)
    path.rename(path.with_name("patches_x.jpg"))
    said = failed(["--data", str(folder), "--train-numbers", "1-10"], capsys)
    assert "patches_x.jpg: its name does not end in a number" in said


@pytest.mark.slow
def test_a_small_folder_from_files_to_a_registered_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("jax", reason=NEEDED)
    data, out = write_folder(tmp_path / "data", 30), tmp_path / "models"
    asked = ["train", "vision", "--data", str(data), "--out", str(out), "--side", "32", "--clean", "clean"]
    asked += ["--train-numbers", "1-20", "--agreement-min", "0", "--accuracy-drop-max", "1"]
    assert run([*asked, "--epochs", "20"]) == 0
    said = capsys.readouterr().out
    assert Repository(out).names() == [("surface-cnn", "1"), ("surface-cnn-int8", "1")]
    full, small = (Repository(out).load(name, "1").manifest for name in ("surface-cnn", "surface-cnn-int8"))
    assert full.classes == small.classes == KINDS
    assert full.clean == "clean"
    assert full.quality["accuracy"] > 0.45
    assert [sum(row) for row in full.confusion.values()] == [10, 10, 10]
    assert f"accuracy {full.quality['accuracy']:.4f}" in said
    assert small.parity is not None
    assert small.parity.reference == "surface-cnn/1"
    assert small.speed is not None
    assert full.speed is not None
    assert small.speed.file_bytes < full.speed.file_bytes / 2

    # What it learnt is where the next training starts.
    start = ["--from", str(out / "surface-cnn" / "1"), "--name", "again", "--epochs", "1"]
    asked[asked.index("--side") : asked.index("--side") + 2] = start
    assert run(asked) == 0
    again = Repository(out).load("again", "1").manifest
    assert again.image == full.image
    assert "from surface-cnn/1" in again.trained.how
    assert again.quality["accuracy"] > 0.45
