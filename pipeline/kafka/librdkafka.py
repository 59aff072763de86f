"""The librdkafka that confluent-kafka carries, called directly: what is per batch there is per batch here."""

import logging
import threading
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import cffi
import confluent_kafka.cimpl

log = logging.getLogger(__name__)
VERSION_MIN = 0x02_04_00_FF
ERROR_TEXT_BYTES = 512

PRODUCER, CONSUMER = 0, 1
EVENT_DR, EVENT_FETCH, EVENT_LOG, EVENT_ERROR, EVENT_REBALANCE, EVENT_OFFSET_COMMIT = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
ERR_ASSIGN_PARTITIONS, ERR_REVOKE_PARTITIONS = -175, -174
ERR_PARTITION_EOF, ERR_QUEUE_FULL, ERR_NO_OFFSET = -191, -184, -168
ERR_AUTO_OFFSET_RESET, ERR_TIMED_OUT = -140, -185
ERR_TRANSPORT, ERR_RESOLVE, ERR_ALL_BROKERS_DOWN, ERR_SSL, ERR_AUTHENTICATION = -195, -193, -187, -181, -169
NOT_CONNECTED = frozenset({ERR_TRANSPORT, ERR_RESOLVE, ERR_ALL_BROKERS_DOWN, ERR_SSL, ERR_AUTHENTICATION})
"""Of an attempt to reach a broker, which is made again."""
ERR_FENCED, ERR_STATE, ERR_FATAL, ERR_PURGE_QUEUE = -144, -172, -150, -152
ERR_MSG_SIZE_TOO_LARGE, ERR_INVALID_PRODUCER_EPOCH, ERR_FENCED_INSTANCE_ID, ERR_PRODUCER_FENCED = 10, 47, 82, 90
OF_THE_RECORD = frozenset({2, 10, 18, 32, 87})
"""Errors that a record meets wherever it is sent: corrupt, too large (or its batch is), invalid in time or form."""
DESTROY_NO_CONSUMER_CLOSE = 0x8

ffi = cffi.FFI()
ffi.cdef(files("pipeline.kafka").joinpath("rdkafka.h").read_text())
lib: Any = ffi.dlopen(confluent_kafka.cimpl.__file__)


class KafkaError(Exception):
    """An error of librdkafka: its code, its name (as in `_TRANSPORT`) and what it says of this case."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.name = ffi.string(lib.rd_kafka_err2name(code)).decode()
        super().__init__(f"{text} ({self.name})")


class KafkaConfigError(ValueError):
    """A setting that librdkafka does not know or whose value it refuses."""


if lib.rd_kafka_version() < VERSION_MIN:
    found = ffi.string(lib.rd_kafka_version_str()).decode()
    raise ImportError(f"librdkafka {found} is too old, 2.4.0 or newer is needed: upgrade confluent-kafka")


def error_text(code: int) -> str:
    """What a code means in general."""
    return str(ffi.string(lib.rd_kafka_err2str(code)).decode())


def check(code: int, doing: str) -> None:
    """Raise KafkaError when a call did not return 0."""
    if code:
        raise KafkaError(code, f"{doing}: {error_text(code)}")


def check_object(error: Any, doing: str) -> None:
    """Raise KafkaError when a call returned an error object; frees it."""
    if error == ffi.NULL:
        return
    code = lib.rd_kafka_error_code(error)
    text = ffi.string(lib.rd_kafka_error_string(error)).decode()
    lib.rd_kafka_error_destroy(error)
    raise KafkaError(code, f"{doing}: {text}")


def new_handle(kind: int, settings: Mapping[str, str], events: int) -> Any:
    """Make a client. Raises KafkaConfigError that names the setting, what was given and what is accepted."""
    conf = lib.rd_kafka_conf_new()
    text = ffi.new("char[]", ERROR_TEXT_BYTES)
    for name, value in settings.items():
        if lib.rd_kafka_conf_set(conf, name.encode(), str(value).encode(), text, ERROR_TEXT_BYTES):
            lib.rd_kafka_conf_destroy(conf)
            raise KafkaConfigError(f"{name} = {value!r}: {ffi.string(text).decode()}")
    lib.rd_kafka_conf_set_events(conf, events)
    handle = lib.rd_kafka_new(kind, conf, text, ERROR_TEXT_BYTES)
    if handle == ffi.NULL:
        lib.rd_kafka_conf_destroy(conf)
        raise KafkaConfigError(ffi.string(text).decode())
    return handle


def destroy(handle: Any, flags: int, timeout_ms: int) -> bool:
    """Free a client; True when it is gone within the time.

    librdkafka waits for threads of its own, for which it states no limit: what takes longer goes on behind our back
    and ends with the process.
    """
    destroyer = threading.Thread(target=lib.rd_kafka_destroy_flags, args=(handle, flags), daemon=True)
    destroyer.start()
    destroyer.join(timeout_ms / 1000)
    if destroyer.is_alive():
        log.warning("a client is not gone after %d ms, the process ends without waiting for it", timeout_ms)
    return not destroyer.is_alive()
