"""Where the log goes: one handler, its lines limited by the place that says them, contents only when asked for."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Hashable
from typing import TextIO

from pipeline.telemetry.log_limit import LineLimit
from pipeline.telemetry.log_lines import JSON, JsonLines, TextLines

OURS = ("pipeline", "models", "features", "librdkafka")
CONTENTS = logging.getLogger("pipeline.contents")
"""Enabled where the contents of events may be told: `CONTENTS.isEnabledFor(logging.WARNING)`."""
_NS_PER_S = 1_000_000_000
_origin: dict[str, str] = {}
_chosen: dict[str, str] = {}


class LimitedHandler(logging.StreamHandler[TextIO]):
    """Writes lines as `LineLimit` admits them; what was suppressed is told when its window is over.

    A place is a call in the code, or, for lines of a library that come by one call, what its `facility` says.
    """

    def __init__(
        self,
        stream: TextIO,
        limit: LineLimit | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
        *,
        timed: bool = True,
    ) -> None:
        super().__init__(stream)
        self._limit = limit or LineLimit()
        self._now_ns = now_ns
        self._timed = timed
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it."""
        self.tell_suppressed()
        place = (record.name, record.pathname, record.lineno, getattr(record, "facility", ""))
        if self._limit.admit(place, self._now_ns()):
            super().emit(record)
        else:
            self._set_timer()

    def tell_suppressed(self, *, all_of_them: bool = False) -> None:
        """Write how many lines were suppressed of each place whose window is over."""
        for place, count in self._limit.over(self._now_ns(), all_of_them=all_of_them):
            super().emit(_suppressed(place, count))

    def _set_timer(self) -> None:
        """So that the number is told although nothing else is."""
        due_ns = self._limit.due_ns()
        if not self._timed or due_ns is None or (self._timer is not None and self._timer.is_alive()):
            return
        self._timer = threading.Timer(max(0, due_ns - self._now_ns()) / _NS_PER_S, self._on_time)
        self._timer.daemon = True
        self._timer.start()

    def _on_time(self) -> None:
        self._timer = None
        with self.lock or threading.RLock():
            self.tell_suppressed()

    def close(self) -> None:
        """Tell what is left to be told."""
        if self._timer is not None:
            self._timer.cancel()
        self.tell_suppressed(all_of_them=True)
        super().close()


def _suppressed(place: Hashable, count: int) -> logging.LogRecord:
    assert isinstance(place, tuple)
    name, path, line, facility = place
    where = f"{facility} of " if facility else ""
    text = f"suppressed {count} more lines like those above from {where}{name}, line {line}"
    more = {"name": name, "levelno": logging.WARNING, "levelname": "WARNING", "pathname": path, "lineno": line}
    return logging.makeLogRecord({**more, "msg": text, "suppressed": count})


def set_up_logs(level: str, lines: str, *, contents: bool, stream: TextIO | None = None) -> LimitedHandler:
    """Send the process's log to the stream, by default the standard error, from `level` on.

    Other libraries are heard from their warnings on, with `level` debug from their information on. Returns the
    handler.
    """
    _origin.clear()
    handler = LimitedHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(_origin) if lines == JSON else TextLines())
    grade = logging.getLevelNamesMapping()[level.upper()]
    root = logging.getLogger()
    for other in [other for other in root.handlers if isinstance(other, LimitedHandler)]:
        root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(logging.INFO if grade <= logging.DEBUG else max(grade, logging.WARNING))
    for name in OURS:
        logging.getLogger(name).setLevel(grade)
    _chosen.update(HEADRACE_LOG_LEVEL=level, HEADRACE_LOG_FORMAT=lines, HEADRACE_LOG_CONTENTS=str(int(contents)))
    CONTENTS.setLevel(logging.NOTSET if contents else logging.CRITICAL + 1)
    return handler


def lines_come_from(pipeline: str, instance: str) -> None:
    """From now on JSON lines say which pipeline and which process they are of."""
    _origin.update(pipeline=pipeline, instance=instance)


def environment() -> dict[str, str]:
    """What a process that this one starts needs in its environment to log as this one does."""
    return dict(_chosen)


def writes_json() -> bool:
    """Whether whoever reads the log expects JSON and nothing else."""
    return _chosen.get("HEADRACE_LOG_FORMAT") == JSON
