"""Whatever bytes a frame holds, it is decided on or refused by name: no crash, no hang, no growth of memory."""

import ctypes
import mmap
import random
import struct
import time
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from image_files import chunk, exif, jpeg, photo, png, saved, with_segment

from models.manifest import ImageInput
from pipeline.image.decoder import ImageDecoder
from pipeline.image.found import FAULTS, BadImageError
from pipeline.image.probe import probe

PIXELS_MAX = 1 << 20
CPU_S_MAX = 2.0
"""What no image may take: a thousand times the usual, a tenth of what would hold up a line of cameras."""
GROWTH_BYTES_MAX = 48 << 20
CODES = {code for code, _ in FAULTS.values()} | {"empty", "not-an-image", "too-many-pixels"}
INPUTS = [
    ImageInput(height=16, width=24, channels=1, mean=(0.5,), std=(0.25,)),
    ImageInput(height=48, width=40, channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2)),
]
MARKERS = [
    b"\xff" + bytes([kind]) for kind in (0xC0, 0xC1, 0xC2, 0xC4, 0xC9, 0xD0, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD, 0xE1)
]
NUMBERS = [struct.pack(form, value) for form in (">H", ">I") for value in (0, 1, 2, 255, 30_000, 65_535)]


def corpus() -> list[bytes]:
    """A valid file of every kind, small enough that a change often hits what matters."""
    colour, grey, large = photo(40, 56), photo(33, 47, 1), photo(150, 210)
    whole = colour[:24, :24].astype(int)
    palette = chunk(b"PLTE", bytes(range(192))) + chunk(b"tRNS", b"\xff" * 9)
    files = [jpeg(colour), jpeg(grey), jpeg(colour, progressive=True), jpeg(grey, progressive=True), jpeg(large)]
    files += [jpeg(colour, subsampling="4:4:4"), jpeg(colour, keep_rgb=True), jpeg(colour, mode="CMYK")]
    files += [jpeg(colour, restart_marker_blocks=1), jpeg(large, progressive=True, restart_marker_rows=1)]
    files += [with_segment(jpeg(colour), 0xE1, b"Exif\0\0" + exif(side)) for side in (3, 6)]
    files += [
        saved(colour, "PNG"),
        saved(grey, "PNG"),
        saved(colour, "PNG", mode="RGBA"),
        saved(colour, "PNG", mode="1"),
    ]
    files += [png(whole[..., :1] % 64, 3, 8, True, palette), png(whole[..., :1] % 16, 3, 4, False, palette)]
    files += [png(whole * 257, 2, 16, True), png(whole[..., :1] * 257, 0, 16), png(whole[..., :1] % 4, 0, 2, True)]
    files += [png(whole, before=chunk(b"eXIf", exif(5)) + chunk(b"zTXt", b"t\0\0" + zlib.compress(bytes(99_999))))]
    return [*files, saved(colour, "GIF"), saved(colour, "WEBP"), b'{"frame": 1}', bytes(64), jpeg(photo(1, 1))]


def repaired(raw: bytearray) -> None:
    """Make the checksums of a PNG's chunks right, so that what they hold is read."""
    at = 8
    while at + 12 <= len(raw):
        size = int.from_bytes(raw[at : at + 4], "big")
        if at + 12 + size > len(raw):
            return
        raw[at + 8 + size : at + 12 + size] = struct.pack(">I", zlib.crc32(raw[at + 4 : at + 8 + size]))
        at += 12 + size


def repacked(rng: random.Random, raw: bytearray) -> bytearray:
    """A PNG whose pixels were changed before they were packed."""
    first = raw.find(b"IDAT")
    try:
        pixels = bytearray(zlib.decompress(b"".join(part for name, part in chunks(raw) if name == b"IDAT")))
    except zlib.error:
        return raw
    if first < 0 or not pixels:
        return raw
    for _ in range(rng.randrange(1, 9)):
        pixels[rng.randrange(len(pixels))] = rng.randrange(256)
    pixels = pixels[: rng.choice([len(pixels)] * 6 + [len(pixels) // 2, len(pixels) - 1])] + bytes(
        rng.choice([0] * 9 + [1])
    )
    return raw[: first - 4] + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def chunks(raw: bytearray) -> list[tuple[bytes, bytes]]:
    at, found = 8, []
    while at + 12 <= len(raw):
        size = int.from_bytes(raw[at : at + 4], "big")
        found.append((bytes(raw[at + 4 : at + 8]), bytes(raw[at + 8 : at + 8 + size])))
        at += 12 + size
    return found


def resized(rng: random.Random, raw: bytearray, is_png: bool) -> None:
    """Let the header tell of another size."""
    sides = [rng.choice([1, 7, 40, 300, 1_000, 3_000, 65_535]) for _ in range(2)]
    if is_png:
        raw[16:24] = struct.pack(">II", *sides)
    else:
        at = max(raw.find(b"\xff\xc0\x00"), raw.find(b"\xff\xc2\x00"), 0)
        raw[at + 5 : at + 9] = struct.pack(">HH", *sides)


def mutated(rng: random.Random, files: list[bytes]) -> bytes:
    raw = bytearray(rng.choice(files))
    is_png = raw[:4] == b"\x89PNG"
    if is_png and rng.random() < 0.4:
        raw = repacked(rng, raw)
    if rng.random() < 0.1:
        resized(rng, raw, is_png)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3, 8])):
        # Headers are short: half of the changes go there.
        at = rng.randrange(min(len(raw), rng.choice([64, 700, len(raw), len(raw)])) + 1)
        kind = rng.randrange(8)
        if kind <= 1 and at < len(raw):
            raw[at] = rng.choice([rng.randrange(256), raw[at] ^ 1 << rng.randrange(8), 0, 255])
        elif kind == 2:
            del raw[at : at + rng.choice([1, 2, 16, 300])]
        elif kind == 3:
            other = rng.choice(files)
            begin = rng.randrange(len(other))
            raw[at:at] = other[begin : begin + rng.choice([2, 20, 400, 9999])]
        elif kind == 4:
            raw[at : at + rng.choice([0, 2])] = rng.choice(MARKERS)
        elif kind == 5:
            number = rng.choice(NUMBERS)
            raw[at : at + len(number)] = number
        elif kind == 6:
            raw[at:at] = raw[at : at + rng.choice([12, 90, 2000])] * rng.choice([1, 1, 3, 20])
        elif rng.random() < 0.3:
            del raw[at:]
    if is_png and rng.random() < 0.7:
        repaired(raw)
    return bytes(raw[: Guarded.ROOM_BYTES])


class Guarded:
    """Memory that ends the process when a byte behind a frame's last is read."""

    ROOM_BYTES = 64 * mmap.PAGESIZE

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, self.ROOM_BYTES + mmap.PAGESIZE)
        self._end = ctypes.addressof(ctypes.c_char.from_buffer(self._map)) + self.ROOM_BYTES
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        assert protect(self._end, mmap.PAGESIZE, 0) == 0

    def place(self, raw: bytes) -> int:
        ctypes.memmove(self._end - len(raw), raw, len(raw))
        return self._end - len(raw)


class Fuzz:
    def __init__(self) -> None:
        self.guarded = Guarded()
        crops = [(0.0, 0.0, 1.0, 1.0), (0.2, 0.1, 0.9, 0.95)]
        self.readers = [ImageDecoder(image, crop, PIXELS_MAX) for image, crop in zip(INPUTS, crops, strict=True)]
        self.outs = [np.empty((image.channels, image.height, image.width), np.float32) for image in INPUTS]
        self.outcomes: Counter[str] = Counter()
        self.slowest_s, self.longest = 0.0, 0

    def check(self, raw: bytes, turn: int) -> None:
        address, out, measures = self.guarded.place(raw), self.outs[turn], np.full(4, np.nan)
        out[:] = np.nan
        start = time.thread_time()
        try:
            probe(address, len(raw), PIXELS_MAX)
            refused = None
        except BadImageError as error:
            refused = error.code
        try:
            self.readers[turn].decode(address, len(raw), out, measures)
            self.outcomes["decided"] += 1
            assert refused is None, f"decided on what the probe refused as {refused}"
            assert np.isfinite(out).all()
            assert np.isfinite(measures).all()
        except BadImageError as error:
            self.outcomes[error.code] += 1
            self.longest = max(self.longest, len(str(error)))
        self.slowest_s = max(self.slowest_s, time.thread_time() - start)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def hold(images: int, seed: int) -> Fuzz:
    rng, files, fuzz = random.Random(seed), corpus(), Fuzz()
    before = 0
    for index in range(images):
        if index == min(images // 2, 5_000):
            before = resident_bytes()
        raw = mutated(rng, files)
        try:
            fuzz.check(raw, index % 2)
        except Exception as error:
            error.add_note(f"image {index} of seed {seed}: {raw.hex()}")
            raise
    growth = resident_bytes() - before
    print(f"{dict(fuzz.outcomes)}, slowest {fuzz.slowest_s * 1e3:.0f} ms of CPU, grew {growth / 1e6:.1f} MB")  # noqa: T201
    assert fuzz.slowest_s < CPU_S_MAX
    assert growth < GROWTH_BYTES_MAX
    assert set(fuzz.outcomes) <= CODES | {"decided"}
    assert fuzz.longest < 300
    # None of the ways that matter may run dry.
    for outcome in ("decided", "truncated-image", "corrupt-image", "unsupported-image", "too-many-pixels"):
        assert fuzz.outcomes[outcome] > images // 200, fuzz.outcomes
    return fuzz


def test_valid_files_are_decided_on_or_refused_whole():
    fuzz = Fuzz()
    for raw in corpus():
        for turn in (0, 1):
            fuzz.check(raw, turn)
    assert set(fuzz.outcomes) == {"decided", "unsupported-image", "not-an-image"}


def test_five_thousand_broken_images():
    hold(5_000, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(10, 15))
def test_a_hundred_thousand_broken_images(seed):
    hold(20_000, seed)
