"""The group: who owns what, what a revoke waits for, what is committed, and that leaving ends."""

import time
from collections.abc import Callable

import pytest
from lane_traffic import PATIENCE_S, Read, fill, read_until, take

from pipeline.kafka.consumer import Assigned, CommitResult, ControlEvent, LaneConsumer, Revoked, TopicPartition
from pipeline.kafka.embedded import EmbeddedCluster
from pipeline.kafka.librdkafka import KafkaError
from pipeline.kafka.wake import Wake

TopicOf = Callable[[int], tuple[dict[str, str], str]]
pytestmark = pytest.mark.slow
QUICK = {"heartbeat.interval.ms": "200", "auto.offset.reset": "earliest"}
# The embedded cluster refuses commits while it rebalances, a broker takes them until all have joined again.
ON_BROKER_ONLY = pytest.mark.parametrize("topic_of", [pytest.param("broker", marks=pytest.mark.kafka)], indirect=True)


class Member:
    """One process of a group: reads, and on a revoke commits what it read and answers."""

    def __init__(self, settings: dict[str, str], topic: str, wake: Wake) -> None:
        # The embedded cluster ends a rebalance only when a session could have ended: its session is short.
        session = {"session.timeout.ms": "4000" if topic == "lanes" else "6000"}
        self.consumer = LaneConsumer({**QUICK, **session, **settings, "group.id": f"group-of-{topic}"}, wake)
        self.consumer.subscribe([topic])
        self.read: Read = {}
        self.unanswered: list[Revoked] = []
        self.results: list[CommitResult] = []
        self.answers = True

    def turn(self) -> None:
        for event in take(self.consumer, self.read):
            self.meet(event)

    def meet(self, event: ControlEvent) -> None:
        if isinstance(event, Assigned):
            self.consumer.accept_assigned(dict.fromkeys(event.partitions))
        elif isinstance(event, Revoked):
            self.unanswered.append(event)
            if self.answers:
                self.answer()
        elif isinstance(event, CommitResult):
            self.results.append(event)

    def answer(self) -> None:
        for event in self.unanswered:
            assert not event.lost
            done = {p: self.read[p][-1].offset + 1 for p in event.partitions if self.read.get(p)}
            if done:
                self.consumer.commit_sync(done, 20_000)
            self.consumer.accept_revoked(event.partitions)
        self.unanswered = []

    @property
    def owned(self) -> set[TopicPartition]:
        return set(self.consumer.lanes)

    @property
    def count(self) -> int:
        return sum(map(len, self.read.values()))


def turn_until(members: list[Member], done: Callable[[], bool], wake: Wake) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < until_s, [(member.owned, member.count) for member in members]
        for member in members:
            member.turn()
        wake.wait(20)


def offsets_of(members: list[Member], key: TopicPartition) -> list[int]:
    return [record.offset for member in members for record in member.read.get(key, [])]


@ON_BROKER_ONLY
def test_a_second_member_takes_half_and_every_record_is_read_once(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(4)
    keys = {TopicPartition(topic, p) for p in range(4)}
    fill(settings, topic, 200, partitions=4)
    first = Member(settings, topic, wake)
    turn_until([first], lambda: first.owned == keys and first.count == 800, wake)
    lanes = dict(first.consumer.lanes)
    second = Member(settings, topic, wake)
    both = [first, second]
    turn_until(both, lambda: len(first.owned) == 2 and len(second.owned) == 2, wake)
    assert first.owned | second.owned == keys
    assert all(first.consumer.lanes[key] is lanes[key] for key in first.owned), "a kept partition was reopened"
    fill(settings, topic, 100, partitions=4, first=200)
    turn_until(both, lambda: first.count + second.count >= 1200, wake)
    for key in keys:
        assert offsets_of(both, key) == list(range(300))
    second.consumer.commit_sync(dict.fromkeys(second.owned, 300), 20_000)
    assert second.consumer.close(20_000)
    turn_until([first], lambda: first.owned == keys, wake)
    fill(settings, topic, 50, partitions=4, first=300)
    turn_until([first], lambda: first.count + second.count >= 1400, wake)
    for key in keys:
        assert sorted(offsets_of(both, key)) == list(range(350))
    assert first.consumer.close(20_000)


@ON_BROKER_ONLY
def test_a_revoke_waits_for_its_answer_and_kept_partitions_flow_meanwhile(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(2)
    fill(settings, topic, 10, partitions=2)
    first = Member(settings, topic, wake)
    turn_until([first], lambda: first.count == 20, wake)
    first.answers = False
    second = Member(settings, topic, wake)
    turn_until([first, second], lambda: bool(first.unanswered), wake)
    (event,) = first.unanswered
    (leaving,) = event.partitions
    until_s = time.monotonic() + 1.5
    while time.monotonic() < until_s:
        first.turn()
        second.turn()
        assert not second.owned, "taken over before the revoke was answered"
        wake.wait(20)
    first.answer()
    turn_until([first, second], lambda: second.owned == {leaving}, wake)
    fill(settings, topic, 10, partitions=2, first=10)
    turn_until([first, second], lambda: first.count + second.count >= 40, wake)
    assert offsets_of([first, second], leaving) == list(range(20))
    assert [record.offset for record in second.read[leaving]] == list(range(10, 20))
    assert first.consumer.close(20_000)
    assert second.consumer.close(20_000)


@ON_BROKER_ONLY
def test_the_eager_protocol_is_answered_too(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(2)
    settings = {**settings, "partition.assignment.strategy": "range"}
    keys = {TopicPartition(topic, p) for p in range(2)}
    first = Member(settings, topic, wake)
    turn_until([first], lambda: first.owned == keys, wake)
    second = Member(settings, topic, wake)
    turn_until([first, second], lambda: len(first.owned) == len(second.owned) == 1, wake)
    assert first.owned | second.owned == keys
    assert first.consumer.close(20_000)
    assert second.consumer.close(20_000)


def test_a_group_goes_on_from_what_was_committed(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(2)
    keys = [TopicPartition(topic, p) for p in range(2)]
    fill(settings, topic, 100, partitions=2)
    member = Member(settings, topic, wake)
    turn_until([member], lambda: member.count == 200, wake)
    assert member.consumer.committed(keys, 20_000) == dict.fromkeys(keys)
    member.consumer.commit({keys[0]: 40})
    turn_until([member], lambda: bool(member.results), wake)
    assert member.results == [CommitResult(None, {keys[0]: 40})]
    member.consumer.commit_sync({keys[1]: 77}, 20_000)
    assert member.consumer.committed(keys, 20_000) == {keys[0]: 40, keys[1]: 77}
    assert member.consumer.watermarks(keys[0], 20_000) == (0, 100)
    assert member.consumer.close(20_000)
    again = LaneConsumer({**settings, **QUICK, "group.id": f"group-of-{topic}"}, wake)
    again.subscribe([topic])
    read = read_until(again, wake, 60 + 23)
    assert [record.offset for record in read[keys[0]]] == list(range(40, 100))
    assert [record.offset for record in read[keys[1]]] == list(range(77, 100))
    assert again.close(20_000)


def test_nothing_is_committed_that_was_not_asked_for(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(1)
    fill(settings, topic, 100)
    member = Member(settings, topic, wake)
    turn_until([member], lambda: member.count == 100, wake)
    assert member.consumer.close(20_000)
    later = LaneConsumer({**settings, "group.id": f"group-of-{topic}"}, wake)
    assert later.committed([TopicPartition(topic, 0)], 20_000) == {TopicPartition(topic, 0): None}
    later.close(5000)


@pytest.mark.timeout(30)  # librdkafka by itself would wait a session's time-out for the commit
def test_leaving_and_committing_end_though_the_cluster_is_gone(wake: Wake) -> None:
    cluster = EmbeddedCluster({"lanes": 2})
    settings = {"bootstrap.servers": cluster.bootstrap, "session.timeout.ms": "60000", "log_level": "0"}
    member = Member(settings, "lanes", wake)
    turn_until([member], lambda: len(member.owned) == 2, wake)
    cluster.close()
    with pytest.raises(KafkaError, match="commit, 300 ms at most"):
        member.consumer.commit_sync({TopicPartition("lanes", 0): 5}, 300)
    assert not member.consumer.close(300)
    assert member.consumer.close(300), "closing twice"


@ON_BROKER_ONLY
def test_an_unanswered_revoke_does_not_keep_one_from_leaving(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(2)
    first = Member(settings, topic, wake)
    turn_until([first], lambda: len(first.owned) == 2, wake)
    first.answers = False
    second = Member(settings, topic, wake)
    turn_until([first, second], lambda: bool(first.unanswered), wake)
    first.consumer.close(20_000)
    turn_until([second], lambda: len(second.owned) == 2, wake)
    assert second.consumer.close(20_000)
