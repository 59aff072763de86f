"""A JPEG's structure, read in place: its header, or all of it up to the end of its picture.

Only the structure: markers, sizes, which scans there are. It says of a file whether it is worth decoding, and how
much work that is at most; the pixels are the decoder's business, and so is what is wrong with them.
"""

from typing import Any

import numpy as np

from features.kernel import kernel
from features.memory import load_i64, load_u8
from pipeline.image.exif import orientation_of
from pipeline.image.found import (
    AT,
    BITS,
    CHANNELS,
    HEIGHT,
    KIND,
    ORIENTATION,
    SCANS,
    SCANS_MAX,
    VALUE,
    WIDTH,
    Fault,
)  # fmt: skip

_DATA_ENDS, _NO_MARKER, _BAD_LENGTH = int(Fault.DATA_ENDS), int(Fault.NO_MARKER), int(Fault.BAD_LENGTH)
_STRAY_MARKER, _SECOND_FRAME, _NO_FRAME = int(Fault.STRAY_MARKER), int(Fault.SECOND_FRAME), int(Fault.NO_FRAME)
_FRAME_KIND, _FRAME_BITS, _COMPONENTS = int(Fault.FRAME_KIND), int(Fault.FRAME_BITS), int(Fault.COMPONENTS)
_NO_AREA, _BAD_SCAN, _SCANS = int(Fault.NO_AREA), int(Fault.BAD_SCAN), int(Fault.SCANS)
_SCANS_MISSING, _HEADER_ENDS = int(Fault.SCANS_MISSING), int(Fault.HEADER_ENDS)
_SOF0, _SOF2, _SOF15, _DHT, _JPG, _DAC = 0xC0, 0xC2, 0xCF, 0xC4, 0xC8, 0xCC
_RST0, _RST7, _SOI, _EOI, _SOS, _APP1, _TEM = 0xD0, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0x01
_EXIF = 0x0000_6669_7845
"""`Exif`, and two zero bytes, as a little-endian number."""
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@kernel()
def _pair(address: int) -> Any:
    return load_u8(address) << 8 | load_u8(address + 1)


@kernel()
def _frame(address: int, length: int, marker: int, found: Any) -> int:
    """Read a frame header's segment, its two bytes of length included."""
    if length < 8:
        return _BAD_LENGTH
    found[KIND], found[BITS], found[CHANNELS] = marker, load_u8(address + 2), load_u8(address + 7)
    found[HEIGHT], found[WIDTH] = _pair(address + 3), _pair(address + 5)
    if marker > _SOF2:
        return _FRAME_KIND
    if found[BITS] != 8:
        return _FRAME_BITS
    if found[CHANNELS] != 1 and found[CHANNELS] != 3:
        return _COMPONENTS
    if length != 8 + 3 * found[CHANNELS]:
        return _BAD_LENGTH
    return _NO_AREA if found[WIDTH] == 0 or found[HEIGHT] == 0 else 0


@kernel()
def _scan(address: int, length: int, frame: int, found: Any, covered: Any) -> int:
    """Read a scan's header; `covered` (uint64[3]) gains the coefficients whose last bit it brings."""
    count = load_u8(address + 2) if length > 2 else 0
    if count < 1 or count > found[CHANNELS] or length != 6 + 2 * count:
        return _BAD_SCAN
    first, last = load_u8(address + 3 + 2 * count), load_u8(address + 4 + 2 * count)
    bits_left = load_u8(address + 5 + 2 * count) & 15
    if found[KIND] != _SOF2:
        first, last, bits_left = 0, 63, 0
    if first > last or last > 63:
        return _BAD_SCAN
    for index in range(count):
        name, component = load_u8(address + 3 + 2 * index), -1
        for candidate in range(found[CHANNELS]):
            if load_u8(frame + 8 + 3 * candidate) == name:
                component = candidate
                break
        if component < 0:
            return _BAD_SCAN
        if bits_left == 0:
            span = _ALL >> np.uint64(63 - (last - first))
            covered[component] |= span << np.uint64(first)
    return 0


@kernel()
def _after_scan(address: int, at: int, length: int) -> int:
    """Where the next marker's 0xff is that ends a scan's data, or `length` where there is none."""
    while at < length:
        while at + 8 <= length:
            # Eight bytes at once: a byte of 0xff is a zero byte of the inverse.
            word = ~np.uint64(load_i64(address + at))
            if (word - np.uint64(0x0101010101010101)) & ~word & np.uint64(0x8080808080808080):
                break
            at += 8
        while at < length and load_u8(address + at) != 0xFF:
            at += 1
        if at + 1 >= length:
            return length
        after = load_u8(address + at + 1)
        if after == 0xFF:
            at += 1
        elif after != 0 and not _RST0 <= after <= _RST7:
            return at
        else:
            at += 2
    return length


@kernel()
def _is_frame(marker: int) -> bool:
    return _SOF0 <= marker <= _SOF15 and marker not in (_DHT, _JPG, _DAC)


@kernel()
def _part(address: int, size: int, marker: int, frame: int, found: Any, covered: Any) -> int:
    """Read one part, its two bytes of length included; `frame` is where the frame header was, 0 before it."""
    if _is_frame(marker):
        return _SECOND_FRAME if frame else _frame(address, size, marker, found)
    if marker == _SOS:
        if frame == 0:
            return _NO_FRAME
        found[SCANS] += 1
        return _SCANS if found[SCANS] > SCANS_MAX else _scan(address, size, frame, found, covered)
    if marker == _APP1 and frame == 0 and size >= 16 and load_i64(address + 2) & 0xFFFF_FFFF_FFFF == _EXIF:
        found[ORIENTATION] = orientation_of(address + 8, size - 8)
    return 0


@kernel("int64(int64, int64, boolean, int64[::1], uint64[::1])")
def read_jpeg(address: int, length: int, whole: bool, found: Any, covered: Any) -> int:
    """Read a JPEG from its third byte on. Returns 0 or a Fault, with `found` filled as far as it was read.

    whole: to the end of the picture, else to its frame header. found: int64, by found.FIELDS. covered: uint64[3].
    Reads nothing outside the bytes given.
    """
    found[:] = 0
    covered[:] = 0
    found[ORIENTATION] = 1
    at, frame = 2, 0
    while True:
        found[AT] = at
        if at + 2 > length:
            found[AT] = length
            return _DATA_ENDS if frame else _HEADER_ENDS
        found[VALUE] = load_u8(address + at)
        if found[VALUE] != 0xFF:
            return _NO_MARKER
        marker = load_u8(address + at + 1)
        if marker == 0xFF:
            at += 1
            continue
        at += 2
        found[VALUE] = marker
        if marker == _EOI:
            break
        if marker == _TEM or _RST0 <= marker <= _RST7:
            continue
        if marker == 0 or marker == _SOI:
            return _STRAY_MARKER
        size = _pair(address + at) if at + 2 <= length else 0
        if at + max(size, 2) > length:
            found[AT] = length
            return _DATA_ENDS if frame else _HEADER_ENDS
        if size < 2:
            found[VALUE] = size
            return _BAD_LENGTH
        fault = _part(address + at, size, marker, frame, found, covered)
        if fault or (_is_frame(marker) and not whole):
            return fault
        if _is_frame(marker):
            frame = address + at
        at += size
        if marker == _SOS:
            at = _after_scan(address, at, length)
    if frame == 0:
        return _NO_FRAME
    for component in range(found[CHANNELS]):
        if covered[component] != _ALL:
            return _SCANS_MISSING
    return 0
