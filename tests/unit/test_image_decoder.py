"""Frames that are decided on: their pixels, whatever form the file has, and what is seen of them on the way."""

import io
from threading import Thread

import numpy as np
import pytest
from image_files import chunk, exif, frame_at, jpeg, photo, png, saved, segment, segments, with_segment
from PIL import Image, ImageOps

from models.manifest import ImageInput
from pipeline.image.decoder import ImageDecoder
from pipeline.image.duplicate import payload_hash
from pipeline.image.measures import BRIGHT, DARK, EXPOSURE, MEASURES, SHARPNESS
from pipeline.image.probe import probe

PIXELS_MAX = 1 << 22


def decoder(height: int, width: int, channels: int, **options) -> ImageDecoder:
    image = ImageInput(height=height, width=width, channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels)
    return ImageDecoder(image, options.pop("crop", (0.0, 0.0, 1.0, 1.0)), PIXELS_MAX, **options)


def decoded(raw: bytes, height: int, width: int, channels: int = 3, **options) -> np.ndarray:
    """float64[height, width, channels], in grey levels of 255."""
    value = np.frombuffer(raw, np.uint8)
    out, measures = np.full((channels, height, width), np.nan, np.float32), np.empty(len(MEASURES))
    decoder(height, width, channels, **options).decode(value.ctypes.data, len(raw), out, measures)
    return out.transpose(1, 2, 0).astype(float) * 255


def pillows(raw: bytes, mode: str = "RGB") -> np.ndarray:
    pixels = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(raw))).convert(mode)).astype(float)
    return pixels.reshape(*pixels.shape[:2], -1)


GREY, COLOUR = photo(30, 44, 1), photo(30, 44, 3)
PLAIN = jpeg(COLOUR)
SCAN = segments(PLAIN)[-1][2]
PICTURES = {
    "grey JPEG": jpeg(GREY),
    "colour JPEG": jpeg(COLOUR, subsampling="4:4:4"),
    "colour JPEG with halved colour": jpeg(COLOUR, subsampling="4:2:0"),
    "progressive JPEG": jpeg(COLOUR, progressive=True),
    "grey progressive JPEG": jpeg(GREY, progressive=True),
    "JPEG with restarts": jpeg(COLOUR, restart_marker_blocks=2),
    "JPEG that relies on the standard codes": b"".join(
        [PLAIN[:2], *(PLAIN[first:end] for marker, first, end in segments(PLAIN) if marker != 0xC4), PLAIN[SCAN:]]
    ),
    "JPEG that stores RGB": jpeg(COLOUR, keep_rgb=True),
    "JPEG with a profile and a comment": jpeg(COLOUR, icc_profile=bytes(70_000), comment=b"line 4"),
    "JPEG with a thumbnail": with_segment(jpeg(COLOUR), 0xE1, b"Exif\0\0" + exif(1) + jpeg(photo(8, 8))),
    "JPEG with padding between its parts": jpeg(COLOUR)[:2] + b"\xff\xff" + jpeg(COLOUR)[2:],
    "JPEG with something behind its end": jpeg(COLOUR) + b"camera padding" + jpeg(photo(9, 9)),
    "PNG": saved(COLOUR, "PNG"),
    "PNG with something behind its end": saved(COLOUR, "PNG") + bytes(100),
    "grey PNG": saved(GREY, "PNG"),
    "palette PNG": saved(COLOUR, "PNG", mode="P"),
    "1-bit PNG": saved(COLOUR, "PNG", mode="1"),
    "16-bit PNG": png(COLOUR.astype(int) * 257, bits=16),
    "interlaced PNG": png(COLOUR.astype(int), interlaced=True),
    "PNG with an opaque alpha channel": saved(COLOUR, "PNG", mode="RGBA"),
    "PNG with a profile and texts": png(
        COLOUR.astype(int), before=chunk(b"tEXt", b"a\0b") + chunk(b"gAMA", bytes(4))
    ),
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_frame_becomes_its_pixels(name, channels):
    raw = PICTURES[name]
    expected = pillows(raw, "L" if channels == 1 else "RGB")
    # Pillow rounds its luma down, libjpeg its own.
    np.testing.assert_allclose(decoded(raw, 30, 44, channels), expected, atol=1.01 if channels == 1 else 0.01)
    value = np.frombuffer(raw, np.uint8)
    found = probe(value.ctypes.data, len(raw), PIXELS_MAX)
    assert (found.format, found.width, found.height) == (raw[1:4].decode() if "PNG" in name else "JPEG", 44, 30)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("big_endian", [False, True])
def test_a_frame_is_seen_as_a_viewer_shows_it(orientation, big_endian):
    tiff = exif(orientation, big_endian)
    files = (
        with_segment(jpeg(COLOUR, subsampling="4:4:4"), 0xE1, b"Exif\0\0" + tiff),
        png(COLOUR.astype(int), before=chunk(b"eXIf", tiff)),
    )
    for raw in files:
        expected = pillows(raw)
        height, width, _ = expected.shape
        assert (height < width) == (orientation < 5)
        np.testing.assert_allclose(decoded(raw, height, width), expected, atol=0.01)
        crop = (0.25, 0.2, 0.5, 0.6)
        top, bottom, left, right = round(0.2 * height), round(0.6 * height), round(0.25 * width), round(0.5 * width)
        cropped = expected[top:bottom, left:right]
        if left == 0.25 * width and top == 0.2 * height:
            shown = decoded(raw, *cropped.shape[:2], crop=crop)
            np.testing.assert_allclose(shown, cropped, atol=0.01)


@pytest.mark.parametrize(
    "tiff", [b"", b"II*\0", exif(0), exif(9), exif(6)[:20], b"XX" + exif(6)[2:], exif(6)[:4] + b"\xff" * 30]
)
def test_a_broken_orientation_turns_nothing(tiff):
    raw = with_segment(jpeg(COLOUR), 0xE1, b"Exif\0\0" + tiff)
    np.testing.assert_allclose(decoded(raw, 30, 44), pillows(jpeg(COLOUR)), atol=0.01)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (40_000, 1), (1, 40_000), (7, 3)])
def test_any_shape_fills_the_input(shape):
    for raw in (jpeg(photo(*shape)), saved(photo(*shape), "PNG")):
        grey = decoded(raw, 16, 16, 1)
        assert np.isfinite(grey).all()
        assert abs(grey.mean() - pillows(raw, "L").mean()) < 12


@pytest.mark.parametrize("side", [100, 101, 130, 260, 517])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_reduced_frame_shows_the_same_place(side, orientation):
    raw = with_segment(jpeg(photo(side, side + 13)), 0xE1, b"Exif\0\0" + exif(orientation))
    for crop in [(0.0, 0.0, 1.0, 1.0), (0.1, 0.05, 0.77, 0.9)]:
        reduced = decoded(raw, 32, 24, crop=crop)
        full = decoded(raw, 32, 24, crop=crop, reduce=False)
        # A JPEG's own reduction is a sharper filter than the mean of an area, at the same place.
        assert np.abs(reduced - full).mean() < 4
        assert np.abs(reduced - full).mean() < np.abs(reduced - np.roll(full, 1, axis=1)).mean() / 8


def test_a_frame_is_reduced_only_as_far_as_the_input_allows():
    reader = decoder(32, 32, 1)
    for height, width, reduction in [
        (63, 64, 1),
        (64, 64, 2),
        (127, 300, 2),
        (300, 127, 2),
        (128, 128, 4),
        (256, 999, 8),
        (2000, 2000, 8),
    ]:
        raw = np.frombuffer(jpeg(photo(height, width, 1)), np.uint8)
        pixels, by = reader._jpeg(raw.ctypes.data, len(raw))
        assert (by, pixels.shape) == (reduction, (-(-height // reduction), -(-width // reduction), 1))


def _measured(pixels: np.ndarray, side: int = 64) -> tuple[np.ndarray, int]:
    raw = np.frombuffer(saved(pixels, "PNG"), np.uint8)
    reader, measures = decoder(side, side, 1), np.empty(len(MEASURES))
    reader.decode(raw.ctypes.data, len(raw), np.empty((1, side, side), np.float32), measures)
    return measures, reader.perceptual_hash


def test_measures_are_what_they_are_defined_as():
    pixels = photo(64, 64, 1, seed=3)
    pixels[:8], pixels[8:12, :32] = 5, 250
    measures, _ = _measured(pixels)
    grey = pixels[..., 0].astype(float)
    inner = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    assert measures[EXPOSURE] == pytest.approx(grey.mean() / 255, rel=1e-5)
    assert measures[SHARPNESS] == pytest.approx(inner.var(), rel=1e-4)
    assert measures[DARK] == (grey <= 5).mean()
    assert measures[BRIGHT] == (grey >= 250).mean()


def test_a_blurred_frame_is_less_sharp_and_a_darker_one_less_exposed():
    clear = photo(64, 64, 1)
    blurred = sum(np.roll(clear.astype(float), by, axis) for by in (-1, 0, 1) for axis in (0, 1)) / 6
    assert _measured(blurred.astype(np.uint8))[0][SHARPNESS] < _measured(clear)[0][SHARPNESS] / 2
    assert _measured(clear // 2)[0][EXPOSURE] < _measured(clear)[0][EXPOSURE] * 0.6


def test_the_perceptual_hash_is_the_difference_hash():
    pixels = photo(72, 72, 1, seed=5)
    cells = pixels[..., 0].reshape(8, 9, 9, 8).mean(axis=(1, 3))
    bits = (cells[:, :-1] > cells[:, 1:]).reshape(-1)
    assert _measured(pixels, 72)[1] == sum(1 << index for index, bit in enumerate(bits.tolist()) if bit)


def test_the_perceptual_hash_survives_brightness_and_not_another_scene():
    pixels = photo(72, 72, 1)
    darker, other = _measured(pixels // 2 + 20)[1], _measured(photo(72, 72, 1)[::-1, ::-1])[1]
    assert (_measured(pixels)[1] ^ darker).bit_count() <= 4 < (_measured(pixels)[1] ^ other).bit_count()


def test_a_payload_hash_tells_payloads_apart():
    raw = np.frombuffer(jpeg(COLOUR), np.uint8).copy()
    first = payload_hash(raw.ctypes.data, len(raw))
    assert payload_hash(raw.copy().ctypes.data, len(raw)) == first
    assert payload_hash(raw.ctypes.data, len(raw) - 1) != first
    assert payload_hash(raw.ctypes.data, len(raw), b"of another process") != first
    raw[50] ^= 1
    assert payload_hash(raw.ctypes.data, len(raw)) != first
    assert all(0 <= half < 1 << 64 for half in first)


def test_threads_decode_side_by_side():
    files = [jpeg(photo(120, 90, 3, seed)) for seed in range(4)]
    expected = [decoded(raw, 32, 32) for raw in files]
    wrong = []

    def work(index: int) -> None:
        wrong.extend(index for _ in range(20) if not np.array_equal(decoded(files[index], 32, 32), expected[index]))

    threads = [Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_frame_may_be_decoded_after_a_bad_one():
    reader, out, measures = decoder(30, 44, 3), np.empty((3, 30, 44), np.float32), np.empty(4)
    good, bad = np.frombuffer(jpeg(COLOUR), np.uint8), np.frombuffer(jpeg(COLOUR)[:400], np.uint8)
    with pytest.raises(ValueError, match="ends"):
        reader.decode(bad.ctypes.data, len(bad), out, measures)
    reader.decode(good.ctypes.data, len(good), out, measures)
    np.testing.assert_allclose(out.transpose(1, 2, 0) * 255, pillows(jpeg(COLOUR)), atol=0.01)


def test_parts_of_the_factory_are_where_they_say():
    raw = jpeg(COLOUR)
    assert raw[frame_at(raw)] == 0xFF
    assert segment(0xFE, b"ab") == b"\xff\xfe\x00\x04ab"
