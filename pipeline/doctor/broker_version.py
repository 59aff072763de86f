"""Which Kafka a broker is, by the versions of requests that it takes: no client tells, so it is asked directly."""

import contextlib
import socket
import struct
from collections.abc import Mapping

from pipeline.kafka.tls import tls_context

API_VERSIONS, FETCH = 18, 1
_REQUEST = struct.pack(">hhihs", API_VERSIONS, 0, 1, 1, b"d")
_SINCE = ((18, "4.1"), (17, "3.9"), (16, "3.7"), (15, "3.5"), (13, "3.1"), (12, "2.7"), (11, "2.4"), (10, "2.1"))
"""The first release whose brokers take fetch requests of this version."""
OLDEST_FETCH = 11
ANSWER_BYTES_MAX = 65_536


def kafka_since(fetch_version: int) -> str:
    """The release that a broker is of, or of a later one that did not change how it is fetched from."""
    return next((release for version, release in _SINCE if fetch_version >= version), "0.10")


def fetch_version(settings: Mapping[str, str], timeout_s: float) -> int | None:
    """The newest fetch request that the first broker to answer takes; None where none says so.

    A broker answers this before anybody has authenticated, but for TLS, which is set up from the client's settings.
    """
    protocol = settings.get("security.protocol", "plaintext").lower()
    for address in settings["bootstrap.servers"].split(","):
        with contextlib.suppress(OSError, ValueError, struct.error):
            host, _, port = address.strip().rpartition(":")
            host = host.rpartition("//")[2].strip("[]")
            with socket.create_connection((host, int(port)), timeout_s) as plain:
                if "ssl" not in protocol:
                    return _ask(plain)
                with tls_context(settings).wrap_socket(plain, server_hostname=host) as secured:
                    return _ask(secured)
    return None


def _ask(connection: socket.socket) -> int | None:
    connection.sendall(struct.pack(">i", len(_REQUEST)) + _REQUEST)
    (size,) = struct.unpack(">i", _exactly(connection, 4))
    if not 10 <= size <= ANSWER_BYTES_MAX:
        raise ValueError(f"an answer of {size} bytes is no broker's")
    answer = _exactly(connection, size)
    error, count = struct.unpack_from(">hi", answer, 4)
    if error:
        return None
    versions = (struct.unpack_from(">hhh", answer, 10 + 6 * index) for index in range(count))
    return next((newest for key, _oldest, newest in versions if key == FETCH), None)


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = connection.recv(size - len(found))
        if not part:
            raise ValueError("the connection ended within the answer")
        found += part
    return found
