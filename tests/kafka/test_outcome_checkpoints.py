"""What scores told of a camera outlives its process, as far as a checkpoint has it; changed, it begins anew."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.cluster import create_topics
from pipeline.config.model import PipelineConfig
from pipeline.service import run_pipeline
from pipeline.state.manifest import decode
from tests.frames import frame, image, send_frames, vision, write_classifiers
from tests.traffic import read

pytestmark = pytest.mark.kafka
BAD = {2, 3, 5, 7}


class Line:
    """One camera of a pipeline whose checkpoints are in a folder."""

    def __init__(self, bootstrap: str, suffix: str, folder: Path) -> None:
        self._bootstrap, self._suffix, self._folder = bootstrap, suffix, folder
        self._models = write_classifiers(folder / "models")
        create_topics({"bootstrap.servers": bootstrap}, dict.fromkeys(self.config().topic_names, 1), 1, 20_000)

    def config(self, *more: str) -> PipelineConfig:
        own = (f"checkpoint.url={self._folder / 'state'}", "checkpoint.interval_ms=100", *more)
        return vision(self._bootstrap, self._models, *own, suffix=f"-{self._suffix}")

    def send(self, first: int, stop: int) -> None:
        frames = [frame("c1", number, image(250 if number in BAD else 128)) for number in range(first, stop)]
        send_frames(self._bootstrap, frames, f"frames-{self._suffix}")

    def stored(self, offset: int) -> bool:
        """Whether the newest checkpoint was begun when all before the offset had been read."""
        files = sorted((self._folder / "state").rglob(f"frames-{self._suffix}-0/*.manifest"))
        return bool(files) and decode("", files[-1].read_bytes()).lowest[f"frames-{self._suffix}/0"] >= offset

    def run(self, config: PipelineConfig, outcomes: int, done: Callable[[], bool]) -> dict[str, int]:
        stop, until_s = threading.Event(), time.monotonic() + 60

        def look(_record: Any, totals: Any) -> None:
            if (sum(totals.outcomes.values()) >= outcomes and done()) or time.monotonic() > until_s:
                stop.set()

        return run_pipeline(config, stop=stop, on_meter=look).totals.counts

    def told(self, count: int) -> dict[str, Any]:
        """The features of the last of so many decisions."""
        rows = [json.loads(message.value()) for message in read(self._bootstrap, f"decisions-{self._suffix}", count)]
        return max(rows, key=lambda row: int(row["id"]))["features"]


@pytest.fixture
def line(kafka_bootstrap: str, topic_suffix: str, tmp_path: Path) -> Line:
    made = Line(kafka_bootstrap, topic_suffix, tmp_path)
    made.send(0, 10)
    sent: list[bool] = []

    def stored() -> bool:
        """One frame more, so that a checkpoint is begun when the first ten have been scored."""
        if not sent:
            sent.append(True)
            made.send(10, 11)
        return made.stored(11)

    made.run(made.config(), 10, stored)
    made.send(11, 12)
    return made


def test_what_was_counted_is_restored_with_the_partition(line: Line) -> None:
    counts = line.run(line.config(), 1, lambda: True)
    assert counts["restored_keys"] == 2  # the camera's windows, and what its scores told
    told = line.told(12)
    # A checkpoint that was begun while the eleventh frame was being scored has not counted it.
    assert told["defect_rate_100"] in (4 / 12, 4 / 11)
    assert told["frame_step"] == 1.0


def test_a_changed_declaration_begins_anew_and_nothing_is_read_again_for_it(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    changed = line.config("outcome_state.camera.features.defect_rate_100.rows=50")
    with caplog.at_level("INFO"):
        counts = line.run(changed, 1, lambda: True)
    assert "outcome_state.camera begins empty: outcomes was" in caplog.text
    assert line.told(12)["defect_rate_100"] == 0.0
    assert line.told(12)["frame_step"] == 1.0
    assert counts["rebuilt"] <= 1
