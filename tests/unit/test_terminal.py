"""What an operator reads."""

import io

import pytest
from rich.console import Console

from pipeline.telemetry.histogram import bucket_of
from pipeline.telemetry.terminal import Terminal, line_of, summary_of
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
