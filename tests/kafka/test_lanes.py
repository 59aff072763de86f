"""What a lane promises: every record once, in order, at its offset, and nothing that is no record."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from lane_traffic import PATIENCE_S, fill, read_until, value_of

from pipeline.kafka.consumer import LaneConsumer
from pipeline.kafka.lane import TopicPartition
from pipeline.kafka.librdkafka import KafkaConfigError, KafkaError, lib
from pipeline.kafka.messages import record_at
from pipeline.kafka.producer import LaneProducer
from pipeline.kafka.wake import Wake

TopicOf = Callable[[int], tuple[dict[str, str], str]]


def test_records_come_once_in_order_from_the_offset_asked_for(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(3)
    fill(settings, topic, 3000, partitions=3)
    starts = {TopicPartition(topic, 0): 0, TopicPartition(topic, 1): 1234, TopicPartition(topic, 2): 2999}
    consumer = LaneConsumer(settings, wake)
    consumer.assign(starts)
    read = read_until(consumer, wake, 3000 + 1766 + 1, rows_max=97)
    assert {key: [record.offset for record in records] for key, records in read.items()} == {
        key: list(range(start, 3000)) for key, start in starts.items()
    }
    assert all(record.value == value_of(key, record.offset) for key, rows in read.items() for record in rows)
    consumer.close(5000)


def test_what_arrived_before_its_lane_was_opened_is_read_first(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(1)
    key = TopicPartition(topic, 0)
    fill(settings, topic, 50)
    consumer = LaneConsumer(settings, wake)
    open_lanes = consumer._open_lanes

    def late(partitions: object) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while lib.rd_kafka_queue_length(consumer._control) < 50 and time.monotonic() < until_s:
            wake.wait(100)
        open_lanes([key])
        fill(settings, topic, 50, first=50)
        queue = consumer.lanes[key]._queue
        while not lib.rd_kafka_queue_length(queue) and time.monotonic() < until_s:
            wake.wait(100)

    consumer._open_lanes = late  # type: ignore[method-assign, assignment]
    consumer.assign({key: 0})
    offsets: list[int] = []
    while len(offsets) < 100:
        messages = consumer.lanes[key].read(7)
        offsets += [record_at(address).offset for address in messages.pointers.tolist()]
        messages.free()
        consumer.control()
    assert offsets == list(range(100))
    consumer.close(5000)


def test_extract_tells_null_from_empty_and_finds_the_timestamp(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(1)
    producer = LaneProducer(settings)
    producer.partition_count(topic, 20_000)
    pairs = [(None, None), (b"", b""), (b"key", None), (None, b"value"), (b"key", b"value")]
    before_ms = time.time_ns() // 1_000_000
    for key, value in pairs:
        assert producer.produce(topic, 0, key, value, [], 1) == 0
    assert producer.flush(20_000)
    producer.close()
    consumer = LaneConsumer(settings, wake)
    consumer.assign({TopicPartition(topic, 0): 0})
    lane = consumer.lanes[TopicPartition(topic, 0)]
    columns = {name: np.full(9, -9, np.int64) for name in ("payload", "length", "key", "offset", "timestamp")}
    key_length = np.full(9, -9, np.int32)
    held = []
    while sum(messages.count for messages in held) < len(pairs):
        consumer.control()
        messages = lane.read(10)
        first = 2 + sum(m.count for m in held)
        messages.extract(
            first,
            columns["payload"],
            columns["length"],
            columns["key"],
            key_length,
            columns["offset"],
            columns["timestamp"],
        )
        held.append(messages)
    assert columns["length"][2:7].tolist() == [-1, 0, -1, 5, 5]
    assert key_length[2:7].tolist() == [-1, 0, 3, -1, 3]
    assert (columns["key"][2:7] == 0).tolist() == [True, False, False, True, False]
    assert (columns["payload"][2:7] == 0).tolist() == [True, False, True, False, False]
    assert columns["offset"][2:7].tolist() == [0, 1, 2, 3, 4]
    assert all(before_ms - 60_000 < at < before_ms + 600_000 for at in columns["timestamp"][2:7].tolist())
    for column in (*columns.values(), key_length):
        assert set(column[[0, 1, 7, 8]].tolist()) == {-9}, "wrote outside its rows"
    for messages in held:
        messages.free()
        messages.free()
    consumer.close(5000)


def offsets_of(consumer: LaneConsumer, wake: Wake, partition: TopicPartition, count: int) -> list[int]:
    """The offsets of the partition's next records, whatever the other lanes hold."""
    found: list[int] = []
    until_s = time.monotonic() + PATIENCE_S
    while len(found) < count:
        assert time.monotonic() < until_s, f"{len(found)} of {count} records came"
        consumer.control()
        messages = consumer.lanes[partition].read(count - len(found))
        found += [record_at(address).offset for address in messages.pointers.tolist()]
        if not messages.count:
            wake.wait(50)
        messages.free()
    return found


def test_partitions_that_come_and_go_do_not_disturb_the_others(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(3)
    fill(settings, topic, 500, partitions=3)
    consumer = LaneConsumer(settings, wake, 3)
    first, second, third = (TopicPartition(topic, number) for number in range(3))
    consumer.also_read({first: 0})
    offsets = offsets_of(consumer, wake, first, 100)
    consumer.also_read({second: 400, third: 499})
    assert offsets_of(consumer, wake, third, 1) == [499]
    assert offsets_of(consumer, wake, second, 50) == list(range(400, 450))
    consumer.stop_reading([second])
    assert set(consumer.lanes) == {first, third}
    consumer.also_read({second: 10})  # again, from elsewhere
    assert offsets_of(consumer, wake, second, 5) == list(range(10, 15))
    assert offsets + offsets_of(consumer, wake, first, 400) == list(range(500))
    consumer.close(5000)


def test_two_megabytes_come_whole(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(1)
    big = np.random.default_rng(1).bytes(2_000_000)
    producer = LaneProducer({**settings, "message.max.bytes": "8000000"})
    producer.partition_count(topic, 20_000)
    for value in (b"before", big, b"after"):
        assert producer.produce(topic, 0, None, value, [], 1) == 0
    assert producer.flush(20_000)
    assert producer.deliveries().error.tolist() == [0, 0, 0]
    producer.close()
    consumer = LaneConsumer(settings, wake)
    consumer.assign({TopicPartition(topic, 0): 0})
    (records,) = read_until(consumer, wake, 3).values()
    assert [record.value for record in records] == [b"before", big, b"after"]
    consumer.close(5000)


def test_the_end_of_a_partition_is_no_record(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(1)
    fill(settings, topic, 10)
    consumer = LaneConsumer({**settings, "enable.partition.eof": "true"}, wake)
    consumer.assign({TopicPartition(topic, 0): 4})
    lane, records, end = consumer.lanes[TopicPartition(topic, 0)], 0, -1
    until_s = time.monotonic() + PATIENCE_S
    while end < 0 and time.monotonic() < until_s:
        consumer.control()
        messages = lane.read(100)
        records, end = records + messages.count, messages.end_offset
        if messages.count:
            assert messages.next_offset == 10
        messages.free()
        wake.wait(50)
    assert (records, end) == (6, 10)
    assert lane.high_watermark() == 10
    consumer.close(5000)


def test_a_position_that_is_gone_is_an_error_that_names_it(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(1)
    fill(settings, topic, 10)
    consumer = LaneConsumer(settings, wake)
    consumer.assign({TopicPartition(topic, 0): 4000})

    def read_on() -> None:
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            consumer.control()
            messages = consumer.lanes[TopicPartition(topic, 0)].read(100)
            assert messages.count == 0
            wake.wait(50)

    with pytest.raises(KafkaError, match=rf"{topic}\[0\]") as raised:
        read_on()
    assert raised.value.name == "_AUTO_OFFSET_RESET"
    consumer.close(5000)


def test_a_lane_left_unread_holds_nobody_else_up_and_keeps_its_records(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(2)
    fill(settings, topic, 2000, partitions=2)
    left, read = TopicPartition(topic, 0), TopicPartition(topic, 1)
    consumer = LaneConsumer({**settings, "queued.max.messages.kbytes": "16"}, wake)
    consumer.assign({left: 0, read: 0})
    count, until_s = 0, time.monotonic() + PATIENCE_S
    while count < 2000 and time.monotonic() < until_s:
        consumer.control()
        messages = consumer.lanes[read].read(50)
        count += messages.count
        messages.free()
        if not messages.count:
            wake.wait(50)
    assert count == 2000
    assert [record.offset for record in read_until(consumer, wake, 2000)[left]] == list(range(2000))
    consumer.close(5000)


GIVEN = {"queued.max.messages.kbytes": "65536"}


@pytest.mark.parametrize(("given", "partitions", "bound"), [({}, 64, True), ({}, 1, False), (GIVEN, 64, False)])
def test_partitions_share_the_memory_for_what_is_fetched_ahead_unless_a_setting_says_otherwise(
    embedded: Callable[[dict[str, int]], str], wake: Wake, given: dict[str, str], partitions: int, bound: bool
) -> None:
    settings = {"bootstrap.servers": embedded({"lanes": 2})}
    producer = LaneProducer(settings)
    producer.partition_count("lanes", 20_000)
    for number in range(800):
        assert producer.produce("lanes", number % 2, None, bytes(10_000), [], 0) == 0
    assert producer.flush(20_000)
    producer.close()
    consumer = LaneConsumer({**settings, **given}, wake, partitions)
    consumer.assign({TopicPartition("lanes", number): 0 for number in range(2)})
    queued, quiet, until_s = 0, 0, time.monotonic() + PATIENCE_S
    # A share of a MiB holds 104 of these records, and what one more answer brings.
    while queued < (200 if bound else 800) or quiet < 20:
        assert time.monotonic() < until_s, f"{queued} records were fetched"
        consumer.control()
        before = queued
        queued = sum(lib.rd_kafka_queue_length(lane._queue) for lane in consumer.lanes.values())
        quiet = quiet + 1 if queued == before else 0
        wake.wait(20)
    assert queued < 500 if bound else queued >= 800  # the embedded cluster takes a record that is sent again twice
    consumer.close(5000)


def test_records_read_outlive_their_lane(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(1)
    key = TopicPartition(topic, 0)
    fill(settings, topic, 20)
    consumer = LaneConsumer(settings, wake)
    consumer.assign({key: 0})
    held, until_s = [], time.monotonic() + PATIENCE_S
    while sum(messages.count for messages in held) < 20 and time.monotonic() < until_s:
        consumer.control()
        held.append(consumer.lanes[key].read(100))
        wake.wait(50)
    consumer.assign({})
    assert consumer.lanes == {}
    records = [record_at(address) for messages in held for address in messages.pointers.tolist()]
    assert [record.value for record in records] == [value_of(key, n) for n in range(20)]
    for messages in held:
        messages.free()
    assert consumer.close(5000)


def test_a_setting_that_is_unknown_or_wrong_is_named(wake: Wake) -> None:
    with pytest.raises(KafkaConfigError, match=r"fetch\.wait\.mx\.ms.*No such configuration property"):
        LaneConsumer({"fetch.wait.mx.ms": "5"}, wake)
    with pytest.raises(KafkaConfigError, match=r"fetch\.wait\.max\.ms = 'soon'"):
        LaneConsumer({"fetch.wait.max.ms": "soon"}, wake)
