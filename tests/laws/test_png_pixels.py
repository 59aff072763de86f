"""Every form of PNG that is accepted becomes the pixels that Pillow makes of it."""

import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import SAMPLES, chunk, png
from PIL import Image

from pipeline.image.found import FIELDS, KIND
from pipeline.image.png_pixels import channels_of, unpack_png
from pipeline.image.png_structure import read_png

KIND_BYTE = 25
KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8)]
KINDS += [(4, 8), (4, 16), (6, 8), (6, 16)]


def ours(raw: bytes) -> np.ndarray:
    value, found = np.frombuffer(raw, np.uint8), np.zeros(len(FIELDS), np.int64)
    palette, packed = np.zeros((257, 4), np.uint8), np.empty(len(raw), np.uint8)
    assert read_png(value.ctypes.data, len(raw), True, found, palette, packed) == 0
    width, height = Image.open(io.BytesIO(raw)).size
    pixels = np.full((height, width, channels_of(int(found[KIND]))), 77, np.uint8)
    unpack_png(found.tolist(), packed, palette, pixels)
    return pixels


def pillows(raw: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(raw))
    if image.mode.startswith("I"):
        return (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)[..., None]
    grey = raw[KIND_BYTE] in (0, 4)
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1)


@st.composite
def files(draw):
    kind, bits = draw(st.sampled_from(KINDS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    height, width = draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    top = 1 << bits
    samples = rng.integers(0, top, (height, width, SAMPLES[kind]))
    if draw(st.booleans()):
        samples = np.cumsum(rng.integers(0, 3, samples.shape), axis=1) % top
    before = b""
    if kind == 3:
        entries = int(samples.max()) + 1
        before = chunk(b"PLTE", rng.integers(0, 256, 3 * entries, dtype=np.uint8).tobytes())
        before += chunk(b"tRNS", b"\xff" * draw(st.integers(0, entries)))
    if kind in (4, 6):
        samples[..., -1] = top - 1
    filters = draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))
    return png(samples, kind, bits, draw(st.booleans()), before, filters=filters)


@settings(max_examples=400)
@given(raw=files())
def test_pixels_are_pillows(raw):
    assert np.array_equal(ours(raw), pillows(raw))
