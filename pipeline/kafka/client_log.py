"""What librdkafka has to say, put where the process logs, at the level that it gives it."""

import logging
from typing import Any

from pipeline.kafka.librdkafka import ffi, lib

log = logging.getLogger("librdkafka")
LOG_SETTINGS = {"log.queue": "true"}
"""Lines come as events, read where the client's others are; else they go to the standard error by themselves."""
_SAID_BY_EVENTS = (b"FAIL", b"ERROR")
"""What librdkafka logs of errors that come as events too."""
_ERROR, _WARNING, _NOTICE = 3, 4, 5


def pass_on(event: Any) -> None:
    """Log what one of its lines says; its `facility` tells the kinds of lines apart."""
    facility, text, level = ffi.new("const char **"), ffi.new("const char **"), ffi.new("int *")
    if lib.rd_kafka_event_log(event, facility, text, level) or ffi.string(facility[0]) in _SAID_BY_EVENTS:
        return
    said = ffi.string(text[0]).decode(errors="replace")
    log.log(grade_of(level[0]), "%s", said, extra={"facility": ffi.string(facility[0]).decode(errors="replace")})


def grade_of(level: int) -> int:
    """The level of `logging` for one of syslog's: 3 and below are errors, 5 is information, above is debugging."""
    if level <= _ERROR:
        return logging.ERROR
    if level == _WARNING:
        return logging.WARNING
    return logging.INFO if level == _NOTICE else logging.DEBUG
