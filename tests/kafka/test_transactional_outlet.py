"""Transactions on a real broker, step by step: what goes in, what an abort publishes again, who is fenced."""

import time
from collections.abc import Iterator

import pytest
from committed_traffic import seen
from lane_traffic import PATIENCE_S, fill
from test_group import Member, turn_until
from test_outlet import BAD, ROWS, Read

from pipeline.cli.cluster import create_topics
from pipeline.clock import Instant, SystemClock
from pipeline.committing import TransactionCommitter
from pipeline.courier import Courier
from pipeline.delivery_time import DeliveryTime
from pipeline.errors import FencedError
from pipeline.hand_over import CommitPolicy
from pipeline.in_flight import InFlight
from pipeline.intake import Rejected
from pipeline.kafka.consumer import Assigned, LaneConsumer, TopicPartition
from pipeline.kafka.librdkafka import KafkaError
from pipeline.kafka.producer import LaneProducer
from pipeline.kafka.transactions import AbortNeededError, TransactionalProducer
from pipeline.kafka.wake import Wake
from pipeline.outlet import OutletTopics
from pipeline.plain_letters import PlainLetters
from pipeline.rows import Outcome
from pipeline.transactional_outlet import TransactionalOutlet
from pipeline.transactions import Transactions
from tests.laws.decision_reader import PLAIN, new_rows

pytestmark = pytest.mark.kafka
NOW, LATER = Instant(1_000_000, 1_000), Instant(9_000_000, 9_000)


class Pipe:
    """An outlet and a committer over a group's member, with one chunk of ROWS rows of each of two partitions."""

    def __init__(self, bootstrap: str, suffix: str, wake: Wake) -> None:
        self.bootstrap = bootstrap
        self.input, self.decisions, letters = (f"{name}-{suffix}" for name in ("t", "decisions", "dead-letters"))
        create_topics({"bootstrap.servers": bootstrap}, {self.input: 2, self.decisions: 2, letters: 1}, 1, 20_000)
        self.left, self.kept = TopicPartition(self.input, 0), TopicPartition(self.input, 1)
        self.settings = {"bootstrap.servers": bootstrap}
        fill(self.settings, self.input, ROWS, partitions=2)
        group = {"group.id": f"group-{suffix}", "group.instance.id": "a", "auto.offset.reset": "earliest"}
        self.consumer = LaneConsumer({**self.settings, **group}, wake, 2)
        self.consumer.subscribe([self.input])
        self.rows = new_rows(2 * ROWS)
        self.in_flight = InFlight(self.rows)
        self.plain = LaneProducer(self.settings)
        self.producer = TransactionalProducer(self.settings, f"id-{suffix}", wake)
        for topic in (self.decisions, letters):
            self.producer.partition_count(topic, 20_000)
        self.producer.take_over(20_000)
        self.transactions = Transactions(self.producer, Courier(wake))
        topics = OutletTopics(self.decisions, 2, letters)
        self.outlet = TransactionalOutlet(
            self.producer,
            self.transactions,
            PLAIN,
            self.rows,
            self.in_flight,
            topics,
            self.input,
            DeliveryTime(10**9),
            PlainLetters(self.plain, letters),
        )
        self.committer = TransactionCommitter(
            self.consumer,
            self.outlet,
            self.transactions,
            CommitPolicy(10**15, 10**9),
            20_000,
            wake,
            SystemClock().instant,
        )
        self.first = {}
        for partition, messages in self._read_all(wake).items():
            self.first[partition] = self.in_flight.open(partition, messages, ROWS, ROWS).first

    def _read_all(self, wake: Wake) -> dict[TopicPartition, Read]:
        found = {self.left: Read(), self.kept: Read()}
        until_s = time.monotonic() + PATIENCE_S
        while sum(part.count for run in found.values() for part in run.parts) < 2 * ROWS:
            assert time.monotonic() < until_s
            for event in self.consumer.control():
                assert isinstance(event, Assigned)
                self.consumer.accept_assigned(dict.fromkeys(event.partitions))
            for key, lane in self.consumer.lanes.items():
                found[key].parts.append(lane.read(ROWS))
            wake.wait(20)
        return found

    def decide(self, partition: TopicPartition, rows: int) -> None:
        self.rows.outcome[self.first[partition] : self.first[partition] + rows] = Outcome.SCORED

    def reject(self, partition: TopicPartition, row: int) -> None:
        slot = self.first[partition] + row
        self.outlet.dead_letters([Rejected(slot, BAD, self.in_flight.pointer_of(slot))], NOW)

    def abort(self) -> None:
        """What is open is aborted, as after an error of the broker."""
        self.transactions.spoil("a test's own")
        self.committer.commit(NOW.mono_ns, urgent=False)
        self.committer._wait()

    def unfinished(self) -> tuple[int, int]:
        watermarks = self.in_flight.watermarks
        return watermarks.unfinished_rows(self.left), watermarks.unfinished_rows(self.kept)

    def seen(self, count: int, isolation: str = "read_committed") -> list[bytes]:
        return [m.value() for m in seen(self.bootstrap, self.decisions, lambda read: len(read) >= count, isolation)]

    def confirmed(self) -> dict[TopicPartition, int | None]:
        """By the broker's word, which has to be ours."""
        found = self.consumer.committed([self.left, self.kept], 20_000)
        assert {key: offset for key, offset in found.items() if offset is not None} == self.committer.committed
        return found

    def close(self) -> None:
        self.consumer.close(300)
        self.transactions.close(3.0)
        self.producer.close()
        self.plain.close()


@pytest.fixture
def pipe(kafka_bootstrap: str, topic_suffix: str, wake: Wake) -> Iterator[Pipe]:
    made = Pipe(kafka_bootstrap, topic_suffix, wake)
    yield made
    made.close()


def test_a_chunk_is_handed_over_when_all_of_it_is_decided_and_its_offset_goes_with_it(pipe: Pipe) -> None:
    pipe.decide(pipe.left, ROWS - 1)
    pipe.decide(pipe.kept, ROWS - 1)
    pipe.reject(pipe.kept, ROWS - 1)
    assert len(pipe.outlet.settle(NOW)) == 0
    pipe.committer.finish()
    assert len(pipe.outlet.settle(NOW)) == ROWS
    assert pipe.unfinished() == (ROWS, 0)
    assert len(pipe.seen(ROWS - 1)) == ROWS - 1
    assert pipe.confirmed() == {pipe.left: None, pipe.kept: ROWS}
    pipe.decide(pipe.left, ROWS)
    pipe.outlet.settle(NOW)
    pipe.committer.finish()
    assert len(pipe.seen(2 * ROWS - 1)) == 2 * ROWS - 1
    assert pipe.confirmed() == {pipe.left: ROWS, pipe.kept: ROWS}


def test_an_abort_publishes_the_same_bytes_again_without_partitions_given_up(pipe: Pipe) -> None:
    shown: list[int] = []
    pipe.outlet.on_encoded = lambda rows, messages, now_ns, now_ms: shown.append(len(messages))
    for partition in (pipe.left, pipe.kept):
        pipe.decide(partition, ROWS)
    pipe.outlet.settle(NOW)
    assert len(pipe.seen(2 * ROWS, "read_uncommitted")) == 2 * ROWS
    pipe.abort()
    pipe.in_flight.abandon({pipe.left})
    pipe.outlet.drop_abandoned()
    assert pipe.unfinished() == (0, ROWS)
    pipe.outlet.settle(LATER)
    pipe.committer.finish()
    assert len(pipe.outlet.settle(LATER)) == ROWS
    found = pipe.seen(ROWS)
    assert len(set(found)) == len(found) == ROWS
    everything = pipe.seen(3 * ROWS, "read_uncommitted")
    assert len(everything) == 3 * ROWS
    assert all(everything.count(value) == 2 for value in found), "not the same bytes"
    assert sum(shown) == 2 * ROWS
    assert pipe.confirmed() == {pipe.left: None, pipe.kept: ROWS}


@pytest.mark.parametrize("lost", [True, False])
def test_what_was_open_when_a_partition_went_is_aborted_or_committed_before_the_answer(
    pipe: Pipe, lost: bool
) -> None:
    for partition in (pipe.left, pipe.kept):
        pipe.decide(partition, ROWS)
    pipe.outlet.settle(NOW)
    pipe.in_flight.abandon({pipe.left})
    pipe.committer.give_up(frozenset({pipe.left}), lost=lost)
    pipe.committer.forget(frozenset({pipe.left}))
    assert not pipe.transactions.holds(frozenset({pipe.left, pipe.kept}))
    pipe.outlet.drop_abandoned()
    assert pipe.unfinished()[0] == 0
    pipe.outlet.settle(LATER)
    pipe.committer.finish()
    pipe.outlet.settle(LATER)
    assert pipe.unfinished() == (0, 0)
    assert len(pipe.seen(ROWS if lost else 2 * ROWS)) == (ROWS if lost else 2 * ROWS)
    assert pipe.consumer.committed([pipe.left], 20_000) == {pipe.left: None if lost else ROWS}


def test_outcomes_decided_for_a_partition_that_went_are_never_handed_over(pipe: Pipe) -> None:
    pipe.decide(pipe.left, ROWS - 1)
    pipe.reject(pipe.left, ROWS - 1)
    pipe.decide(pipe.kept, ROWS)
    pipe.in_flight.abandon({pipe.left})
    pipe.committer.give_up(frozenset({pipe.left}), lost=False)
    pipe.outlet.drop_abandoned()
    pipe.outlet.settle(NOW)
    pipe.committer.finish()
    assert len(pipe.outlet.settle(NOW)) == ROWS
    assert pipe.unfinished() == (0, 0)
    assert len(pipe.seen(ROWS, "read_uncommitted")) == ROWS
    assert pipe.confirmed() == {pipe.left: None, pipe.kept: ROWS}


def test_a_second_producer_of_a_name_fences_the_first_and_ends_its_transaction(pipe: Pipe) -> None:
    pipe.decide(pipe.kept, ROWS)
    pipe.outlet.settle(NOW)
    other = TransactionalProducer(pipe.settings, pipe.producer.transactional_id)
    other.take_over(20_000)
    with pytest.raises(FencedError, match=r"transactional\.id .* is fenced"):
        pipe.committer.finish()
    other.close()
    assert pipe.seen(0) == []
    assert pipe.consumer.committed([pipe.kept], 20_000) == {pipe.kept: None}


def test_offsets_of_a_generation_that_is_over_are_refused(
    kafka_bootstrap: str, topic_suffix: str, wake: Wake
) -> None:
    settings, topic = {"bootstrap.servers": kafka_bootstrap}, f"t-{topic_suffix}"
    create_topics(settings, {topic: 2}, 1, 20_000)
    first = Member(settings, topic, wake)
    turn_until([first], lambda: len(first.owned) == 2, wake)
    before = first.consumer.group_metadata()
    second = Member(settings, topic, wake)
    turn_until([first, second], lambda: len(first.owned) == len(second.owned) == 1, wake)
    producer = TransactionalProducer(settings, f"id-{topic_suffix}", wake)
    producer.partition_count(topic, 20_000)
    producer.take_over(20_000)
    (mine,), (others,) = first.owned, second.owned
    for partition in (mine, others):
        producer.begin()
        with pytest.raises(AbortNeededError, match="generation"):
            producer.commit({partition: 1}, before)
        producer.abort()
    producer.begin()
    producer.commit({mine: 2}, first.consumer.group_metadata())
    assert first.consumer.committed([mine, others], 20_000) == {mine: 2, others: None}
    producer.close()
    for member in (first, second):
        member.consumer.close(3000)


def test_a_name_without_a_cluster_is_an_error_that_names_both(wake: Wake) -> None:
    producer = TransactionalProducer({"bootstrap.servers": "127.0.0.1:1", "log_level": "0"}, "a-b", wake)
    with pytest.raises(KafkaError, match=r"'a-b' at 127\.0\.0\.1:1"):
        producer.take_over(300)
    producer.close()


def test_a_courier_hands_on_results_and_errors_one_at_a_time(wake: Wake) -> None:
    courier: Courier[int] = Courier(wake)

    def fails() -> int:
        raise ValueError("of a call")

    courier.start(lambda: 7)
    with pytest.raises(RuntimeError, match="under way"):
        courier.start(lambda: 8)
    while (found := courier.result()) is None:
        wake.wait(1000)
    assert found == 7
    courier.start(fails)
    assert wake.wait(60_000)
    with pytest.raises(ValueError, match="of a call"):
        courier.result()
    assert not courier.busy
    assert courier.close(10.0)
