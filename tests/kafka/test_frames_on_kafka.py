"""Frames on a real broker, under both guarantees: a dead letter made while scoring goes as every outcome does."""

import json
from pathlib import Path

import pytest

from pipeline.cli.cluster import create_topics
from tests.frames import Frame, frame, image, probabilities, send_frames, vision, write_classifiers
from tests.traffic import read, run_until

pytestmark = pytest.mark.kafka
EXACTLY_ONCE = ("delivery.guarantee=exactly_once", "kafka.group.instance.id=w", "engine.commit_ms=50")
LEVELS = (20, 128, 240)
CUT = image(128, 320, 240)[:-200]
FRAMES, EVERY = 300, 7


def frame_of(number: int) -> Frame:
    """Every seventh is cut in its pixels."""
    cut = number % EVERY == EVERY - 1
    return frame(f"c{number % 5}", number, CUT if cut else image(LEVELS[number % 3]))


@pytest.mark.parametrize("guarantee", [(), EXACTLY_ONCE], ids=["at least once", "exactly once"])
def test_good_and_undecodable_frames_end_once(
    kafka_bootstrap: str, topic_suffix: str, tmp_path: Path, guarantee: tuple[str, ...]
) -> None:
    suffix = f"-{topic_suffix}"
    config = vision(kafka_bootstrap, write_classifiers(tmp_path / "models"), *guarantee, suffix=suffix)
    create_topics({"bootstrap.servers": kafka_bootstrap}, dict.fromkeys(config.topic_names, 3), 1, 20_000)
    send_frames(kafka_bootstrap, [frame_of(number) for number in range(FRAMES)], f"frames{suffix}")
    summary = run_until(config, FRAMES)
    bad = FRAMES // EVERY
    assert summary.drained
    assert (summary.totals.outcomes["scored"], summary.totals.outcomes["dead_letter"]) == (FRAMES - bad, bad)
    assert summary.totals.dead_letter_codes == {"truncated-image": bad}
    assert summary.totals.delivered == FRAMES
    rows = [json.loads(message.value()) for message in read(kafka_bootstrap, f"decisions{suffix}", FRAMES - bad)]
    letters = read(kafka_bootstrap, f"dead-letters{suffix}", bad)
    decided = {int(row["id"]) for row in rows}
    buried = {int(dict(letter.headers())["frame_id"]) for letter in letters}
    assert (len(decided), len(buried), len(decided | buried)) == (FRAMES - bad, bad, FRAMES)
    assert all(letter.value() == CUT for letter in letters)
    for row in rows:
        wanted = probabilities(LEVELS[int(row["id"]) % 3] / 255)
        assert list(row["probabilities"].values()) == pytest.approx(list(wanted), abs=0.03)
    # What was committed is not read again: a second run finds nothing to do but what is new.
    send_frames(kafka_bootstrap, [frame("c1", FRAMES, CUT)], f"frames{suffix}")
    again = run_until(config, 1)
    assert again.totals.outcomes["dead_letter"] == again.totals.counts["read"] == 1
