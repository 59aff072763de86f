"""Simulated cameras: the same seed sends the same pictures, each camera at its own pace, nothing lost."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import simplejpeg

from pipeline.sim.frames import Belt, FrameLoad, drive_frames
from tests.traffic import read

SMALL = Belt(cameras=3, pictures=4, height=32, width=48, seed=7)


def test_the_same_seed_makes_the_same_jpegs() -> None:
    frames = SMALL.frames()
    assert frames == SMALL.frames()
    assert len(set(frames)) == 4
    assert frames != Belt(cameras=3, pictures=4, height=32, width=48, seed=8).frames()
    assert simplejpeg.decode_jpeg(frames[0], "GRAY").shape == (32, 48, 1)


def test_every_camera_sends_its_frames_in_order_under_its_own_key(embedded: Callable[[dict[str, int]], str]) -> None:
    bootstrap = embedded({"belt": 2})
    sent = drive_frames({"bootstrap.servers": bootstrap}, FrameLoad(31, 0, SMALL, "belt"))
    assert sent.frames == 31
    messages = read(bootstrap, "belt", 31)
    assert Counter(message.key() for message in messages) == {b"camera-1": 11, b"camera-2": 10, b"camera-3": 10}
    turns: dict[bytes, list[bytes]] = {}
    for message in sorted(messages, key=lambda m: (m.partition(), m.offset())):
        headers = dict(message.headers())
        assert headers["camera_id"] == message.key()
        assert abs(int(headers["captured_at"]) - message.timestamp()[1]) < 60_000
        turns.setdefault(message.key(), []).append(headers["frame_id"])
    for ids in turns.values():
        assert ids == [b"%d" % turn for turn in range(len(ids))]
    assert {message.value() for message in messages} == set(SMALL.frames())


def test_frames_that_are_to_be_distinct_are_and_show_the_same(embedded: Callable[[dict[str, int]], str]) -> None:
    bootstrap = embedded({"belt": 1})
    drive_frames({"bootstrap.servers": bootstrap}, FrameLoad(8, 0, SMALL, "belt", distinct=True))
    values = {message.value() for message in read(bootstrap, "belt", 8)}
    assert len(values) == 8
    shown = {simplejpeg.decode_jpeg(value, "GRAY").tobytes() for value in values}
    assert shown == {simplejpeg.decode_jpeg(value, "GRAY").tobytes() for value in SMALL.frames()}


def test_a_schedule_waits_for_nobody_and_a_stop_ends_it(embedded: Callable[[dict[str, int]], str]) -> None:
    bootstrap = embedded({"belt": 1})
    asked = iter(np.arange(100) >= 5)
    sent = drive_frames(
        {"bootstrap.servers": bootstrap}, FrameLoad(1000, 0, SMALL, "belt"), stop=lambda: bool(next(asked))
    )
    assert sent.frames == 5
    assert len(read(bootstrap, "belt", 5)) == 5
