"""Values that are no frame to decide on: each becomes the dead letter that docs/images.md says, by code and words."""

import struct
import zlib

import numpy as np
import pytest
from image_files import SIGNATURE, chunk, frame_at, header, jpeg, photo, png, rows, saved, segment, segments

from models.manifest import ImageInput
from pipeline.image.decoder import ImageDecoder
from pipeline.image.found import SCANS_MAX, BadImageError
from pipeline.image.probe import probe

PIXELS_MAX = 1 << 22
INPUT = ImageInput(height=16, width=16, channels=3, mean=(0.0,) * 3, std=(1.0,) * 3)
COLOUR = photo(40, 56)
JPEG, PROGRESSIVE, PNG = jpeg(COLOUR), jpeg(COLOUR, progressive=True), saved(COLOUR, "PNG")
SCAN = next(end for marker, _, end in segments(JPEG) if marker == 0xDA)
"""Where the JPEG's coded pixels begin."""


def outcome(raw: bytes, reader: ImageDecoder | None = None) -> tuple[str, str]:
    """The dead letter's code and message; `decided` when there is none."""
    value = np.frombuffer(raw or b"\0", np.uint8)
    reader = reader or ImageDecoder(INPUT, pixels_max=PIXELS_MAX)
    try:
        reader.decode(value.ctypes.data, len(raw), np.empty((3, 16, 16), np.float32), np.empty(4))
    except BadImageError as error:
        return error.code, str(error)
    return "decided", ""


def probed(raw: bytes) -> tuple[str, str]:
    value = np.frombuffer(raw or b"\0", np.uint8)
    try:
        probe(value.ctypes.data, len(raw), PIXELS_MAX)
    except BadImageError as error:
        return error.code, str(error)
    return "decided", ""


def edited(raw: bytes, at: int, *values: int) -> bytes:
    return raw[:at] + bytes(values) + raw[at + len(values) :]


def sized(raw: bytes, width: int, height: int) -> bytes:
    """A JPEG that says it has this size."""
    return edited(raw, frame_at(raw) + 5, *struct.pack(">HH", height, width))


def png_of(
    pixels: bytes,
    width: int = 8,
    height: int = 8,
    bits: int = 8,
    kind: int = 2,
    before: bytes = b"",
    interlaced: int = 0,
) -> bytes:
    packed = chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return SIGNATURE + header(width, height, bits, kind, interlaced) + before + packed


FRAME = frame_at(JPEG)
SQUARE = photo(8, 8).astype(int)
PALETTE = chunk(b"PLTE", bytes(range(12)))
LAST_SCAN = PROGRESSIVE.rindex(b"\xff\xda")
SEEN_BY_THE_PROBE = {
    "empty": (b"", "empty", "0 bytes"),
    "zeros": (bytes(5000), "not-an-image", "zero bytes"),
    "GIF": (saved(COLOUR, "GIF"), "not-an-image", "a GIF"),
    "WebP": (saved(COLOUR, "WEBP"), "not-an-image", "a WebP"),
    "BMP": (saved(COLOUR, "BMP"), "not-an-image", "a BMP"),
    "TIFF": (saved(COLOUR, "TIFF"), "not-an-image", "a TIFF"),
    "AVIF": (b"\0\0\0\x20ftypavif" + bytes(50), "not-an-image", "AVIF"),
    "text": (b"camera offline", "not-an-image", "text"),
    "JSON": (b'{"image": "..."}', "not-an-image", "JSON"),
    "base64": (b"/9j/4AAQSkZJRg", "not-an-image", "base64"),
    "noise": (b"\x93\x01\x80" * 99, "not-an-image", "93 01 80"),
    "half a signature": (b"\x89PN", "truncated-header", "3 bytes"),
    "a JPEG's signature alone": (b"\xff\xd8\xff", "truncated-header", "before its width"),
    "a PNG's signature alone": (SIGNATURE, "truncated-header", "before its width"),
    "JPEG before its size": (JPEG[:FRAME], "truncated-header", "before its width"),
    "PNG behind a JPEG's first bytes": (JPEG[:20] + PNG, "corrupt-image", "expected a marker"),
    "JPEG behind a PNG's signature": (SIGNATURE + JPEG, "corrupt-image", "IHDR"),
    "JPEG of 30,000 x 30,000": (sized(JPEG, 30_000, 30_000), "too-many-pixels", "30000 x 30000"),
    "PNG of 30,000 x 30,000": (png_of(b"", 30_000, 30_000), "too-many-pixels", "900000000"),
    "PNG of 70,000 x 1": (png_of(b"", 70_000, 1), "too-many-pixels", "65535"),
    "PNG of 4,294,967,295 x 4,294,967,295": (png_of(b"", 2**32 - 1, 2**32 - 1), "too-many-pixels", "4294967295"),
    "JPEG without width": (sized(JPEG, 0, 40), "corrupt-image", "0 x 40"),
    "JPEG whose height comes later": (sized(JPEG, 56, 0), "corrupt-image", "56 x 0"),
    "PNG without height": (png_of(b"", 8, 0), "corrupt-image", "8 x 0"),
    "CMYK JPEG": (jpeg(COLOUR, mode="CMYK"), "unsupported-image", "CMYK"),
    "12-bit JPEG": (edited(JPEG, FRAME + 4, 12), "unsupported-image", "12 bits"),
    "lossless JPEG": (edited(JPEG, FRAME + 1, 0xC3), "unsupported-image", "0xc3"),
    "arithmetic JPEG": (edited(JPEG, FRAME + 1, 0xC9), "unsupported-image", "arithmetic"),
    "JPEG of two components": (edited(JPEG, FRAME + 9, 2), "unsupported-image", "2 components"),
    "JPEG that ends before its size": (JPEG[:2] + b"\xff\xd9", "corrupt-image", "before its width"),
    "JPEG with its scan first": (JPEG[:2] + segment(0xDA, b"\1\1\0\0\x3f\0"), "corrupt-image", "before its width"),
    "JPEG with a part of no length": (JPEG[:2] + b"\xff\xe0\0\0" + bytes(20), "corrupt-image", "0 bytes"),
    "JPEG in a JPEG": (JPEG[:2] + JPEG, "corrupt-image", "0xd8"),
    "PNG with a changed header": (edited(PNG, 19, 9), "corrupt-image", "checksum"),
    "PNG of an unknown colour type": (png_of(b"", kind=5), "corrupt-image", "colour type 5"),
    "PNG of 3 bits": (png_of(b"", bits=3, kind=0), "corrupt-image", "3 bits"),
    "PNG of 0 bits": (png_of(b"", bits=0, kind=0), "corrupt-image", "0 bits"),
    "PNG of unknown interlacing": (png_of(b"", interlaced=2), "corrupt-image", "interlacing"),
}
SEEN_BY_THE_DECODER = {
    "JPEG with half its pixels": (JPEG[: (SCAN + len(JPEG)) // 2], "truncated-image", "ends"),
    "JPEG without its end": (JPEG[:-2], "truncated-image", "ends"),
    "JPEG with half its pixels and an end": (
        JPEG[: (SCAN + len(JPEG)) // 2] + b"\xff\xd9",
        "corrupt-image",
        "premature",
    ),
    "progressive JPEG without its last scan": (PROGRESSIVE[:LAST_SCAN] + b"\xff\xd9", "truncated-image", "last scan"),
    "JPEG with bad codes in the middle": (edited(JPEG, SCAN + 300, *b"\xff\0" * 40), "corrupt-image", "decoded"),
    "JPEG that changes its size": (
        JPEG[: segments(JPEG)[-1][1]] + sized(JPEG, 40, 40)[FRAME : FRAME + 19] + JPEG[segments(JPEG)[-1][1] :],
        *("corrupt-image", "second frame header"),
    ),
    "JPEG that says it is higher": (sized(JPEG, 56, 400), "corrupt-image", "decoded"),
    "JPEG with a bomb of scans": (
        PROGRESSIVE[:-2] + PROGRESSIVE[LAST_SCAN:-2] * (SCANS_MAX + 1) + b"\xff\xd9",
        *("unsupported-image", f"{SCANS_MAX} scans"),
    ),
    "JPEG whose scan names no component": (edited(JPEG, segments(JPEG)[-1][1] + 5, 99), "corrupt-image", "scan"),
    "JPEG without quantisation tables": (
        JPEG[:2] + b"".join(JPEG[a:b] for m, a, b in segments(JPEG) if m != 0xDB) + JPEG[SCAN:],
        *("corrupt-image", "decoded"),
    ),
    "PNG with half its pixels": (PNG[: len(PNG) // 2], "truncated-image", "ends"),
    "PNG without its end": (PNG[:-12], "truncated-image", "ends"),
    "PNG with fewer rows": (png_of(rows(SQUARE[:5], 8)), "truncated-image", "expected 200"),
    "PNG without pixels": (SIGNATURE + header(8, 8, 8, 2) + chunk(b"IEND", b""), "truncated-image", "ends"),
    "PNG with a changed pixel": (edited(PNG, len(PNG) // 2, PNG[len(PNG) // 2] ^ 1), "corrupt-image", "checksum"),
    "PNG of what zlib did not pack": (
        SIGNATURE + header(8, 8, 8, 2) + chunk(b"IDAT", b"no stream") + chunk(b"IEND", b""),
        *("corrupt-image", "unpacked"),
    ),
    "PNG that is a bomb": (png_of(bytes(50_000_000)), "corrupt-image", "more than the 200 bytes"),
    "PNG of an unknown filter": (
        png_of(rows(SQUARE, 8)[:100] + b"\x05" + rows(SQUARE, 8)[101:]),
        "corrupt-image",
        "filter",
    ),
    "PNG with an unknown chunk that matters": (
        png(SQUARE, before=chunk(b"ABCD", b"")),
        "unsupported-image",
        "critical",
    ),
    "PNG with two headers": (png(SQUARE, before=header(8, 9, 8, 2)), "unsupported-image", "critical"),
    "PNG with its pixels in two places": (
        png(SQUARE)[:-12] + chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", b"") + chunk(b"IEND", b""),
        *("corrupt-image", "cannot stand"),
    ),
    "animated PNG": (png(SQUARE, before=chunk(b"acTL", struct.pack(">II", 2, 0))), "unsupported-image", "animated"),
    "PNG with a transparent pixel": (
        saved(np.dstack([COLOUR, COLOUR[..., :1]]), "PNG"),
        "unsupported-image",
        "transparent",
    ),
    "16-bit PNG that is barely transparent": (
        png(np.full((8, 8, 4), 65_534), 6, 16),
        *("unsupported-image", "transparent"),
    ),
    "PNG with a transparent colour": (
        png(SQUARE, before=chunk(b"tRNS", bytes(6))),
        "unsupported-image",
        "transparent",
    ),
    "palette PNG with a transparent entry": (
        png(SQUARE[..., :1] % 4, 3, before=PALETTE + chunk(b"tRNS", b"\xff\x80")),
        *("unsupported-image", "transparent"),
    ),
    "palette PNG without a palette": (png(SQUARE[..., :1] % 4, 3), "corrupt-image", "no palette"),
    "palette PNG beyond its palette": (
        png(SQUARE[..., :1] % 5, 3, before=PALETTE),
        "corrupt-image",
        "beyond the end",
    ),
    "PNG with a palette of half a colour": (png(SQUARE, before=chunk(b"PLTE", bytes(4))), "corrupt-image", "4 bytes"),
}


@pytest.mark.parametrize("name", SEEN_BY_THE_PROBE)
def test_what_the_header_shows_is_refused_by_probe_and_decoder(name):
    raw, code, words = SEEN_BY_THE_PROBE[name]
    for found in (probed(raw), outcome(raw)):
        assert found[0] == code, found
        assert words in found[1]


@pytest.mark.parametrize("name", SEEN_BY_THE_DECODER)
def test_what_only_the_rest_shows_is_refused_by_the_decoder(name):
    raw, code, words = SEEN_BY_THE_DECODER[name]
    assert probed(raw) == ("decided", "")
    found = outcome(raw)
    assert found[0] == code, found
    assert words in found[1]


def test_a_tombstone_is_refused():
    for address, length in [(0, -1), (0, 0), (4096, -1)]:
        with pytest.raises(BadImageError, match="no value") as refused:
            probe(address, length, PIXELS_MAX)
        assert refused.value.code == "tombstone"


@pytest.mark.parametrize("raw", [JPEG, PROGRESSIVE, PNG, jpeg(photo(40, 56, 1), restart_marker_blocks=1)])
def test_no_part_of_a_file_is_decided_on(raw):
    codes = {outcome(raw[:cut])[0] for cut in range(1, len(raw))}
    assert codes == {"truncated-header", "truncated-image"}
    assert outcome(raw)[0] == "decided"


def test_nothing_is_allocated_for_what_a_header_says():
    reader = ImageDecoder(INPUT, pixels_max=PIXELS_MAX)
    for raw in (sized(JPEG, 30_000, 30_000), png_of(bytes(50_000_000), 2_000, 2_000), png_of(b"", 30_000, 30_000)):
        assert outcome(raw, reader)[0] != "decided"
    assert len(reader._pixels) <= 3 * PIXELS_MAX
    assert len(ImageDecoder(INPUT)._pixels) == 0
    fresh = ImageDecoder(INPUT, pixels_max=PIXELS_MAX)
    outcome(sized(JPEG, 30_000, 30_000), fresh)
    assert len(fresh._pixels) == 0


def test_bombs_beside_the_pixels_stay_packed():
    bomb = zlib.compress(bytes(50_000_000))
    beside = chunk(b"iCCP", b"p\0\0" + bomb) + chunk(b"zTXt", b"t\0\0" + bomb) + chunk(b"iTXt", b"t\0\1\0\0\0" + bomb)
    reader = ImageDecoder(INPUT, pixels_max=PIXELS_MAX)
    assert outcome(png(SQUARE, before=beside), reader)[0] == "decided"
    assert len(reader._pixels) == SQUARE.size
