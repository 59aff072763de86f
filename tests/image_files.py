"""Image files that tests make for themselves: plain ones, odd ones and broken ones."""

import io
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

ADAM7 = [(0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2)]
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def photo(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Something with edges, gradients and grain: uint8[height, width, channels]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [110 + 60 * np.sin(x / (7 + c) + c) + 50 * np.cos(y / (11 - c)) for c in range(channels)]
    grain = rng.normal(0, 5, (height, width, channels))
    return np.clip(np.stack(waves, axis=-1) + grain + 40 * (x > width // 2)[..., None], 0, 255).astype(np.uint8)


def saved(pixels: np.ndarray, form: str, **options: Any) -> bytes:
    """A file as Pillow writes it; `mode` converts first."""
    out, mode = io.BytesIO(), options.pop("mode", None)
    image = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
    (image.convert(mode) if mode else image).save(out, form, **options)
    return out.getvalue()


def jpeg(pixels: np.ndarray, **options: Any) -> bytes:
    return saved(pixels, "JPEG", **({"quality": 90} | options))


def exif(orientation: int, big_endian: bool = False) -> bytes:
    """A TIFF structure of two tags, the second of which is the orientation."""
    mark = ">" if big_endian else "<"
    head = (b"MM" if big_endian else b"II") + struct.pack(mark + "HIH", 42, 8, 2)
    entries = struct.pack(mark + "HHIHH", 0x010F, 3, 1, 7, 0) + struct.pack(
        mark + "HHIHH", 0x0112, 3, 1, orientation, 0
    )
    return head + entries + bytes(4)


def segment(marker: int, data: bytes) -> bytes:
    """One part of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def with_segment(raw: bytes, marker: int, data: bytes) -> bytes:
    """A JPEG with a part of its own right after its first two bytes."""
    return raw[:2] + segment(marker, data) + raw[2:]


def segments(raw: bytes) -> list[tuple[int, int, int]]:
    """Marker, first byte and end of each part of a JPEG up to its first scan's header."""
    at, found = 2, []
    while True:
        marker, size = raw[at + 1], struct.unpack_from(">H", raw, at + 2)[0]
        found.append((marker, at, at + 2 + size))
        at += 2 + size
        if marker == 0xDA:
            return found


def frame_at(raw: bytes) -> int:
    """Where a JPEG's frame header begins."""
    return next(first for marker, first, _ in segments(raw) if marker in (0xC0, 0xC1, 0xC2))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def header(width: int, height: int, bits: int, kind: int, interlaced: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced))


def _filtered(kind: int, line: bytes, above: bytes, step: int) -> bytes:
    out = bytearray([kind])
    for index, value in enumerate(line):
        left = line[index - step] if index >= step else 0
        up = above[index]
        corner = above[index - step] if index >= step else 0
        nearest = min(
            (abs(up - corner), 0, left), (abs(left - corner), 1, up), (abs(left + up - 2 * corner), 2, corner)
        )
        out.append((value - (0, left, up, (left + up) // 2, nearest[2])[kind]) & 255)
    return bytes(out)


def _packed_row(samples: np.ndarray, bits: int) -> bytes:
    if bits == 16:
        return samples.astype(">u2").tobytes()
    planes = (samples.reshape(-1, 1) >> np.arange(bits)[::-1]) & 1
    return np.packbits(planes.astype(np.uint8).reshape(-1)).tobytes()


def rows(samples: np.ndarray, bits: int, interlaced: bool = False, filters: Iterable[int] = (0, 1, 2, 3, 4)) -> bytes:
    """A PNG's pixels before they are compressed, of int[height, width, samples a pixel]."""
    height, width, count = samples.shape
    step, turn, raw = max(1, bits * count // 8), list(filters), b""
    for left, step_x, top, step_y in ADAM7 if interlaced else [(0, 1, 0, 1)]:
        part = samples[top:height:step_y, left:width:step_x]
        above = bytes(len(_packed_row(part[0], bits))) if part.size else b""
        for y, row in enumerate(part if part.size else []):
            line = _packed_row(row, bits)
            raw += _filtered(turn[y % len(turn)], line, above, step)
            above = line
    return raw


def png(
    samples: np.ndarray, kind: int = 2, bits: int = 8, interlaced: bool = False, before: bytes = b"", **options: Any
) -> bytes:
    """A PNG of any colour type; `before` are chunks ahead of its pixels."""
    height, width, _ = samples.shape
    pixels = zlib.compress(rows(samples, bits, interlaced, **options))
    cut = len(pixels) // 2
    return (
        SIGNATURE + header(width, height, bits, kind, int(interlaced)) + before
        + chunk(b"IDAT", pixels[:cut]) + chunk(b"IDAT", pixels[cut:]) + chunk(b"IEND", b"")
    )  # fmt: skip
