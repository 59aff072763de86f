"""The hash by which a frame is recognised as the very bytes of an earlier one."""

import hashlib
import secrets

from pipeline.image.probe import bytes_at

KEY_BYTES = 64
"""A whole block of SHA-256, so that the key is mixed in before the first byte of a payload."""
_OWN_KEY = secrets.token_bytes(KEY_BYTES)


def payload_hash(address: int, length: int, key: bytes = _OWN_KEY) -> tuple[int, int]:
    """128 bits of a payload's SHA-256 behind a secret key, as two uint64. Releases the GIL for more than 2 kB.

    Equal hashes stand for equal bytes, which need not be kept: among n payloads the chance that any two different
    ones collide is n * n / 2 ** 129, 1e-27 for a million. Nobody can make two collide: it takes 2 ** 64 trials of a
    function whose key, drawn at the start of the process, is not known outside.
    """
    digest = hashlib.sha256(key)
    digest.update(bytes_at(address, length))
    found = digest.digest()
    return int.from_bytes(found[:8], "little"), int.from_bytes(found[8:16], "little")
