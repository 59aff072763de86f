"""At least once: what the cluster has confirmed as committed is known, nothing else is called committed."""

from lane_traffic import fill
from test_group import QUICK, TopicOf, turn_until

from pipeline.committing import OffsetCommitter
from pipeline.drain import Drain
from pipeline.group import Group, GroupLimits
from pipeline.kafka.consumer import LaneConsumer, TopicPartition
from pipeline.kafka.wake import Wake
from pipeline.offsets import Commits, Watermarks


class Process:
    """A group's member that reads nothing; what it finished a test says."""

    def __init__(self, settings: dict[str, str], topic: str, wake: Wake) -> None:
        group = {"group.id": f"group-of-{topic}", "session.timeout.ms": "6000"}
        self.consumer = LaneConsumer({**settings, **QUICK, **group}, wake, 2)
        self.watermarks: Watermarks[TopicPartition] = Watermarks()
        committer = OffsetCommitter(self.consumer, self.watermarks, Commits(10), 20_000)
        limits = GroupLimits(10**9, 20_000, "earliest", 20_000, "stop")
        self.group = Group(self.consumer, None, self.watermarks, committer, limits)
        self.consumer.subscribe([topic])

    def turn(self) -> None:
        self.group.serve(0)


def test_confirmed_offsets_are_known_by_every_way_they_are_committed(topic_of: TopicOf, wake: Wake) -> None:
    settings, topic = topic_of(2)
    fill(settings, topic, 10, partitions=2)
    first, second = (TopicPartition(topic, number) for number in range(2))
    process = Process(settings, topic, wake)
    turn_until([process], lambda: len(process.group.owned) == 2, wake)
    begun = {first: 0, second: 0}
    assert process.group.committed == begun, "where deciding begins stands for a group that has committed nothing"
    process.watermarks.open(first, 5, 0)
    process.group.commit(100)
    assert process.group.committed == begun, "asked for is not confirmed"
    turn_until([process], lambda: process.group.committed == {first: 5, second: 0}, wake)
    process.watermarks.open(second, 7, 0)
    process.group.commit(105)
    process.group.commit_finished()
    assert process.group.committed == {first: 5, second: 7}
    process.group.drain = Drain(frozenset({second}), 0, lost=False)
    process.group.give_up(frozenset({second}), lost=False)
    assert process.group.committed == {first: 5}
    assert process.consumer.close(20_000)
    again = Process(settings, topic, wake)
    turn_until([again], lambda: len(again.group.owned) == 2, wake)
    assert again.group.committed == {first: 5, second: 7}
    again.consumer.close(20_000)
