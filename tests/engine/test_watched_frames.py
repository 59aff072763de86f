"""Cameras that are watched: what their frames told before counts, and answers are used again where allowed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.frames import TOPICS, Frame, headers_of, image, send_frames, vision, write_classifiers
from tests.traffic import read, run_until

Start = Callable[[dict[str, int]], str]
ONE = {**TOPICS, "frames": 1, "decisions": 1}
BEGIN_MS = 1_790_000_000_000
IN_ORDER = ("engine.sessions=1", "engine.session=inline", "pipeline.future_ms_max=10000000000000")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_classifiers(tmp_path / "models")


def run(
    start: Start, models: Path, frames: list[Frame], *more: str
) -> tuple[dict[int, dict[str, Any]], dict[str, int]]:
    """Each frame's decision by its id, and what was counted."""
    bootstrap = start(ONE)
    send_frames(bootstrap, frames)
    summary = run_until(vision(bootstrap, models, *IN_ORDER, *more), len(frames))
    assert summary.drained
    rows = [json.loads(message.value()) for message in read(bootstrap, "decisions", len(frames))]
    return {int(row["id"]): row for row in rows}, summary.totals.counts


def shown(number: int, level: int, camera: str = "c1", at_ms: int | None = None, side: int = 40) -> Frame:
    """Frame `number` of a camera, an even grey, 40 ms after the one before."""
    at_ms = BEGIN_MS + 40 * number if at_ms is None else at_ms
    return Frame(camera.encode(), image(level, side, side), headers_of(camera, number, at_ms))


def test_a_camera_that_goes_dark_is_inspected_and_the_reason_is_told(embedded: Start, models: Path) -> None:
    frames = [shown(number, 180 if number < 40 else 80) for number in range(100)]
    frames += [shown(200 + number, 180, "c2") for number in range(30)]
    rows, _ = run(embedded, models, frames, "reuse.exact_rows=0")
    assert {rows[number]["decision"] for number in range(40)} == {"pass"}
    assert "reasons" not in rows[39]
    assert rows[99]["decision"] == "inspect"
    ((reason, drift),) = rows[99]["reasons"]
    assert reason == "camera_dark"
    assert drift == pytest.approx(rows[99]["features"]["exposure_drift"], abs=1e-6)
    assert -0.6 < drift < -0.4
    assert rows[99]["class"] == "clean"  # by its score it would have passed
    assert {rows[200 + number]["decision"] for number in range(30)} == {"pass"}


def test_defects_are_counted_a_camera_and_steps_and_order_of_frames_are_told(embedded: Start, models: Path) -> None:
    bad = {3, 4, 8}
    frames = [shown(number, 250 if number in bad else 128) for number in range(10)]
    frames += [shown(14, 128), shown(13, 128), shown(15, 128)]
    rows, _ = run(embedded, models, frames)
    told = rows[9]["features"]
    assert (told["defect_rate_100"], told["defect_rate_1m"]) == (0.3, 0.3)
    assert (told["frame_step"], told["frame_gap_s"], told["frames_1m"]) == (1.0, 0.04, 10.0)
    assert told["exposure"] == pytest.approx(128 / 255, abs=0.01)
    assert (rows[14]["features"]["frame_step"], rows[14]["features"]["frame_behind_s"]) == (5.0, 0.0)
    assert (rows[13]["features"]["frame_step"], rows[13]["features"]["frame_behind_s"]) == (4.0, 0.04)
    assert rows[15]["features"]["frame_step"] == 1.0


def test_the_same_bytes_are_scored_once_and_say_so(embedded: Start, models: Path) -> None:
    frames = [shown(number, (128, 250)[number % 2]) for number in range(12)]
    rows, counts = run(embedded, models, frames, "engine.buckets=[1,2]", "engine.poll_rows_max=2")
    assert counts["reused_same"] == 10
    assert [row for row in (0, 1) if "reasons" in rows[row]] == []
    for number in range(2, 12):
        assert rows[number]["reasons"] == [["same_frame", 0.0]]
        for field in ("score", "class", "probabilities", "decision", "outcome"):
            assert rows[number][field] == rows[number % 2][field]
        assert rows[number]["features"]["sharpness"] == rows[number % 2]["features"]["sharpness"]
    assert rows[11]["features"]["defect_rate_100"] == 0.5  # a frame that was not scored again counts all the same


def test_nothing_is_used_again_where_that_is_not_asked_for(embedded: Start, models: Path) -> None:
    _, counts = run(embedded, models, [shown(number, 128) for number in range(5)], "reuse.exact_rows=0")
    assert "reused_same" not in counts


def test_frames_of_a_rule_and_frames_that_expired_leave_no_trace(embedded: Start, models: Path) -> None:
    frames = [shown(number, 250, at_ms=1_600_000_000_000 + number) for number in range(6)]
    late = ("pipeline.budget_ms=1", "pipeline.budget_ms_max=1")
    rows, counts = run(embedded, models, frames, *late)
    unscored = [row for row in rows.values() if row["outcome"] == "expired" or row["tier"] == "rule"]
    assert counts["outcomes_missed"] == len(unscored) > 0
    for row in unscored:
        assert row["features"]["defect_rate_100"] is None
        assert row["features"]["frames_1m"] is not None
