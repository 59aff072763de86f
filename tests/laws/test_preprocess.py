"""The kernel that makes a model's input, against a plain model of it: exact areas, exact interpolation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.preprocess import LUMA, Scratch, prepare

SCRATCH = Scratch()


def _weights(count: int, low: float, high: float, size: int) -> np.ndarray:
    """What each of `size` source pixels counts in each of `count` resized ones, [count, size], by definition."""
    step, pixel = (high - low) / count, np.arange(size, dtype=float)
    if step >= 1:
        begin = low + np.arange(count)[:, None] * step
        overlap = np.minimum(begin + step, pixel + 1) - np.maximum(begin, pixel)
        return np.clip(overlap, 0, None) / step
    centre = low + (np.arange(count) + 0.5) * step - 0.5
    centre = np.clip(centre, np.floor(low), np.ceil(high) - 1)[:, None]
    return np.clip(1 - np.abs(pixel - centre), 0, None)


def _model(pixels, box, mean, std, channels, height, width):
    left, top, right, bottom = box
    rows = _weights(height, top, bottom, pixels.shape[0])
    columns = _weights(width, left, right, pixels.shape[1])
    resized = np.einsum("yr,rsc,xs->cyx", rows, pixels / 255.0, columns)
    luma = resized[0] if len(resized) == 1 else np.einsum("c,cyx->yx", LUMA, resized)
    wanted = luma[None] if channels == 1 else np.broadcast_to(resized, (3, height, width))
    return (wanted - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1)), luma


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    height, width = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    pixels = rng.integers(0, 256, (height, width, draw(st.sampled_from([1, 3]))), dtype=np.uint8)
    whole = draw(st.booleans())
    if whole:
        left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        box = (left, top, draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height)))
    else:
        across, down = np.sort(rng.uniform(0, width, 2)), np.sort(rng.uniform(0, height, 2))
        box = (across[0], down[0], max(across[1], across[0] + 1e-3), max(down[1], down[0] + 1e-3))
        box = (min(box[0], width - 2e-3), min(box[1], height - 2e-3), min(box[2], width), min(box[3], height))
    channels = draw(st.sampled_from([1, 3]))
    mean, std = rng.uniform(0, 1, channels).astype(np.float32), rng.uniform(0.1, 1, channels).astype(np.float32)
    return pixels, box, mean, std, channels, draw(st.integers(1, 24)), draw(st.integers(1, 24))


@settings(max_examples=300)
@given(case=cases())
def test_a_prepared_picture_is_what_the_definition_says(case):
    pixels, box, mean, std, channels, height, width = case
    out, luma = np.full((channels, height, width), np.nan, np.float32), np.full((height, width), np.nan, np.float32)
    prepare(pixels, box, mean, std, out, SCRATCH, luma)
    expected, expected_luma = _model(*case)
    np.testing.assert_allclose(out, expected, atol=5e-5)
    np.testing.assert_allclose(luma, expected_luma, atol=5e-6)


@settings(max_examples=50)
@given(case=cases())
def test_a_turned_view_of_the_result_turns_it(case):
    pixels, box, mean, std, channels, height, width = case
    plain, turned = np.empty((channels, height, width), np.float32), np.empty((channels, width, height), np.float32)
    prepare(pixels, box, mean, std, plain, SCRATCH)
    prepare(pixels, box, mean, std, turned[:, :, ::-1].transpose(0, 2, 1), SCRATCH)
    assert np.array_equal(turned, np.rot90(plain, -1, axes=(1, 2)))


def test_an_untouched_size_is_the_pixels_themselves():
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    out = np.empty((3, 4, 4), np.float32)
    prepare(pixels, (0, 0, 4, 4), np.zeros(3, np.float32), np.ones(3, np.float32), out, SCRATCH)
    assert np.array_equal(np.rint(out * 255).astype(np.uint8), pixels.transpose(2, 0, 1))


def test_nothing_outside_the_box_is_read():
    pixels = np.full((20, 20, 1), 255, np.uint8)
    pixels[5:9, 6:11] = 100
    for size in (3, 30):
        out = np.empty((1, size, size), np.float32)
        prepare(pixels, (6, 5, 11, 9), np.zeros(1, np.float32), np.ones(1, np.float32), out, SCRATCH)
        np.testing.assert_allclose(out, 100 / 255, atol=1e-6)


@pytest.mark.parametrize("box", [(0, 0, 5, 4), (-1, 0, 2, 2), (2, 0, 2, 4), (0, 3, 4, 2), (0, 0, float("nan"), 4)])
def test_a_box_outside_the_picture_is_refused(box):
    one = np.ones(1, np.float32)
    with pytest.raises(ValueError, match="of a picture of 4 x 4 pixels"):
        prepare(np.zeros((4, 4, 1), np.uint8), box, one, one, np.empty((1, 2, 2), np.float32), SCRATCH)
