"""Frames through the engine: every record ends once, what is told of a good one is what its pixels say."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.manifest import ModelError
from pipeline.config.load import load
from pipeline.tiers import open_tiers
from tests.frames import (
    CLASSES,
    TIERS,
    TOPICS,
    Frame,
    frame,
    headers_of,
    image,
    probabilities,
    send_frames,
    vision,
    write_classifiers,
)
from tests.traffic import read, run_until
from tests.unit.tiny_models import write_repository

LEVELS = (20, 60, 70, 128, 190, 200, 240)
DECISIONS = {20: "reject", 60: "inspect", 128: "pass", 200: "reject", 240: "reject"}
Start = Callable[[dict[str, int]], str]
GOOD = image(128)
BAD: dict[str, tuple[Frame, str]] = {
    "no value": (frame("c1", 1, None), "tombstone"),
    "nothing in it": (frame("c1", 1, b""), "empty"),
    "text": (frame("c1", 1, b"hello"), "not-an-image"),
    "a GIF": (frame("c1", 1, image(5, form="GIF")), "not-an-image"),
    "cut in its header": (frame("c1", 1, GOOD[:20]), "truncated-header"),
    "cut in its pixels": (frame("c1", 1, image(128, 640, 480)[:-400]), "truncated-image"),
    "no headers": (Frame(b"c1", GOOD, []), "missing-field"),
    "a header twice": (Frame(b"c1", GOOD, [*headers_of("c1", 1), ("frame_id", b"2")]), "duplicate-key"),
    "no time": (Frame(b"c1", GOOD, [*headers_of("c1", 1)[:2], ("captured_at", b"now")]), "bad-time"),
    "too large": (frame("c1", 1, b"\xff\xd8\xff" + b"x" * 2_000_000), "too-large"),
}
SESSIONS = [
    ("engine.session=thread", "engine.sessions=2"),
    ("engine.sessions=1", "engine.session=inline"),
]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_classifiers(tmp_path / "models")


def decided(bootstrap: str, count: int, topic: str = "decisions") -> list[tuple[Any, dict[str, Any]]]:
    return [(message, json.loads(message.value())) for message in read(bootstrap, topic, count)]


def check_decision(row: dict[str, Any], level: int) -> None:
    """What a decision tells of an even frame of this level."""
    wanted = probabilities(level / 255)
    assert list(row["probabilities"]) == list(CLASSES)
    assert list(row["probabilities"].values()) == pytest.approx(list(wanted), abs=0.03)
    assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert row["class"] == CLASSES[int(wanted.argmax())]
    assert row["score"] == pytest.approx(1 - row["probabilities"]["clean"], abs=2e-6)
    if level in DECISIONS:
        assert row["decision"] == DECISIONS[level]


@pytest.mark.parametrize("more", SESSIONS, ids=["threads", "inline"])
@pytest.mark.parametrize("mode", ["live", "replay"])
def test_good_and_bad_frames_each_end_once(embedded: Start, models: Path, more: tuple[str, ...], mode: str) -> None:
    bootstrap = embedded(TOPICS)
    frames = []
    for number in range(140):
        level = LEVELS[number % len(LEVELS)]
        form = "PNG" if number % 5 == 0 else "JPEG"
        frames.append(frame(f"c{number % 4}", number, image(level, 40 + number, 30 + number, form)))
        if number % 10 == 9:
            frames.append(list(BAD.values())[number // 10 % 9][0])
    send_frames(bootstrap, frames)
    summary = run_until(vision(bootstrap, models, f"pipeline.mode={mode}", *more), len(frames))
    assert summary.drained
    totals = summary.totals
    assert (totals.outcomes["scored"], totals.outcomes["dead_letter"]) == (140, 14)
    assert sum(totals.outcomes.values()) == totals.counts["read"] == totals.delivered == 154
    codes = Counter(list(BAD.values())[number % 9][1] for number in range(14))
    assert totals.dead_letter_codes == dict(codes)
    rows = decided(bootstrap, 140)
    assert sorted(int(row["id"]) for _, row in rows) == list(range(140))
    for message, row in rows:
        number = int(row["id"])
        assert message.key() == f"c{number % 4}".encode()
        assert (row["tier"], row["model"]) == ("primary", "surface-cnn")
        check_decision(row, LEVELS[number % len(LEVELS)])
    ends = [(row["source"][1], row["source"][2]) for _, row in rows]
    for letter in read(bootstrap, "dead-letters", 14):
        headers = dict(letter.headers())
        ends.append((int(headers["__streams.errors.partition"]), int(headers["__streams.errors.offset"])))
    assert len(set(ends)) == 154


@pytest.mark.parametrize("name", BAD)
def test_each_bad_frame_is_a_dead_letter_as_it_came(embedded: Start, models: Path, name: str) -> None:
    bad, code = BAD[name]
    bootstrap = embedded({**TOPICS, "frames": 1})
    send_frames(bootstrap, [frame("c1", 0, GOOD), bad, frame("c1", 2, GOOD)])
    summary = run_until(vision(bootstrap, models, "engine.value_bytes_max=1000000"), 3)
    assert summary.drained
    assert summary.totals.outcomes["scored"] == 2
    assert summary.totals.dead_letter_codes == {code: 1}
    assert sum(summary.totals.outcomes.values()) == summary.totals.counts["read"] == 3
    (letter,) = read(bootstrap, "dead-letters", 1)
    assert (letter.key(), letter.value()) == (bad.key, bad.value)
    headers = letter.headers()
    assert headers[: len(bad.headers)] == bad.headers
    assert dict(headers)["__streams.errors.exception"] == f"headrace.{code}".encode()
    assert dict(headers)["__streams.errors.offset"] == b"1"


WINDOWED = (
    "entities.camera.key=camera_id",
    'features.seen={ entity = "camera", aggregate = "count", span = "1h" }',
    "publish.features=true",
)


def test_windows_over_cameras_are_rebuilt_from_frames_that_are_read_again(embedded: Start, models: Path) -> None:
    bootstrap = embedded(TOPICS)
    bad = frame("c0", 99, image(128, 640, 480)[:-400])  # an event, whose pixels turn out to be none
    for first, told in ((0, 1), (20, 2)):
        send_frames(bootstrap, [*(frame(f"c{n % 2}", n, GOOD) for n in range(first, first + 20)), bad])
        config = vision(bootstrap, models, "kafka.consumer.session.timeout.ms=6000", *WINDOWED)
        assert run_until(config, 21).totals.outcomes["scored"] == 20, told
    counts = {int(row["id"]): row["features"]["seen"] for _, row in decided(bootstrap, 40)}
    assert counts == {n: n // 2 + 1 + (n >= 20 and n % 2 == 0) for n in range(40)}


def test_a_frame_past_saving_is_expired_whatever_its_pixels_hold(embedded: Start, models: Path) -> None:
    bootstrap = embedded(TOPICS)
    send_frames(bootstrap, [frame("c1", n, image(128, 640, 480)[: -400 * (n % 2) or None]) for n in range(20)])
    totals = run_until(vision(bootstrap, models, "pipeline.budget_ms=1", "pipeline.budget_ms_max=1"), 20).totals
    assert totals.outcomes["expired"] == 20
    for _, row in decided(bootstrap, 20):
        assert (row["outcome"], row["decision"], row["score"]) == ("expired", "inspect", None)
        assert (row["class"], row["probabilities"]) == (None, None)


def test_a_classifier_without_a_clean_class_decides_by_class(embedded: Start, tmp_path: Path) -> None:
    bootstrap = embedded(TOPICS)
    folder = write_classifiers(tmp_path / "defects", clean=None)
    levels = {0: 20, 1: 128, 2: 240, 3: 64}
    send_frames(bootstrap, [frame("c1", number, image(level)) for number, level in levels.items()])
    by_class = (
        "decide.thresholds=[]",
        'decide.classes={ bright = "reject", clean = "pass", dark = "inspect" }',
        "decide.fallback=inspect",
        "decide.sure_min=0.8",
    )
    assert run_until(vision(bootstrap, folder, *by_class), 4).totals.outcomes["scored"] == 4
    rows = {int(row["id"]): row for _, row in decided(bootstrap, 4)}
    assert [rows[n]["decision"] for n in range(4)] == ["inspect", "pass", "reject", "inspect"]
    assert [rows[n]["class"] for n in range(3)] == ["dark", "clean", "bright"]
    assert all(row["score"] == max(row["probabilities"].values()) for row in rows.values())
    assert rows[3]["score"] < 0.8


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ((), "no class is clean"),
        (
            ("decide.thresholds=[]", 'decide.classes={ bright = "reject" }'),
            "its classes are bright, clean, dark, decide.classes has bright",
        ),
    ],
)
def test_classes_that_nothing_decides_on_are_refused(tmp_path: Path, more: tuple[str, ...], told: str) -> None:
    folder = write_classifiers(tmp_path / "defects", clean=None)
    with pytest.raises(ModelError, match=told):
        open_tiers(vision("localhost:1", folder, *more), ())


def test_tiers_that_tell_other_classes_are_refused(tmp_path: Path) -> None:
    folder = write_classifiers(tmp_path / "models", TIERS[:1])
    write_classifiers(folder, TIERS[1:], classes=("clean", "bright", "dark"))
    with pytest.raises(ModelError, match="the classes of lite are clean, bright, dark, those of primary are bright"):
        open_tiers(vision("localhost:1", folder), ())


def test_a_model_of_features_is_refused_for_images_and_the_reverse(models: Path) -> None:
    write_repository(models, ("amount",), names=("sum",))
    with pytest.raises(ModelError, match="it takes features, topic 'frames' has images"):
        open_tiers(vision("localhost:1", models, "tiers.lite.model=sum"), ())
    fraud = load("fraud", environ={}, assignments=(f"models.folder={models}", "tiers.primary.model=surface-cnn"))
    with pytest.raises(ModelError, match="it takes images, topic 'transactions' has format json"):
        open_tiers(fraud.config, tuple(fraud.config.features))


@pytest.mark.parametrize("more", SESSIONS, ids=["threads", "inline"])
def test_in_a_cascade_only_frames_of_no_likely_class_go_on(
    embedded: Start, models: Path, more: tuple[str, ...]
) -> None:
    bootstrap = embedded(TOPICS)
    count, unsure = 70, {level for level in LEVELS if probabilities(level / 255).max() < 0.9}
    assert unsure == {60, 70, 190, 200}
    bad = BAD["cut in its pixels"][0]
    frames = [frame(f"c{number % 4}", number, image(LEVELS[number % len(LEVELS)])) for number in range(count)]
    send_frames(bootstrap, [*frames, bad])
    cascade = ("cascade.first=lite", "cascade.sure_min=0.9", "cascade.audit_share=0.0")
    totals = run_until(vision(bootstrap, models, *cascade, *more), count + 1).totals
    assert (totals.outcomes["scored"], totals.outcomes["dead_letter"]) == (count, 1)
    for _, row in decided(bootstrap, count):
        level = LEVELS[int(row["id"]) % len(LEVELS)]
        check_decision(row, level)
        assert (row["outcome"], row["tier"]) == ("scored", "primary")
        assert row["model"] == (TIERS[0] if level in unsure else TIERS[1])
    assert totals.counts["cascade_rows/passed"] == sum(LEVELS[n % len(LEVELS)] in unsure for n in range(count))
    assert totals.counts["outcomes_missed"] == 0
