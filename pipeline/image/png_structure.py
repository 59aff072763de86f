"""A PNG's structure, read in place: its header, or all of its chunks, gathering the compressed pixels.

Only chunks that the pixels need are looked at: texts, profiles and whatever else is packed in the others is neither
unpacked nor copied.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.kernel import kernel
from features.memory import copy_bytes, load_i64, load_u8
from pipeline.image.exif import orientation_of
from pipeline.image.found import (
    AT,
    BITS,
    CHANNELS,
    HEIGHT,
    INTERLACED,
    KIND,
    ORIENTATION,
    SIDE_MAX,
    STORED,
    VALUE,
    WIDTH,
    Fault,
)  # fmt: skip

GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
_CHANNELS = np.array([1, 0, 3, 1, 2, 0, 4], np.int64)
"""Samples a pixel of each colour type; 0 where there is none."""
_DEPTHS = np.array([31, 0, 24, 15, 24, 0, 24], np.int64)
"""The bits a sample that each colour type allows, as a sum of those powers of two."""
_HEADER_ENDS, _DATA_ENDS, _NO_AREA = int(Fault.HEADER_ENDS), int(Fault.DATA_ENDS), int(Fault.NO_AREA)
_NO_IHDR, _CHECKSUM, _COLOUR_TYPE, _METHOD = (
    int(fault) for fault in (Fault.NO_IHDR, Fault.CHECKSUM, Fault.COLOUR_TYPE, Fault.METHOD)
)
_CRITICAL, _ORDER, _ANIMATED, _BAD_LENGTH = (
    int(fault) for fault in (Fault.CRITICAL, Fault.ORDER, Fault.ANIMATED, Fault.BAD_LENGTH)
)
_SIDE, _NO_PALETTE = int(Fault.SIDE), int(Fault.NO_PALETTE)
_IHDR, _PLTE, _IDAT, _IEND = 0x49484452, 0x504C5445, 0x49444154, 0x49454E44
_TRNS, _EXIF, _ACTL = 0x74524E53, 0x65584966, 0x6163544C
_ANCILLARY = 0x20000000


def _crc_tables() -> NDArray[np.uint32]:
    """Tables of CRC-32 (ISO 3309) that take eight bytes at a time (Kounavis and Berry 2005)."""
    tables = np.zeros((8, 256), np.uint32)
    value = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        value = np.where(value & 1, np.uint32(0xEDB88320) ^ (value >> 1), value >> 1)
    tables[0] = value
    for index in range(1, 8):
        tables[index] = (tables[index - 1] >> 8) ^ value[tables[index - 1] & 0xFF]
    return tables


_CRC = _crc_tables()


@kernel()
def _crc32(address: int, length: int) -> Any:
    crc, at = np.uint32(0xFFFFFFFF), 0
    while at + 8 <= length:
        word = np.uint64(load_i64(address + at)) ^ np.uint64(crc)
        crc = (
            _CRC[7, word & np.uint64(255)]
            ^ _CRC[6, (word >> np.uint64(8)) & np.uint64(255)]
            ^ _CRC[5, (word >> np.uint64(16)) & np.uint64(255)]
            ^ _CRC[4, (word >> np.uint64(24)) & np.uint64(255)]
            ^ _CRC[3, (word >> np.uint64(32)) & np.uint64(255)]
            ^ _CRC[2, (word >> np.uint64(40)) & np.uint64(255)]
            ^ _CRC[1, (word >> np.uint64(48)) & np.uint64(255)]
            ^ _CRC[0, word >> np.uint64(56)]
        )
        at += 8
    while at < length:
        crc = np.uint32(crc >> np.uint32(8)) ^ _CRC[0, (crc ^ np.uint32(load_u8(address + at))) & np.uint32(255)]
        at += 1
    return np.int64(np.uint32(crc ^ np.uint32(0xFFFFFFFF)))


@kernel()
def _four(address: int) -> Any:
    return load_u8(address) << 24 | load_u8(address + 1) << 16 | load_u8(address + 2) << 8 | load_u8(address + 3)


@kernel()
def _header(address: int, length: int, found: Any) -> int:
    """Read the IHDR chunk, which is a PNG's bytes 8 to 33."""
    if length < 33:
        found[AT] = length
        return _HEADER_ENDS
    found[AT] = 8
    if _four(address + 8) != 13 or _four(address + 12) != _IHDR:
        return _NO_IHDR
    found[WIDTH], found[HEIGHT] = _four(address + 16), _four(address + 20)
    found[BITS], found[KIND] = load_u8(address + 24), load_u8(address + 25)
    found[INTERLACED] = load_u8(address + 28)
    if _crc32(address + 12, 17) != _four(address + 29):
        return _CHECKSUM
    kind, bits = found[KIND], found[BITS]
    if kind > 6 or bits > 16 or (bits & (bits - 1)) != 0 or (_DEPTHS[kind] & bits) == 0:
        return _COLOUR_TYPE
    found[CHANNELS] = _CHANNELS[kind]
    found[VALUE] = max(load_u8(address + 26), load_u8(address + 27), found[INTERLACED] - 1)
    if found[VALUE] > 0:
        return _METHOD
    if found[WIDTH] == 0 or found[HEIGHT] == 0:
        return _NO_AREA
    return _SIDE if max(found[WIDTH], found[HEIGHT]) > SIDE_MAX else 0


@kernel()
def _colours(name: int, data: int, size: int, entries: int, kind: int, palette: Any) -> int:
    """Read a palette, or what is transparent; `entries` is how many colours were read before."""
    if name == _PLTE:
        if size % 3 != 0 or size > 768 or size == 0:
            return _BAD_LENGTH
        if entries:
            return _ORDER
        for index in range(size):
            palette[index // 3, index % 3] = load_u8(data + index)
    elif kind != PALETTE:
        palette[256, 0] = 1
    elif size > entries:
        return _BAD_LENGTH
    else:
        for index in range(size):
            palette[index, 3] = load_u8(data + index)
    return 0


@kernel("int64(int64, int64, boolean, int64[::1], uint8[:,::1], uint8[::1])")
def read_png(address: int, length: int, whole: bool, found: Any, palette: Any, packed: Any) -> int:
    """Read a PNG. Returns 0 or a Fault, with `found` filled as far as it was read.

    whole: all chunks, else the header alone. found: int64, by found.FIELDS. palette: uint8[257, 4], takes red, green,
    blue and alpha of each index; its last row takes 1 where the picture names a transparent colour outside of a
    palette. packed: uint8, as long as the file, takes the compressed pixels. Reads nothing outside the bytes given.
    """
    found[:] = 0
    found[ORIENTATION] = 1
    fault = _header(address, length, found)
    if fault or not whole:
        return fault
    palette[:] = 0
    palette[:256, 3] = 255
    at, entries, closed = 33, 0, False
    while True:
        found[AT] = at
        size = _four(address + at) if at + 8 <= length else 0
        if at + 12 + size > length:
            found[AT] = length
            return _DATA_ENDS
        name, data = _four(address + at + 4), address + at + 8
        found[VALUE] = size
        used = (name & _ANCILLARY) == 0 or name in (_TRNS, _EXIF)
        if used and _crc32(data - 4, size + 4) != _four(data + size):
            return _CHECKSUM
        closed = closed or (found[STORED] > 0 and name != _IDAT)
        if name == _IDAT:
            if closed:
                return _ORDER
            copy_bytes(packed.ctypes.data + found[STORED], data, size)
            found[STORED] += size
        elif name == _IEND:
            break
        elif name == _ACTL:
            return _ANIMATED
        elif name == _EXIF:
            found[ORIENTATION] = orientation_of(data, size)
        elif name in (_PLTE, _TRNS):
            fault = _ORDER if closed or found[STORED] else _colours(name, data, size, entries, found[KIND], palette)
            if fault:
                return fault
            if name == _PLTE:
                entries = size // 3
        elif (name & _ANCILLARY) == 0:
            return _CRITICAL
        at += 12 + size
    found[VALUE] = entries
    if found[KIND] == PALETTE and entries == 0:
        return _NO_PALETTE
    return 0 if found[STORED] else _DATA_ENDS
