"""Records of frames as Kafka gives them: fields found in headers, images probed, the bad ones told apart."""

import ctypes
import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Producer
from PIL import Image

from features.columns import Columns
from features.image import ImageSpec
from features.schema import EventField, Schema
from pipeline.decode import Decoded
from pipeline.frame_decode import FrameDecoder
from pipeline.kafka.consumer import LaneConsumer
from pipeline.kafka.headers import ABSENT, NO_VALUE, TWICE, HeaderFinder
from pipeline.kafka.lane import TopicPartition
from pipeline.kafka.messages import Messages
from pipeline.kafka.wake import Wake

SCHEMA = Schema(
    fields={
        "camera_id": EventField(type="id"),
        "frame_id": EventField(type="id"),
        "captured_at": EventField(type="time"),
    }
)
NOW_MS = 1_763_700_000_000
Headers = list[tuple[str, bytes | None]]
GOOD: Headers = [("camera_id", b"c1"), ("frame_id", b"17"), ("captured_at", b"%d" % NOW_MS)]
Reader = Callable[[list[tuple[bytes | None, Headers]]], Messages]


def jpeg(width: int = 16, height: int = 12) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((height, width), 90, np.uint8)).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def read(embedded: Callable[[dict[str, int]], str]) -> Iterator[Reader]:
    """Produces (value, headers) records and reads them back as a lane's messages."""
    bootstrap, wake = embedded({"frames": 1}), Wake()
    consumer = LaneConsumer({"bootstrap.servers": bootstrap}, wake)
    taken: list[Messages] = []

    def of(records: list[tuple[bytes | None, Headers]]) -> Messages:
        producer = Producer({"bootstrap.servers": bootstrap})
        for value, headers in records:
            producer.produce("frames", value, b"c1", headers=headers)
        assert producer.flush(10) == 0
        partition = TopicPartition("frames", 0)
        consumer.assign({partition: 0})
        # A lane gives what has come: here all of it is waited for.
        until_s = time.monotonic() + 30
        parts: list[int] = []
        while len(parts) < len(records):
            assert time.monotonic() < until_s
            taken.append(consumer.lanes[partition].read(1000))
            parts += taken[-1].pointers.tolist()
            consumer.control()
        return Messages(np.array(parts, np.int64), [None])

    yield of
    for messages in taken:
        messages.free()
    consumer.close(2000)
    wake.close()


def located(messages: Messages) -> tuple[np.ndarray, np.ndarray]:
    n = messages.count
    arrays: list[Any] = [np.zeros(n, np.int64) for _ in range(6)]
    arrays[3] = np.zeros(n, np.int32)
    messages.extract(0, *arrays)
    return arrays[0], arrays[1]


def decoded(messages: Messages, **limits: int) -> tuple[Decoded, Columns]:
    image = ImageSpec(pixels_max=limits.get("pixels_max", 10_000))
    decoder = FrameDecoder(SCHEMA, image, limits.get("value_bytes_max", 100_000))
    columns = Columns(SCHEMA, messages.count + 2)
    address, length = located(messages)
    return decoder.decode(address, length, columns, 1, messages.count, messages.pointers), columns


def text_at(columns: Columns, field: int, row: int) -> bytes:
    return ctypes.string_at(int(columns.value[field, row]), int(columns.length[field, row]))


def test_headers_are_found_by_name_wherever_they_stand(read: Reader) -> None:
    messages = read(
        [
            (b"x", [("b", b"2"), ("a", b"1")]),
            (b"x", []),
            (b"x", [("a", b"1"), ("ab", b"?"), ("", b"?"), ("a", b"3"), ("b", None)]),
            (b"x", [("A", b"?"), ("b", b"")] + [(f"trace-{n}", b"t" * n) for n in range(100)] + [("a", b"\0\xff")]),
        ]
    )
    address, length = HeaderFinder(["a", "b"]).find(messages.pointers)
    assert length.tolist() == [[1, ABSENT, TWICE, 2], [1, ABSENT, NO_VALUE, 0]]
    assert ctypes.string_at(int(address[0, 0]), 1) == b"1"
    assert ctypes.string_at(int(address[1, 0]), 1) == b"2"
    assert ctypes.string_at(int(address[0, 3]), 2) == b"\0\xff"


def test_good_frames_become_rows_and_bad_ones_are_told_apart(read: Reader) -> None:
    without = [header for header in GOOD if header[0] != "frame_id"]
    records: list[tuple[bytes | None, Headers, str, str]] = [
        (jpeg(), GOOD, "", ""),
        (None, GOOD, "tombstone", "expected an image"),
        (b"", GOOD, "empty", "expected an image"),
        (jpeg(), [], "missing-field", "header camera_id: missing"),
        (jpeg(), without, "missing-field", "header frame_id: missing"),
        (jpeg(), [*GOOD, ("camera_id", b"c2")], "duplicate-key", "header camera_id"),
        (jpeg(), [*without, ("frame_id", b"\xff")], "invalid-utf8", "header frame_id"),
        (jpeg(), [*GOOD[:2], ("captured_at", b"-5")], "bad-time", "header captured_at: found -5"),
        (jpeg(), [*GOOD[:2], ("captured_at", b"soon")], "bad-time", 'header captured_at: found "soon"'),
        (b"not an image", GOOD, "not-an-image", ""),
        (jpeg(200, 200), GOOD, "too-many-pixels", "200"),
        (b"x" * 100_001, GOOD, "too-large", "the value has 100001 bytes, expected at most 100000"),
        (jpeg(), [*GOOD, ("trace", b"abc")], "", ""),
        (jpeg(), [*GOOD[:2], ("captured_at", b"2025-11-21T04:40:00Z")], "", ""),
    ]
    result, columns = decoded(read([record[:2] for record in records]))
    assert [reject.index for reject in result.rejects] == [n for n, record in enumerate(records) if record[2]]
    for reject in result.rejects:
        assert reject.code == records[reject.index][2]
        assert records[reject.index][3] in reject.message
    assert (result.status == 0).tolist() == [not record[2] for record in records]
    for row in (1, 13, 14):
        assert text_at(columns, 0, row) == b"c1"
        assert text_at(columns, 1, row) == b"17"
        assert columns.value[2, row] == NOW_MS


def test_strings_outlive_the_read_as_long_as_the_messages(read: Reader) -> None:
    records = [(jpeg(), [("camera_id", b"c%d" % n), ("frame_id", f"ü{n}".encode()), GOOD[2]]) for n in range(50)]
    messages = read(records)
    result, columns = decoded(messages)
    assert not result.rejects
    assert len(result.keep) == 50
    assert [text_at(columns, 0, row) for row in range(1, 51)] == [b"c%d" % n for n in range(50)]
    assert [text_at(columns, 1, row) for row in range(1, 51)] == [f"ü{n}".encode() for n in range(50)]
