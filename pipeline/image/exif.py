"""How a camera was held: the orientation of a picture, in EXIF's form, read in place."""

from features.kernel import kernel
from features.memory import load_u8

ORIENTATION_TAG = 0x0112
_SHORT = 3


@kernel()
def _number(address: int, count: int, big_endian: bool) -> int:
    value = 0
    for index in range(count):
        value |= load_u8(address + index) << (8 * (count - 1 - index if big_endian else index))
    return value


@kernel()
def orientation_of(address: int, length: int) -> int:
    """The orientation (1 to 8) that a TIFF structure of so many bytes names; 1 where it names none or is broken.

    Only the first directory is read, and nothing outside the bytes given.
    """
    if length < 8:
        return 1
    first, second = load_u8(address), load_u8(address + 1)
    if first != second or (first != 0x49 and first != 0x4D):
        return 1
    big_endian = first == 0x4D
    at = _number(address + 4, 4, big_endian)
    if _number(address + 2, 2, big_endian) != 42 or at < 8 or at + 2 > length:
        return 1
    entries = _number(address + at, 2, big_endian)
    at += 2
    for _ in range(entries):
        if at + 12 > length:
            return 1
        if _number(address + at, 2, big_endian) == ORIENTATION_TAG:
            found = _number(address + at + 8, 2, big_endian)
            return found if _number(address + at + 2, 2, big_endian) == _SHORT and 1 <= found <= 8 else 1
        at += 12
    return 1
