"""What an operator reads."""

import io

import pytest
from rich.console import Console, RenderableType

from pipeline.telemetry.histogram import bucket_of
from pipeline.telemetry.terminal import Terminal, line_of, summary_of, view_of
from pipeline.wire.metrics import MetricsRecord


def record(**changes: object) -> MetricsRecord:
    fields: dict[str, object] = {
        "pipeline": "fraud",
        "instance": "a",
        "from_ms": 0,
        "to_ms": 2000,
        "outcomes": {"scored": 900, "degraded": 60, "expired": 30, "dead_letter": 8, "absorbed": 2},
        "delivered": 998,
        "deadline_misses": 31,
        "lag": {"transactions/0": 7, "transactions/1": 5},
        "batch_rows": {1: 10, 64: 90},
        "histograms": {"age": {bucket_of(4_000): 900, bucket_of(250_000): 90}},
        "dead_letter_codes": {"wrong-type": 8},
    }
    return MetricsRecord(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_line_says_rate_outcomes_latency_batches_and_lag() -> None:
    line = line_of(record(), budget_ms=100)
    for words in (
        "500/s",
        "scored 900, degraded 60, expired 30, dead_letter 8, absorbed 2",
        "p50 4.0",
        "p99 250",
        "of 100 ms",
        "missed 31",
        "batch p50 64 max 64 rows",
        "lag 12",
    ):
        assert words in line


def test_a_quiet_second_is_a_line_too() -> None:
    line = line_of(MetricsRecord(pipeline="fraud", instance="a", from_ms=5, to_ms=5), budget_ms=100)
    assert "0/s" in line
    assert "p99 -" in line


def test_the_summary_adds_up_or_says_what_is_missing() -> None:
    assert "1,000  = read" in summary_of(record(), 1000, 100)
    assert "998  = all but absorbed" in summary_of(record(), 1000, 100)
    assert "dead letters wrong-type: 8" in summary_of(record(), 1000, 100)
    short = summary_of(record(delivered=990), 1003, 100)
    assert "read and not ended: 3" in short
    assert "990  of 998" in short


@pytest.mark.parametrize("terminal", [True, False])
def test_without_a_terminal_there_are_plain_lines_and_nothing_else(terminal: bool) -> None:
    out = io.StringIO()
    with Terminal(100, Console(file=out, force_terminal=terminal, width=160)) as view:
        view.show(record(), record())
        view.show(record(), record())
    view.summary(record(), 1000)
    text = out.getvalue()
    assert ("\x1b" in text) is terminal
    assert ("batches" in text) is terminal
    assert "1,000  = read" in text
    if not terminal:
        assert text.splitlines()[:2] == [line_of(record(), 100)] * 2


OUTCOMES = ("scored", "degraded", "expired", "dead_letter", "absorbed")
LATENCIES = ("queue", "features", "score", "total", "delivery", "age")
BUSY = record(
    outcomes=dict.fromkeys(OUTCOMES, 1_234_567),
    batch_rows={1: 10, 64: 9_000_000, 2048: 12_345_678},
    histograms={name: {bucket_of(4_000): 900, bucket_of(25_000_000): 90} for name in LATENCIES},
    lag={"transactions/0": 123_456_789},
)
YEARS = record(outcomes=dict.fromkeys(OUTCOMES, 9_876_543_210), deadline_misses=9_876_543_210, late=9_876_543_210)


def words(view: RenderableType, width: int) -> list[str]:
    """All that is shown on a console of this width, bars aside."""
    console = Console(width=width, record=True, file=io.StringIO(), force_terminal=True)
    console.print(view)
    lines = console.export_text().splitlines()
    assert all(len(line) <= width for line in lines)
    return [word for line in lines for word in line.split() if word[0] not in "▏▎▍▌▋▊▉█"]


@pytest.mark.parametrize("last", [record(), BUSY], ids=["quiet", "busy"])
def test_eighty_columns_cut_nothing(last: MetricsRecord) -> None:
    shown = words(view_of(last, YEARS, 60_000), 80)
    assert shown == words(view_of(last, YEARS, 60_000), 500)
    assert {"9,876,543,210", "3,086,418" if last is BUSY else "500", "60,000"} <= set(shown)
    assert all(len(line) <= 80 for line in summary_of(YEARS, 10**11, 60_000).splitlines())
