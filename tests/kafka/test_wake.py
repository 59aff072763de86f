"""What ends a wait, and what does not."""

import threading
from collections.abc import Callable

from lane_traffic import fill, read_until

from pipeline.kafka.consumer import LaneConsumer, TopicPartition
from pipeline.kafka.wake import Wake

TopicOf = Callable[[int], tuple[dict[str, str], str]]


def test_a_ring_before_the_wait_ends_it_and_rings_add_up_to_one(wake: Wake) -> None:
    assert not wake.wait(0)
    wake.ring()
    wake.ring()
    assert wake.wait(20_000)
    assert not wake.wait(0)


def test_a_ring_from_another_thread_ends_the_wait(wake: Wake) -> None:
    thread = threading.Timer(0.05, wake.ring)
    thread.start()
    assert wake.wait(20_000)
    thread.join()


def test_a_record_ends_the_wait_of_one_who_emptied_every_queue(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(2)
    quiet, busy = TopicPartition(topic, 0), TopicPartition(topic, 1)
    fill(settings, topic, 100, partitions=2)
    consumer = LaneConsumer(settings, wake)
    consumer.assign({quiet: 0, busy: 0})
    read_until(consumer, wake, 200, rows_max=30)
    for number in range(5):
        late = threading.Timer(0.02, fill, (settings, topic, 1, 2, 100 + number))
        late.start()
        count = 0
        while count < 2:
            assert wake.wait(20_000), "slept over a record"
            consumer.control()
            for lane in (consumer.lanes[quiet], consumer.lanes[busy]):
                messages = lane.read(100)
                count += messages.count
                messages.free()
        late.join()
    consumer.close(5000)
