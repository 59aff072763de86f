"""`headrace quality` over what a pipeline decided and what was labelled later: the numbers that a file would give."""

import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from models.train.evaluate import average_precision, roc_auc
from models.train.examples import labels_of
from pipeline.cli.app import run
from pipeline.cli.stopping import SIGNALS
from pipeline.quality.exporter import FELL_OUT, QualityCollector
from pipeline.quality.intake import Intake
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from pipeline.wire.quality import decode_quality
from tests.traffic import (
    assignments,
    configured,
    decisions,
    label_records,
    read,
    run_until,
    send,
    transaction_records,
)

Start = Callable[[dict[str, int]], str]
POPULATION = Population(customers=120, terminals=60, terminals_near=12, seed=5)
START_MS, DAYS, MS_PER_DAY = 1_577_836_800_000, 20, 86_400_000
TOPICS = {"transactions": 3, "labels": 2, "decisions": 3, "dead-letters": 1, "metrics": 1, "quality": 1}
SETTINGS = ("pipeline.mode=replay", "quality.period=2d", "quality.delay=7d", "http.enabled=false")


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The command takes them over, as it would in a process of its own."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def decided(bootstrap: str) -> tuple[list[dict[str, Any]], pa.Table]:
    """A pipeline's decisions about twenty days, and the labels of their frauds."""
    table = simulated_table(POPULATION, DAYS, START_MS)
    labels = labels_of(table)
    records = transaction_records(table)
    send(bootstrap, "transactions", records)
    send(bootstrap, "labels", label_records(labels))
    config = configured(bootstrap, *SETTINGS)
    assert run_until(config, len(records) + labels.num_rows).drained
    return decisions(bootstrap, "decisions", len(records)), labels


def said(bootstrap: str, capsys: pytest.CaptureFixture[str], *more: str) -> list[str]:
    settings = [part for setting in (*assignments(bootstrap, *SETTINGS), *more) for part in ("--set", setting)]
    assert run(["quality", "-c", "fraud", *settings, "--once"]) == 0
    return capsys.readouterr().out.splitlines()


def test_it_tells_what_a_file_would(embedded: Start, capsys: pytest.CaptureFixture[str]) -> None:
    bootstrap = embedded(TOPICS)
    rows, labels = decided(bootstrap)
    lines = said(bootstrap, capsys)
    frauds = set(map(str, labels["transaction_id"].to_pylist()))
    # The last whole period ends more than seven days before the newest event.
    over = [day for day in range(0, DAYS, 2) if day + 2 + 7 <= DAYS - 1]
    told = [decode_quality(message.value()) for message in read(bootstrap, "quality", 2 * len(over))]
    assert [record.from_ms for record in told[::2]] == [START_MS + day * MS_PER_DAY for day in over]
    assert lines[0] == "2020-01-01 00:00:00 to 2020-01-03 00:00:00"
    assert len(lines) == 3 * len(over)
    assert sum(record.hits for record in told) > 10
    for together, primary in zip(told[::2], told[1::2], strict=True):
        own = [row for row in rows if together.from_ms <= row["event_time"] < together.to_ms]
        hit = np.array([row["id"] in frauds for row in own])
        score = np.array([row["score"] for row in own])
        assert primary.who == ("primary", "fraud-gbt", "1")
        assert together.who == (None, None, None)
        for record in (together, primary):
            assert (record.rows, record.hits, record.whole) == (len(own), hit.sum(), True)
            if record.hits:
                assert record.auc is not None
                assert record.ap is not None
                assert record.auc.value == pytest.approx(roc_auc(hit, score.astype(np.float32).astype(float)))
                assert record.ap.value == pytest.approx(average_precision(hit, score.astype(np.float32)))
            assert record.brier is not None
            assert record.brier.value == pytest.approx(((score - hit) ** 2).mean(), abs=1e-6)


@pytest.mark.slow
def test_a_sample_is_the_same_events_of_both_sides(embedded: Start) -> None:
    bootstrap = embedded(TOPICS)
    rows, labels = decided(bootstrap)
    found = []
    for one_in in (1, 4):
        intake = Intake(configured(bootstrap, *SETTINGS, f"quality.one_in={one_in}"), 10.0)
        try:
            while not intake.caught_up:
                list(intake.turn(2 * START_MS))
        finally:
            intake.close()
        found.append(intake.join.tally)
    assert (found[0].decisions, found[0].labels) == (len(rows), labels.num_rows)
    assert found[1].decisions == pytest.approx(len(rows) / 4, rel=0.1)
    assert 0 < found[1].labels < labels.num_rows
    assert found[0].labels_unmatched == found[1].labels_unmatched == 0


@pytest.mark.slow
def test_repeats_and_what_cannot_be_read_are_counted_and_shown(
    embedded: Start, caplog: pytest.LogCaptureFixture
) -> None:
    bootstrap = embedded(TOPICS)
    rows, _ = decided(bootstrap)
    again = [(b"1", json.dumps(row).encode()) for row in rows if row["event_time"] < START_MS + 2 * MS_PER_DAY]
    send(bootstrap, "decisions", [*again, (b"1", b"{"), (b"1", b'{"v":2}')])
    send(bootstrap, "labels", [(b"1", b'{"transaction_id":1}')])
    config = configured(bootstrap, *SETTINGS)
    intake = Intake(config, 10.0)
    collector = QualityCollector("fraud", intake)
    try:
        periods = []
        while not intake.caught_up:
            periods += list(intake.turn(2 * START_MS))
    finally:
        intake.close()
    assert periods[0].start_ms == START_MS
    assert intake.join.tally.decisions_repeated + intake.join.tally.decisions_late == len(again)
    assert intake.unreadable == 3
    assert sum("is not counted: it cannot be read" in record.message for record in caplog.records) == 3
    registry = CollectorRegistry()
    registry.register(collector)
    text = generate_latest(registry).decode()
    assert f'headrace_quality_read_total{{kind="decisions",pipeline="fraud"}} {float(len(rows) + len(again))}' in text
    assert all(f'why="{why}"' in text for why in FELL_OUT)


def test_a_pipeline_without_labels_and_a_cluster_without_topics_say_so(
    embedded: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["quality", "-c", "vision", "--once"]) != 0
    assert "entities.NAME.labels: pipeline vision has none" in capsys.readouterr().err
    bootstrap = embedded({"transactions": 1})
    assert run(["quality", "-c", "fraud", "--bootstrap", bootstrap, "--once"]) != 0
    assert "has no topic decisions, labels that it lets us see" in capsys.readouterr().err
