"""The loop's side of spans: never waits, knows its bound, spends nothing on batches that were not chosen."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.batch import Batch
from pipeline.rows import Rows
from pipeline.runner import Scored
from pipeline.servings import TierLabel
from pipeline.tier import RuleTier
from pipeline.trace.batches import EXPIRED, BatchSpans, SpanLimits, new_span_ids
from pipeline.trace.export import SpanExport
from pipeline.trace.otel import endpoint_in_force
from pipeline.trace.told import BatchTold

CONTEXT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"


class StuckSender:
    """Takes a request and answers when it is let go."""

    endpoint = "http://nowhere:4318/v1/traces"

    def __init__(self) -> None:
        self.asked, self.go = threading.Event(), threading.Event()
        self.taken = 0

    def spans(self, told: BatchTold) -> list[Any]:
        return [None] * told.spans

    def send(self, spans: Sequence[Any]) -> str | None:
        self.asked.set()
        if not self.go.wait(20):
            return "stuck"
        self.taken += len(spans)
        return None

    def stop(self) -> None:
        self.go.set()


def rows_of(flags: str) -> Rows:
    """A row for each flag; a blank has no context."""
    rows = Rows(len(flags), 1, traced=True)
    for row, flag in enumerate(flags):
        if flag != " ":
            rows.traceparent[row, :55] = np.frombuffer(CONTEXT + flag.encode(), np.uint8)
    rows.arrival_ns[:] = 100 - np.arange(len(flags))
    rows.offset[:] = np.arange(len(flags))
    rows.dispatch_ns[:], rows.score_ns[:] = 200, 50
    return rows


class Line:
    """Batches of a rule through `BatchSpans`, at a time and with a lot that the test sets."""

    def __init__(self, flags: str, ratio: float = 1.0, links_max: int = 16) -> None:
        self.rows, self.told, self.lot = rows_of(flags), list[BatchTold](), 0.0
        rule = RuleTier("rule", None, TierLabel("rule", None, None, None), ())  # type: ignore[arg-type]
        limits = SpanLimits(ratio, links_max)
        self.spans = BatchSpans(
            self.rows,
            [rule],
            [1, 4, 8],
            limits,
            self.told.append,
            draw=lambda: self.lot,
            now_ns=lambda: 300,
            wall_ns=lambda: 10_300,
        )

    def batch(self) -> None:
        slots = np.arange(self.rows.capacity_rows, dtype=np.int32)
        batch = Batch(0, slots)
        self.spans.dispatched(batch)
        self.spans.scored(Scored(batch, slots, [], 0, 0), slots)


def test_the_sampled_events_are_told_of_and_theirs_alone_get_new_parents() -> None:
    line = Line("0 1320")
    before = line.rows.traceparent.copy()
    line.batch()
    (told,) = line.told
    sampled = [row for row in range(6) if bytes(before[row, 54:55]) in b"13"]
    assert told.events.offset.tolist() == sampled
    assert told.events.context.tolist() == before[sampled].tolist()
    assert (told.rows, told.bucket, told.first_arrival_ns, told.epoch_ns) == (6, 8, 95, 10_000)
    changed = np.flatnonzero((line.rows.traceparent != before).any(axis=1))
    assert changed.tolist() == sampled
    assert (line.rows.traceparent[sampled, 36:52] == told.events.span_id).all()
    untouched = np.delete(line.rows.traceparent, np.s_[36:52], axis=1)
    assert (untouched == np.delete(before, np.s_[36:52], axis=1)).all()


def test_a_batch_has_so_many_links_at_most() -> None:
    line = Line("111111", links_max=2)
    line.batch()
    assert line.told[0].events.offset.tolist() == [0, 1]
    assert line.told[0].spans == 3


def test_a_batch_that_is_not_chosen_is_let_be() -> None:
    line = Line("11", ratio=0.5)
    before = line.rows.traceparent.copy()
    line.lot = 0.5
    line.batch()
    assert not line.told
    assert not line.spans._open
    assert (line.rows.traceparent == before).all()


def test_what_expired_is_told_of_and_counted_in_the_next_batch() -> None:
    line = Line("01", ratio=0.5)
    line.spans.expired(np.array([0, 1], np.int32))
    assert (line.told[0].tier, line.told[0].rows, line.told[0].expired_rows) == (EXPIRED, 2, 2)
    line.lot = 0.9
    line.spans.expired(np.array([0], np.int32))
    line.lot = 0.0
    line.batch()
    assert line.told[1].expired_rows == 1


def test_ids_are_hex_never_zero_and_each_another() -> None:
    ids = [bytes(row) for row in new_span_ids(1000)]
    assert len(set(ids)) == 1000
    assert all(len(text) == 16 and int(text, 16) and text == text.lower() for text in ids)


def test_a_receiver_that_does_not_answer_never_holds_the_loop_and_what_is_too_much_is_counted() -> None:
    line, sender = Line("1"), StuckSender()
    line.batch()
    export = SpanExport(sender, 10, every_s=0.001)
    export.offer(line.told[0])
    assert sender.asked.wait(10)
    for _ in range(25):
        export.offer(line.told[0])
    assert export.counts() == {"spans": 0, "spans_dropped": 15 * 2}
    sender.go.set()
    export.close()
    assert export.counts() == {"spans": 11 * 2, "spans_dropped": 15 * 2}
    assert sender.taken == 22


@pytest.mark.parametrize(
    ("configured", "environment", "found"),
    [
        ("", {}, "http://localhost:4318/v1/traces"),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1/"}, "http://a:1/v1/traces"),
        (
            "",
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b/x"},
            "http://b/x",
        ),
        ("http://me:secret@c:2/v1/traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1"}, "http://c:2/v1/traces"),
    ],
)
def test_the_endpoint_is_the_configured_one_or_opentelemetrys(
    configured: str, environment: dict[str, str], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert endpoint_in_force(configured) == found
