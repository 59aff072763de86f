"""The hash by which Kafka's Java clients place keyed records on partitions."""

from typing import Any

import numpy as np

from features.kernel import kernel
from features.memory import load_u8, load_u32

_MASK = np.uint64(0xFFFFFFFF)


@kernel("int64(int64, int64)")
def murmur2(address: int, length: int) -> int:
    """Java's `Utils.murmur2` of the bytes at an address, as an unsigned 32-bit number."""
    factor: Any = np.uint64(0x5BD1E995)
    mixed: Any = np.uint64(0x9747B28C) ^ np.uint64(length)
    at = 0
    while at + 4 <= length:
        word = (np.uint64(load_u32(address + at)) * factor) & _MASK
        word ^= word >> np.uint64(24)
        mixed = ((mixed * factor) & _MASK) ^ ((word * factor) & _MASK)
        at += 4
    if at < length:
        shift = 0
        while at + shift < length:
            mixed ^= np.uint64(load_u8(address + at + shift) << (8 * shift))
            shift += 1
        mixed = (mixed * factor) & _MASK
    mixed ^= mixed >> np.uint64(13)
    mixed = (mixed * factor) & _MASK
    mixed ^= mixed >> np.uint64(15)
    return int(mixed)


@kernel("int64(int64, int64, int64)")
def partition_of_key(address: int, length: int, partitions: int) -> int:
    """The partition that Java's default partitioner gives a key of `length` >= 0 bytes."""
    return (murmur2(address, length) & 0x7FFFFFFF) % partitions
