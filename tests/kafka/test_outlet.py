"""What the producer's queue has no room for: offered again, unless its partition was given up in between."""

import time
from collections.abc import Callable, Iterator
from ctypes import string_at

import numpy as np
import pytest
from lane_traffic import PATIENCE_S, fill

from pipeline.clock import Instant
from pipeline.decode import Reject
from pipeline.delivery_time import DeliveryTime
from pipeline.in_flight import InFlight
from pipeline.intake import Rejected
from pipeline.kafka.consumer import LaneConsumer
from pipeline.kafka.lane import TopicPartition
from pipeline.kafka.messages import Messages, Record
from pipeline.kafka.producer import LaneProducer
from pipeline.kafka.wake import Wake
from pipeline.outlet import Outlet, OutletTopics
from pipeline.rows import Outcome, Rows
from pipeline.wire.dead_letter import DeadRecord
from tests.laws.decision_reader import PLAIN, new_rows, slots_of
from tests.traffic import read

TOPICS = {"decisions": 2, "dead-letters": 1}
GIVEN_UP, KEPT = TopicPartition("t", 0), TopicPartition("t", 1)
ROOM, ROWS = 3, 8
NOW = Instant(1_000_000, 1_000)
BAD = Reject(0, "wrong-type", "a test's own")


class Read:
    """All that was read of one partition, as one run of rows."""

    def __init__(self) -> None:
        self.parts: list[Messages] = []

    @property
    def pointers(self) -> np.ndarray:
        return np.concatenate([part.pointers for part in self.parts])

    def free(self) -> None:
        for part in self.parts:
            part.free()


def read_all(settings: dict[str, str], wake: Wake) -> dict[TopicPartition, Read]:
    """The records of both partitions, which outlive the consumer's lanes."""
    fill(settings, "t", ROWS, partitions=2)
    consumer = LaneConsumer(settings, wake)
    consumer.assign({GIVEN_UP: 0, KEPT: 0})
    found = {GIVEN_UP: Read(), KEPT: Read()}
    until_s = time.monotonic() + PATIENCE_S
    while sum(part.count for run in found.values() for part in run.parts) < 2 * ROWS:
        assert time.monotonic() < until_s
        consumer.control()
        for key, run in found.items():
            run.parts.append(consumer.lanes[key].read(ROWS))
        wake.wait(20)
    consumer.assign({})
    return found


class Pipe:
    """An outlet over a producer that takes ROOM messages and sends them when flushed, and ROWS rows of two reads."""

    def __init__(self, bootstrap: str, wake: Wake) -> None:
        self.bootstrap = bootstrap
        settings = {"bootstrap.servers": bootstrap}
        small = {"linger.ms": "600000", "queue.buffering.max.messages": str(ROOM)}
        self.producer = LaneProducer({**settings, **small})
        for topic in TOPICS:
            self.producer.partition_count(topic, 20_000)
        self.rows = new_rows(2 * ROWS)
        self.in_flight = InFlight(self.rows)
        self.first = {}
        for partition, messages in read_all(settings, wake).items():
            self.first[partition] = self.in_flight.open(partition, messages, ROWS, ROWS).first
        self.rows.outcome[:] = Outcome.SCORED
        topics = OutletTopics("decisions", TOPICS["decisions"], "dead-letters")
        delivery_time = DeliveryTime(10**9)
        self.outlet = Outlet(self.producer, PLAIN, self.rows, self.in_flight, topics, "t", delivery_time)

    def unfinished(self) -> tuple[int, int]:
        watermarks = self.in_flight.watermarks
        return watermarks.unfinished_rows(GIVEN_UP), watermarks.unfinished_rows(KEPT)

    def reject(self, partition: TopicPartition, row: int) -> None:
        slot = self.first[partition] + row
        self.outlet.dead_letters([Rejected(slot, BAD, self.in_flight.pointer_of(slot))], NOW)

    def send_all(self) -> int:
        """Until nothing waits and all is reported; returns the deliveries."""
        delivered = 0
        while self.outlet.blocked() or self.producer.queued():
            assert self.producer.flush(20_000)
            delivered += len(self.outlet.settle(NOW))
        return delivered + len(self.outlet.settle(NOW))


@pytest.fixture
def pipe(embedded: Callable[[dict[str, int]], str], wake: Wake) -> Iterator[Pipe]:
    made = Pipe(embedded({**TOPICS, "t": 2}), wake)
    yield made
    made.producer.close()


def slots(pipe: Pipe, partition: TopicPartition, rows: int) -> np.ndarray:
    return np.arange(rows, dtype=np.int32) + pipe.first[partition]


def test_what_found_no_room_is_sent_later_once(pipe: Pipe) -> None:
    pipe.outlet.publish(slots(pipe, GIVEN_UP, ROWS - 1), NOW)
    pipe.reject(GIVEN_UP, ROWS - 1)
    pipe.outlet.publish(slots(pipe, KEPT, ROWS), NOW)
    assert pipe.outlet.blocked()
    assert pipe.send_all() == 2 * ROWS
    assert pipe.unfinished() == (0, 0)
    assert sorted(m.value() for m in read(pipe.bootstrap, "dead-letters", 1)) == [b"0:%d" % (ROWS - 1)]
    found = read(pipe.bootstrap, "decisions", 2 * ROWS - 1)
    assert len({message.value() for message in found}) == 2 * ROWS - 1


def test_what_is_encoded_is_shown_once_though_it_is_offered_twice(pipe: Pipe) -> None:
    shown: list[bytes] = []

    def show(rows: Rows, messages: np.ndarray, now_ns: int, now_ms: int) -> None:
        assert (rows, now_ns, now_ms) == (pipe.rows, NOW.mono_ns, NOW.wall_ms)
        shown.extend(string_at(int(each["payload"]), int(each["len"])) for each in messages)

    pipe.outlet.on_encoded = show
    pipe.outlet.publish(slots(pipe, KEPT, ROWS), NOW)
    assert pipe.outlet.blocked()
    pipe.send_all()
    assert sorted(shown) == sorted(message.value() for message in read(pipe.bootstrap, "decisions", ROWS))


def test_nothing_of_a_partition_that_was_given_up_is_handed_over_and_its_rows_are_settled(pipe: Pipe) -> None:
    pipe.outlet.publish(np.concatenate((slots(pipe, GIVEN_UP, 6), slots(pipe, KEPT, 6)))[::-1].copy(), NOW)
    for partition in (GIVEN_UP, KEPT):
        pipe.reject(partition, 6)
    pipe.outlet.state_dead_letters([DeadRecord(Record(7, None, b"state", ()), "labels", 0, "x", "y")])
    pipe.in_flight.abandon({GIVEN_UP})
    assert pipe.unfinished() == (ROWS, ROWS)
    pipe.outlet.drop_abandoned()
    assert pipe.unfinished() == (ROWS - 7, ROWS)
    assert pipe.send_all() == 7
    assert pipe.unfinished() == (ROWS - 7, ROWS - 7)
    assert {m.value() for m in read(pipe.bootstrap, "dead-letters", 2)} == {b"1:6", b"state"}
    found = [
        b'["t",1,' in m.value() or b'"transactions",1,' in m.value() for m in read(pipe.bootstrap, "decisions", 6)
    ]
    assert found == [True] * 6


def test_a_decision_refused_after_its_partition_went_makes_no_dead_letter(pipe: Pipe) -> None:
    pipe.outlet.publish(slots_of(pipe.first[GIVEN_UP], pipe.first[KEPT]), NOW)
    pipe.reject(GIVEN_UP, 1)
    pipe.in_flight.abandon({GIVEN_UP})
    refused = 10  # MSG_SIZE_TOO_LARGE
    for opaque in (pipe.first[GIVEN_UP] + 1, (1 << 40) | (pipe.first[GIVEN_UP] + 2), pipe.first[KEPT] + 1):
        pipe.outlet._failed(opaque, refused)
    assert pipe.unfinished() == (ROWS - 2, ROWS)
    assert pipe.rows.outcome[pipe.first[GIVEN_UP]] == Outcome.SCORED
    assert pipe.rows.outcome[pipe.first[KEPT]] == Outcome.DEAD_LETTER
    assert pipe.outlet.buried == 1
