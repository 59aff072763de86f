"""Which partition a key belongs to, as Kafka's own Java client decides it: murmur2 of the key's bytes."""

import numpy as np

from features.kernel import kernel
from features.memory import load_u8, load_u32

_SEED = 0x9747B28C
_M = np.uint32(0x5BD1E995)


@kernel()
def murmur2(address: int, length: int) -> int:
    """MurmurHash2 (Appleby) with the seed of `org.apache.kafka.common.utils.Utils.murmur2`; uint32 as int64."""
    h = np.uint32(_SEED) ^ np.uint32(length)
    at = 0
    while at + 4 <= length:
        k = np.uint32(load_u32(address + at)) * _M
        k = np.uint32(k) ^ (np.uint32(k) >> np.uint32(24))
        h = np.uint32(np.uint32(h) * _M) ^ np.uint32(np.uint32(k) * _M)
        at += 4
    rest = length - at
    if rest == 3:
        h = np.uint32(h) ^ np.uint32(load_u8(address + at + 2) << 16)
    if rest >= 2:
        h = np.uint32(h) ^ np.uint32(load_u8(address + at + 1) << 8)
    if rest >= 1:
        h = np.uint32(np.uint32(h) ^ np.uint32(load_u8(address + at))) * _M
    h = np.uint32(h) ^ (np.uint32(h) >> np.uint32(13))
    h = np.uint32(np.uint32(h) * _M)
    h = np.uint32(h) ^ (np.uint32(h) >> np.uint32(15))
    return np.int64(np.uint32(h))


@kernel("int64(int64, int64, int64)")
def partition_of(address: int, length: int, partitions: int) -> int:
    """The partition of a key that is not null, of `partitions` in all."""
    return (murmur2(address, length) & 0x7FFFFFFF) % partitions
