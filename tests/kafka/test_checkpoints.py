"""Law 5 over restarts: windows that come back from a checkpoint have the bits of windows that never went away."""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from models.train.examples import labels_of
from pipeline.cli.cluster import create_topics
from pipeline.config.model import PipelineConfig
from pipeline.service import Summary, run_pipeline
from pipeline.sim.table import simulated_table
from pipeline.sim.transactions import Population
from pipeline.state import manifest as manifests
from pipeline.state.manifest import decode
from pipeline.wire.metrics import MetricsRecord
from tests.engine.test_same_bits import backfilled
from tests.traffic import configured, decisions, label_records, send, transaction_records

pytestmark = pytest.mark.kafka
POPULATION = Population(customers=60, terminals=40, terminals_near=10, seed=3)
START_MS = 1_577_836_800_000
TABLE = simulated_table(POPULATION, 40, START_MS)
QUARTER, HALF = TABLE.num_rows // 4, TABLE.num_rows // 2
RECORDS = transaction_records(TABLE)


class Place:
    """Topics whose labels and first quarter of events are there, and a folder for checkpoints."""

    def __init__(self, bootstrap: str, suffix: str, folder: Path) -> None:
        self.bootstrap, self.suffix, self.folder = bootstrap, suffix, folder
        create_topics({"bootstrap.servers": bootstrap}, dict.fromkeys(self.config().topic_names, 1), 1, 20_000)
        send(self.bootstrap, f"labels-{suffix}", label_records(labels_of(TABLE)))
        self.send(0, QUARTER)

    def config(self, *assignments: str) -> PipelineConfig:
        mine = ("publish.features=true", f"checkpoint.url={self.folder}", "checkpoint.interval_ms=100")
        return configured(self.bootstrap, *mine, *assignments, suffix=f"-{self.suffix}")

    def send(self, first: int, stop: int) -> None:
        send(self.bootstrap, f"transactions-{self.suffix}", RECORDS[first:stop])

    @property
    def slices(self) -> tuple[str, str]:
        return f"transactions-{self.suffix}-0", "global"

    def slice_folder(self, name: str) -> Path:
        return self.folder / "fraud" / f"test-{self.suffix}" / name

    def checkpointed(self, offset: int) -> Callable[[dict[str, int]], bool]:
        """Whether the newest checkpoint of each slice was begun when all before the offset had been taken."""
        at = f"transactions-{self.suffix}/0"

        def newest(name: str) -> int:
            files = sorted(self.slice_folder(name).glob("*.manifest"))
            return decode(name, files[-1].read_bytes()).lowest.get(at, 0) if files else 0

        return lambda _: all(newest(name) >= offset for name in self.slices)


@pytest.fixture
def place(kafka_bootstrap: str, topic_suffix: str, tmp_path: Path) -> Place:
    return Place(kafka_bootstrap, topic_suffix, tmp_path / "state")


def run(config: PipelineConfig, outcomes: int, more: Callable[[dict[str, int]], bool] = lambda _: True) -> Summary:
    """Run until so many outcomes are there and the counts are as wanted."""
    stop, until_s = threading.Event(), time.monotonic() + 60

    def look(_record: MetricsRecord, totals: MetricsRecord) -> None:
        done = sum(totals.outcomes.values()) - totals.outcomes["absorbed"]
        if (done >= outcomes and more(totals.counts)) or time.monotonic() > until_s:
            stop.set()

    summary = run_pipeline(config, stop=stop, on_meter=look)
    assert summary.drained
    assert sum(summary.totals.outcomes.values()) - summary.totals.outcomes["absorbed"] == outcomes
    assert more(summary.totals.counts), summary.totals.counts
    return summary


def same_features(place: Place, config: PipelineConfig, table: pa.Table = TABLE) -> None:
    expected = backfilled(table, config)
    found = decisions(place.bootstrap, config.topics.decisions, TABLE.num_rows)[HALF:]
    assert len(found) == TABLE.num_rows - HALF
    for row in found:
        assert row["features"] == expected[row["id"]], row["id"]


def first_half(place: Place, *assignments: str) -> None:
    """Decide it in two runs, so that each slice has two checkpoints."""
    for first, stop in ((0, QUARTER), (QUARTER, HALF)):
        if first:
            place.send(first, stop)
        counts = run(place.config(*assignments), stop - first, place.checkpointed(stop)).totals.counts
        assert counts["checkpoints_failed"] == 0


@pytest.mark.parametrize("panes", [(), ("entities.customer.panes=60",)])
def test_a_restart_goes_on_from_a_checkpoint_with_the_same_features(place: Place, panes: tuple[str, ...]) -> None:
    first_half(place, *panes)
    place.send(HALF, TABLE.num_rows)
    config = place.config(*panes)
    counts = run(config, TABLE.num_rows - HALF).totals.counts
    assert counts["restored_keys"] == 60 + 40
    assert counts["rebuilt"] < HALF
    same_features(place, config)


def test_what_came_after_the_checkpoint_is_read_again(place: Place) -> None:
    first_half(place)
    quarters = HALF + QUARTER
    place.send(HALF, quarters)
    run(place.config("checkpoint.interval_ms=3600000"), quarters - HALF)
    place.send(quarters, TABLE.num_rows)
    config = place.config()
    counts = run(config, TABLE.num_rows - quarters).totals.counts
    assert counts["restored_keys"] == 60 + 40
    assert counts["rebuilt"] == quarters - HALF
    same_features(place, config)


def damaged(place: Place, slice_name: str, kind: str) -> str:
    """Change a byte in the middle of the newest file of a kind; the newest manifest's name."""
    files = sorted(place.slice_folder(slice_name).glob(f"*.{kind}"))
    content = bytearray(files[-1].read_bytes())
    content[len(content) // 2] ^= 0xFF
    files[-1].write_bytes(content)
    return max(place.slice_folder(slice_name).glob("*.manifest")).name


@pytest.mark.parametrize("kind", ["manifest", "data"])
def test_a_damaged_checkpoint_is_refused_by_name_and_the_one_before_is_used(
    place: Place, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    first_half(place)
    names = [damaged(place, place.slices[0], kind), damaged(place, "global", kind)]
    place.send(HALF, TABLE.num_rows)
    config = place.config()
    with caplog.at_level(logging.WARNING):
        run(config, TABLE.num_rows - HALF)
    refused = [line.getMessage() for line in caplog.records if "is not used" in line.getMessage()]
    for slice_name, name in zip(place.slices, names, strict=True):
        assert any(f"checkpoint {slice_name}/{name}" in line and "damaged" in line for line in refused)
    same_features(place, config)


def test_a_newer_format_is_refused_by_name_and_the_windows_are_rebuilt(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "FORMAT", 2)
    first_half(place)
    monkeypatch.undo()
    place.send(HALF, TABLE.num_rows)
    config = place.config()
    with caplog.at_level(logging.WARNING):
        counts = run(config, TABLE.num_rows - HALF).totals.counts
    assert "has format 2, this version reads up to 1" in caplog.text
    assert counts["restored_keys"] == 0
    assert counts["rebuilt"] == HALF
    same_features(place, config)


def test_a_changed_entity_is_rebuilt_and_the_other_is_kept(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    first_half(place)
    place.send(HALF, TABLE.num_rows)
    config = place.config("features.customer_count_30d.span=31d")
    with caplog.at_level(logging.INFO):
        counts = run(config, TABLE.num_rows - HALF).totals.counts
    assert counts["restored_keys"] == 40  # terminals
    assert counts["rebuilt"] == HALF
    assert "customer is rebuilt: keep_ms was" in caplog.text
    same_features(place, config)


def test_new_windows_over_what_is_kept_need_no_rebuilding(place: Place) -> None:
    first_half(place)
    place.send(HALF, TABLE.num_rows)
    config = place.config("features.customer_count_7d.span=9d")
    counts = run(config, TABLE.num_rows - HALF).totals.counts
    assert counts["restored_keys"] == 60 + 40
    assert counts["rebuilt"] < HALF
    same_features(place, config)


def test_a_place_that_fails_costs_checkpoints_and_no_decision(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.state.store import CheckpointStore

    def broken(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(CheckpointStore, "create", broken)
    with caplog.at_level(logging.ERROR):
        counts = run(place.config(), QUARTER, lambda counts: counts["checkpoints_failed"] >= 2).totals.counts
    assert counts["checkpoints"] == 0
    assert (
        f"checkpoint of {place.slices[0]} failed, the last one stays: OSError: no space left on device" in caplog.text
    )
    monkeypatch.undo()
    place.send(QUARTER, TABLE.num_rows)
    config = place.config()
    run(config, TABLE.num_rows - QUARTER, place.checkpointed(TABLE.num_rows))
    same_features(place, config)


def test_checkpoints_of_a_failed_attempt_are_whole_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a failed checkpoint wrote counts as unchanged in the windows: the next must write all of it."""
    from pipeline.state.store import CheckpointStore

    publish, failed = CheckpointStore.publish, []

    def once_broken(self: CheckpointStore, slice_name: str, *rest: object) -> None:
        if slice_name not in failed:
            failed.append(slice_name)
            raise OSError("gone for a moment")
        publish(self, slice_name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(CheckpointStore, "publish", once_broken)
    run(place.config(), QUARTER, place.checkpointed(QUARTER))
    monkeypatch.undo()
    assert set(failed) == set(place.slices)
    place.send(QUARTER, TABLE.num_rows)
    config = place.config()
    counts = run(config, TABLE.num_rows - QUARTER).totals.counts
    assert counts["restored_keys"] == 60 + 40
    same_features(place, config)


def test_without_its_folder_the_windows_are_rebuilt_from_the_topics(place: Place) -> None:
    first_half(place)
    shutil.rmtree(place.folder)
    place.send(HALF, TABLE.num_rows)
    config = place.config()
    counts = run(config, TABLE.num_rows - HALF).totals.counts
    assert (counts["restored_keys"], counts["rebuilt"]) == (0, HALF)
    same_features(place, config)
