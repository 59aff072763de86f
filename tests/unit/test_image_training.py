"""Training a classifier of images: splits, what is measured, and the gate that a quantised model has to pass."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from models.manifest import ImageInput, ModelError, Trained
from models.preprocess import Scratch, prepare
from models.train.augment import Augmentation, Augmenter, shown
from models.train.classifier import calibration_of, confusion_of, quality_of, scaled, temperature_of
from models.train.pictures import Pictures, check_split, held_out_share, within

IMAGE = ImageInput(height=16, width=16, channels=1, mean=(0.5,), std=(0.25,))
NAMES = ("clean", "pits", "scratches")
PLAIN = Augmentation(shrink=0, widen=0, shading=0, brightness=0, contrast=0, noise=0, exposed=0, mirrored=False)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def pictures(count: int) -> Pictures:
    random = np.random.default_rng(1)
    images = [random.integers(0, 256, (24, 30, 1), np.uint8) for _ in range(count)]
    return Pictures(NAMES, images, np.arange(count) % len(NAMES))


def test_a_share_is_held_out_of_every_class_by_the_seed() -> None:
    truth = np.repeat([0, 1, 2], [10, 50, 5])
    held = held_out_share(truth, 0.2, 1)
    assert [int(held[truth == label].sum()) for label in range(3)] == [2, 10, 1]
    assert np.array_equal(held, held_out_share(truth, 0.2, 1))
    assert not np.array_equal(held, held_out_share(truth, 0.2, 2))


def test_numbers_are_within_a_span_with_both_its_ends() -> None:
    assert within(np.array([-1, 1, 200, 201]), (1, 200)).tolist() == [False, True, True, False]


def test_a_class_with_too_few_images_is_named() -> None:
    truth = np.repeat([0, 1, 2], 12)
    some = Pictures(NAMES, [], truth)
    train = np.arange(36) % 12 < np.array([10, 8, 2])[truth]
    with pytest.raises(
        ModelError, match="class scratches has 2 images to train on and 10 held out, expected at least 8"
    ):
        check_split(some, train, ~train)
    with pytest.raises(ModelError, match="1 pictures would be both trained on and held out"):
        check_split(some, np.arange(36) < 20, np.arange(36) >= 19)


def test_an_unchanged_picture_is_what_the_stream_shows() -> None:
    some = pictures(6)
    whole = shown(some, IMAGE)
    expected = np.empty((1, 16, 16), np.float32)
    prepare(some.images[2], (0, 0, 30, 24), np.float32([0.5]), np.float32([0.25]), expected, Scratch())
    assert np.array_equal(whole[2], expected)
    ((images, truth),) = Augmenter(some, IMAGE, PLAIN, 6, 1).batches(0)
    for image, label in zip(images, truth, strict=True):
        apart = np.abs(whole - image).max(axis=(1, 2, 3))
        assert apart.min() < 1e-5
        assert some.truth[apart.argmin()] == label


def test_light_falls_off_from_one_side_to_the_other() -> None:
    image = IMAGE.model_copy(update={"mean": (0.0,), "std": (1.0,)})
    grey = Pictures(("even",), [np.full((24, 30, 1), 100, np.uint8)] * 8, np.zeros(8, np.int64))
    ((shaded, _),) = Augmenter(grey, image, replace(PLAIN, shading=0.5), 8, 1).batches(0)
    for one in shaded[:, 0]:
        across, down = np.log(one[:, -1] / one[:, 0]), np.log(one[-1] / one[0])
        assert np.ptp(across) < 1e-4  # the same on every line
        assert np.ptp(down) < 1e-4
        assert max(abs(across[0]), abs(down[0])) <= 1.0
        assert one[7:9, 7:9].mean() == pytest.approx(100 / 255, rel=0.01)


def test_some_pictures_are_seen_at_any_brightness_in_uneven_light() -> None:
    image = IMAGE.model_copy(update={"mean": (0.0,), "std": (1.0,)})
    grey = Pictures(("even",), [np.full((24, 30, 1), 100, np.uint8)] * 64, np.zeros(64, np.int64))
    ((seen, _),) = Augmenter(grey, image, replace(PLAIN, exposed=0.5), 64, 1).batches(0)
    left = np.abs(seen - 100 / 255).max(axis=(1, 2, 3)) < 1e-5
    assert 20 <= int(left.sum()) <= 44
    middles = seen[~left].mean(axis=(1, 2, 3))
    assert middles.min() < 0.3 < 0.7 < middles.max()
    assert np.abs(np.diff(seen[~left, 0], axis=2)).max() < 0.3  # smooth, wherever it is bright
    assert np.ptp(seen[~left, 0], axis=(1, 2)).min() > 0.02
    assert seen.max() <= 1


def test_a_black_picture_stays_black_at_any_exposure() -> None:
    black = Pictures(("dark",), [np.zeros((24, 30, 1), np.uint8)] * 8, np.zeros(8, np.int64))
    ((seen, _),) = Augmenter(black, IMAGE, replace(PLAIN, exposed=1), 8, 1).batches(0)
    assert np.abs(seen - (0 - 0.5) / 0.25).max() < 1e-5


def test_further_away_a_picture_is_smaller_and_its_mirror_image_is_beside_it() -> None:
    pixels = np.zeros((64, 64, 1), np.uint8)
    pixels[:, :16] = 255  # a stripe at the edge, which its reflection makes twice as wide
    image = IMAGE.model_copy(update={"mean": (0.0,), "std": (1.0,)})
    some = Pictures(("stripe",), [pixels] * 32, np.zeros(32, np.int64))
    ((seen, _),) = Augmenter(some, image, replace(PLAIN, widen=1.0), 32, 1).batches(0)
    bright = seen.mean(axis=(1, 2, 3))
    assert 8 <= int((np.abs(bright - 0.25) < 1e-6).sum()) <= 24
    assert 0.26 < bright.max() < 32 / 64


def test_changed_pictures_are_the_same_for_the_same_seed_and_epoch() -> None:
    def first(seed: int, epoch: int) -> np.ndarray:
        return next(Augmenter(pictures(12), IMAGE, Augmentation(), 4, seed).batches(epoch))[0]

    assert first(1, 0).shape == (4, 1, 16, 16)
    assert np.array_equal(first(1, 0), first(1, 0))
    assert not np.array_equal(first(1, 0), first(1, 1))
    assert not np.array_equal(first(1, 0), first(2, 0))


def test_an_epoch_shows_every_picture_once_as_far_as_batches_are_full() -> None:
    some = Augmenter(pictures(14), IMAGE, Augmentation(), 4, 1)
    assert some.batches_an_epoch == 3 == len(list(some.batches(0)))


def test_the_temperature_undoes_overconfidence() -> None:
    random = np.random.default_rng(3)
    logits = random.normal(0, 1.5, (4000, 3))
    truth = np.array([random.choice(3, p=row / row.sum()) for row in softmax(logits).astype(np.float64)])
    overconfident = softmax(logits * 3)
    temperature = temperature_of(overconfident, truth)
    assert temperature == pytest.approx(3, rel=0.1)
    calibration = calibration_of(overconfident, scaled(overconfident, temperature), truth, temperature)
    assert calibration.ece_after < 0.03 < 0.1 < calibration.ece_before
    assert sum(calibration.images) == 4000


def test_a_model_that_was_always_right_stays_short_of_certain() -> None:
    truth = np.arange(60) % 3
    right = softmax(np.eye(3)[truth] * 6)
    assert 1 - scaled(right, temperature_of(right, truth)).max() > 1e-3


def test_confusion_and_quality() -> None:
    truth = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    found = np.array([0, 0, 0, 1, 1, 0, 2, 2])
    probabilities = np.eye(3, dtype=np.float32)[found]
    assert confusion_of(probabilities, truth, NAMES) == {
        "clean": (3, 1, 0),
        "pits": (1, 1, 0),
        "scratches": (0, 0, 2),
    }
    assert quality_of(probabilities, truth, 0) == {
        "accuracy": 0.75,
        "recall_min": 0.5,
        "defects_missed": 0.25,
        "false_alarms": 0.25,
    }
    assert set(quality_of(probabilities, truth, None)) == {"accuracy", "recall_min"}


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network of random weights, without biases, so that its answers do not depend on how strong a picture is."""
    onnx = pytest.importorskip("onnx", reason="models are written with the extra vision-train")
    from models.train.onnx_conv import Folded, Layer, network_to_onnx

    random = np.random.default_rng(5)
    layers = (Layer(3, 2, 8), Layer(3, 1, 8))
    weights = tuple(random.normal(0, 0.4, (8, channels, 3, 3)).astype(np.float32) for channels in (1, 8))
    biases = tuple(np.zeros(8, np.float32) for _ in layers)
    dense = random.normal(0, 1, (16, 3)).astype(np.float32)
    path = tmp_path / "float32.onnx"
    onnx.save(network_to_onnx(Folded(layers, weights, biases, dense, np.zeros(3, np.float32)), IMAGE), path)
    return path


def images_of(count: int) -> np.ndarray:
    random = np.random.default_rng(6)
    level = random.normal(0, 1.5, (count, 1, 1, 1))
    return (level + random.normal(0, 0.7, (count, 1, 16, 16))).astype(np.float32)


def test_a_well_quantised_model_passes_and_its_costs_are_told(network: Path, tmp_path: Path) -> None:
    from models.train.classifier import probabilities_of
    from models.train.quantise import parity_of, quantise

    small = tmp_path / "int8.onnx"
    quantise(network, images_of(128), small)
    images = images_of(300)
    expected = probabilities_of(network, images)
    parity = parity_of("surface-cnn/1", expected, probabilities_of(small, images), expected.argmax(axis=1), 0.9, 0.1)
    assert 0.9 <= parity.agreement <= 1
    assert parity.accuracy_drop == pytest.approx(1 - parity.agreement, abs=1e-3)
    assert parity.images == 300


def test_a_badly_quantised_model_is_refused_with_both_numbers(network: Path, tmp_path: Path) -> None:
    from models.train.classifier import probabilities_of
    from models.train.quantise import QuantisationError, parity_of, quantise

    small = tmp_path / "int8.onnx"
    quantise(network, images_of(128) * np.float32(0.01), small)  # ranges a hundred times too narrow
    images = images_of(300)
    expected = probabilities_of(network, images)
    with pytest.raises(
        QuantisationError, match=r"agrees .* on [\d.]+%, expected at least 98.00%.* [\d.]+ points lower"
    ):
        parity_of("surface-cnn/1", expected, probabilities_of(small, images), expected.argmax(axis=1))


def test_either_limit_refuses() -> None:
    from models.train.quantise import QuantisationError, parity_of

    truth = np.zeros(200, np.int64)
    right = np.tile(np.float32([1, 0, 0]), (200, 1))
    wrong = right.copy()
    wrong[:2] = (0, 1, 0)
    assert parity_of("a/1", right, wrong, truth, 0.99, 0.01).agreement == 0.99
    with pytest.raises(QuantisationError, match="agrees"):
        parity_of("a/1", right, wrong, truth, 0.991, 0.01)
    with pytest.raises(QuantisationError, match=r"accuracy is 1.00 points lower, expected at most 0.90"):
        parity_of("a/1", right, wrong, truth, 0.9, 0.009)


def test_a_network_is_read_back_as_it_was_written(network: Path) -> None:
    from models.train.onnx_conv import Layer, network_of

    read = network_of(network)
    assert read.layers == (Layer(3, 2, 8), Layer(3, 1, 8))
    assert read.weights[1].shape == (8, 8, 3, 3)


def test_a_model_of_another_make_cannot_be_trained_on() -> None:
    pytest.importorskip("onnx", reason="models are read with the extra vision-train")
    from models.repository import Repository
    from models.train.onnx_conv import network_of

    with pytest.raises(ModelError, match="not a network to train on from"):
        network_of(Repository.shipped().load("fraud-gbt", "1").path)


@pytest.mark.parametrize("agreement_min", [0.0, 1.01])
def test_int8_is_registered_only_by_its_gate(tmp_path: Path, agreement_min: float) -> None:
    pytest.importorskip("jax", reason="networks are trained with the extra vision-train")
    from models.repository import Repository
    from models.train.image_entries import Lineage, register
    from models.train.network import Network
    from models.train.onnx_conv import Layer
    from models.train.quantise import QuantisationError

    some = pictures(24)
    network = Network((Layer(3, 2, 8), Layer(3, 1, 8)), 1, len(NAMES), seed=1)
    trained = Trained(when=date(2026, 2, 3), how="made up", data="none", rows=24, positives=16, seed=1)
    lineage = Lineage("tiny", "3", "clean", "Apache-2.0", trained)
    told: list[str] = []

    def go() -> None:
        limits = (agreement_min, 1.0)
        three = (some, some, some)
        register(
            Repository(tmp_path), network, IMAGE, three, lineage, limits, shown, lambda e: told.append(e.path.name)
        )

    if agreement_min > 1:
        with pytest.raises(QuantisationError, match="tiny/3"):
            go()
        assert Repository(tmp_path).names() == [("tiny", "3")]
        assert len(told) == 1
        return
    go()
    assert Repository(tmp_path).names() == [("tiny", "3"), ("tiny-int8", "3")]
    full, small = (Repository(tmp_path).load(name, "3").manifest for name in ("tiny", "tiny-int8"))
    assert full.parity is None
    assert small.parity is not None
    assert small.parity.agreement_min == 0
    assert full.calibration is not None
    assert sum(full.calibration.images) == 24
    assert len(told) == 2
