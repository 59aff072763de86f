"""What retention deleted: a checkpoint outlives it, what cannot be made whole is named and the operator chooses."""

import shutil
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from pipeline.errors import LostOffsetsError
from pipeline.state.choice import LostStateError
from pipeline.state.stage import RestoreTimeoutError
from pipeline.state_lanes import StateLanes
from tests.kafka.test_checkpoints import HALF, QUARTER, TABLE, Place, first_half, place, run, same_features

pytestmark = pytest.mark.kafka
__all__ = ["place"]


def delete_before(place: Place, offset: int) -> None:
    """What retention does, at once."""
    admin = AdminClient({"bootstrap.servers": place.bootstrap})
    at = TopicPartition(f"transactions-{place.suffix}", 0, offset)
    for future in admin.delete_records([at]).values():
        future.result(20)


def test_a_checkpoint_outlives_the_records_it_was_made_of(place: Place) -> None:
    first_half(place)
    delete_before(place, HALF)
    place.send(HALF, TABLE.num_rows)
    config = place.config()
    assert run(config, TABLE.num_rows - HALF).totals.counts["restored_keys"] == 60 + 40
    same_features(place, config)


def test_records_deleted_before_a_checkpoint_took_them_are_named_and_the_operator_chooses(
    place: Place, tmp_path: Path
) -> None:
    first_half(place)
    place.send(HALF, TABLE.num_rows)
    run(place.config("checkpoint.interval_ms=3600000"), TABLE.num_rows - HALF)
    delete_before(place, HALF + 10)
    topic = f"transactions-{place.suffix}"
    wanted = rf"it needs {topic}/0 from offset {HALF} on, which begins at {HALF + 10}"
    with pytest.raises(LostStateError, match=wanted):
        run(place.config(), 1)
    kept = TABLE.num_rows - HALF - 10
    for choice in ("rebuild", "start-fresh"):  # the global entities read what is kept in both
        folder = shutil.copytree(place.folder, tmp_path / choice)
        config = place.config(f"checkpoint.on_lost={choice}", f"checkpoint.url={folder}")
        run(config, 0, lambda counts: counts["rebuilt"] >= kept)


def test_a_lost_committed_offset_is_named_and_the_operator_chooses(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    run(place.config("checkpoint.url="), QUARTER)
    place.send(QUARTER, HALF)
    low = QUARTER + 10
    delete_before(place, low)
    lost = f"committed offset {QUARTER} is outside the topic, which holds {low} to {HALF}"
    with pytest.raises(LostOffsetsError, match=lost):
        run(place.config(), 1)
    run(place.config("checkpoint.on_lost=start-fresh"), HALF - low)
    assert f"deciding goes on at offset {low}, as checkpoint.on_lost says" in caplog.text


def test_windows_that_take_too_long_end_the_process_by_name(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    run(place.config("checkpoint.url="), QUARTER)
    monkeypatch.setattr(StateLanes, "poll", lambda _: (0, []))
    with pytest.raises(RestoreTimeoutError, match=r"checkpoint\.restore_s_max"):
        run(place.config("checkpoint.restore_s_max=1"), 1)
