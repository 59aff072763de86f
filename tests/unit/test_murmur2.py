"""The vectors of Kafka's own UtilsTest.java."""

import numpy as np
import pytest

from pipeline.wire.murmur2 import murmur2, partition_of_key

JAVA_VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "hashed"), JAVA_VECTORS.items())
def test_murmur2_equals_java(key: bytes, hashed: int) -> None:
    held = np.frombuffer(key, np.uint8)
    assert murmur2(held.ctypes.data, len(key)) == hashed % 2**32
    assert partition_of_key(held.ctypes.data, len(key), 7) == (hashed & 0x7FFFFFFF) % 7
