"""The log: one JSON object a line, a flood told by its number, levels that libraries do not get round."""

import io
import json
import logging
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli.app import run
from pipeline.telemetry.log_limit import LineLimit
from pipeline.telemetry.log_lines import JsonLines, TextLines
from pipeline.telemetry.logs import CONTENTS, LimitedHandler, environment, lines_come_from, set_up_logs

WINDOW_NS = 10
ANYTHING = st.text() | st.integers() | st.floats() | st.none() | st.binary() | st.lists(st.integers())


def record(message: str = "it happened", **more: Any) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "pipeline.x", "levelno": 30, "levelname": "WARNING", "msg": message, **more}
    )


@given(message=st.text(), extra=st.dictionaries(st.text(min_size=1), ANYTHING, max_size=4))
def test_whatever_is_logged_is_one_line_of_json(message: str, extra: dict[str, Any]) -> None:
    known = vars(logging.makeLogRecord({}))
    line = JsonLines({"pipeline": "fraud"}).format(
        record(message, **{k: v for k, v in extra.items() if k not in known})
    )
    assert "\n" not in line
    read = json.loads(line)
    assert (read["message"], read["level"], read["logger"]) == (message, "warning", "pipeline.x")
    assert read["pipeline"] == "fraud"


def test_a_line_has_its_time_in_utc_and_what_the_call_adds() -> None:
    read = json.loads(JsonLines({}).format(record(created=1_700_000_000.25, partitions=3, level="mine")))
    assert read["ts"] == "2023-11-14T22:13:20.250Z"
    assert datetime.fromisoformat(read["ts"]).timestamp() == 1_700_000_000.25
    assert (read["partitions"], read["level"]) == (3, "warning")


def test_an_exception_is_in_its_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        line = JsonLines({}).format(record(exc_info=(ValueError, error, error.__traceback__)))
    read = json.loads(line)["exception"]
    assert (read["type"], read["message"]) == ("ValueError", "two\nlines")
    assert "test_logs.py" in read["traceback"]


@given(
    steps=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 15)), max_size=80),
    lines_max=st.integers(1, 5),
)
def test_each_line_is_said_or_counted_once_and_no_window_has_too_many(
    steps: list[tuple[str, int]], lines_max: int
) -> None:
    limit, now, said, told = LineLimit(lines_max, WINDOW_NS), 0, [], 0
    for place, passed in steps:
        now += passed
        told += sum(count for _, count in limit.over(now))
        due = limit.due_ns()
        assert due is None or due > now, "what is over was not told"
        if limit.admit(place, now):
            said.append((place, now))
    told += sum(count for _, count in limit.over(now, all_of_them=True))
    assert len(said) + told == len(steps)
    for place, at in said:
        # A window begins with its first line, so any stretch of time is part of two at most.
        near = [other for other in said if other[0] == place and at <= other[1] < at + WINDOW_NS]
        assert len(near) <= 2 * lines_max
    assert limit.over(now, all_of_them=True) == []


def test_a_quiet_place_is_forgotten_and_says_nothing_of_it() -> None:
    limit = LineLimit(1, WINDOW_NS)
    assert limit.admit("a", 0)
    assert limit.over(WINDOW_NS) == []
    assert limit.admit("a", WINDOW_NS)


class Flood:
    """A logger of its own whose lines go through the handler, at a time that the test sets."""

    def __init__(self) -> None:
        self.out, self.now_ns = io.StringIO(), 0
        self.handler = LimitedHandler(self.out, LineLimit(2, WINDOW_NS), lambda: self.now_ns, timed=False)
        self.handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    def say(self, times: int, **more: Any) -> None:
        for _ in range(times):
            self.handler.handle(record(pathname="x.py", lineno=7, **more))

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()


def test_a_flood_is_a_few_lines_and_then_its_number() -> None:
    flood = Flood()
    flood.say(1236)
    assert flood.lines == ["WARNING it happened"] * 2
    flood.now_ns = WINDOW_NS
    flood.say(1)
    assert flood.lines[2:] == [
        "WARNING suppressed 1234 more lines like those above from pipeline.x, line 7",
        "WARNING it happened",
    ]
    flood.handler.close()
    assert len(flood.lines) == 4


def test_what_is_left_is_told_at_the_end() -> None:
    flood = Flood()
    flood.say(5)
    flood.handler.close()
    assert "suppressed 3 more" in flood.lines[-1]


def test_one_kind_of_a_librarys_lines_does_not_hide_another() -> None:
    flood = Flood()
    flood.say(9, facility="FAIL")
    flood.say(1, facility="CONFWARN")
    assert len(flood.lines) == 3


def test_the_number_is_told_although_nothing_else_is() -> None:
    out = io.StringIO()
    handler = LimitedHandler(out, LineLimit(1, 1_000_000))
    handler.handle(record())
    handler.handle(record())
    assert handler._timer is not None
    handler._timer.join(5)
    assert "suppressed 1 more" in out.getvalue()


def test_libraries_are_heard_from_their_warnings_on() -> None:
    out = io.StringIO()
    set_up_logs("info", "text", contents=False, stream=out)
    logging.getLogger("pipeline.engine").info("ours")
    logging.getLogger("elsewhere").info("theirs")
    logging.getLogger("elsewhere").warning("their trouble")
    assert [line.split(": ")[-1] for line in out.getvalue().splitlines()] == ["ours", "their trouble"]
    assert not CONTENTS.isEnabledFor(logging.CRITICAL)


def test_lines_say_where_they_come_from_once_it_is_known_and_workers_log_alike() -> None:
    out = io.StringIO()
    set_up_logs("debug", "json", contents=True, stream=out)
    log = logging.getLogger("pipeline.engine")
    log.debug("before")
    lines_come_from("fraud", "host-1")
    log.debug("after")
    before, after = map(json.loads, out.getvalue().splitlines())
    assert "pipeline" not in before
    assert (after["pipeline"], after["instance"]) == ("fraud", "host-1")
    assert CONTENTS.isEnabledFor(logging.WARNING)
    wanted = {"HEADRACE_LOG_LEVEL": "debug", "HEADRACE_LOG_FORMAT": "json", "HEADRACE_LOG_CONTENTS": "1"}
    assert environment() == wanted


def test_text_lines_are_as_they_were() -> None:
    assert TextLines().format(record()).endswith(" WARNING pipeline.x: it happened")


def test_an_error_that_ends_a_command_is_a_line_of_the_log_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--log-format", "json", "config", "show", "-c", "frawd"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    read = json.loads(line)
    assert (read["level"], read["exit_code"]) == ("critical", 2)
    assert read["message"].startswith("frawd: no such file")
