"""What a line of the log looks like: for people, or a JSON object for machines."""

import json
import logging

from pipeline.clock import rfc3339

_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
TEXT, JSON = "text", "json"
FORMATS = (TEXT, JSON)


class TextLines(logging.Formatter):
    """Time, level, logger and message, in local time; a traceback on lines of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")


class JsonLines(logging.Formatter):
    """One JSON object a line: ts (RFC 3339, UTC), level, logger, message, pipeline, instance, then what a call adds.

    `pipeline` and `instance` are those of `origin`, which may be filled in later. An exception is an object of type,
    message and traceback. A field that JSON has no form for is written as text.
    """

    def __init__(self, origin: dict[str, str]) -> None:
        super().__init__()
        self._origin = origin

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        fields: dict[str, object] = {
            "ts": rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._origin,
        }
        more = {name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD}
        fields.update({name: value for name, value in more.items() if name not in fields})
        if record.exc_info and record.exc_info[0] is not None:
            kind, error, _trace = record.exc_info
            fields["exception"] = {
                "type": kind.__name__,
                "message": str(error),
                "traceback": self.formatException(record.exc_info),
            }
        return json.dumps(fields, default=str, ensure_ascii=False)
