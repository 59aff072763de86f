"""Who has gone quiet."""

from pipeline.slo.expected import Position
from pipeline.slo.silence import FORGET_MS, Instances, Partitions


def test_a_process_is_silent_after_its_time_and_not_when_it_said_goodbye() -> None:
    instances = Instances(30_000)
    instances.heard("a", 1000, False)
    instances.heard("b", 1000, True)
    assert instances.silent(31_000) == {}
    assert instances.silent(31_001) == {"a": 1000}
    assert instances.all_silent(31_001)
    instances.heard("a", 31_500, False)
    assert not instances.silent(31_501)


def test_records_out_of_order_bring_nobody_back() -> None:
    instances = Instances(30_000)
    instances.heard("a", 50_000, True)
    instances.heard("a", 49_000, False)
    assert not instances.silent(200_000)


def test_one_of_two_is_not_all() -> None:
    instances = Instances(1000)
    instances.heard("a", 0, False)
    instances.heard("b", 5000, False)
    assert list(instances.silent(5500)) == ["a"]
    assert not instances.all_silent(5500)
    assert instances.all_silent(7000)


def test_one_that_the_others_outlived_long_is_missed_no_more_and_a_silent_pipeline_is() -> None:
    instances = Instances(1000)
    instances.heard("a", 0, False)
    instances.heard("b", FORGET_MS, False)
    assert list(instances.silent(FORGET_MS)) == []
    assert instances.all_silent(100 * FORGET_MS)


def test_a_partition_is_stuck_only_while_it_has_lag_and_does_not_move() -> None:
    partitions = Partitions(60_000)
    table = [  # seconds, end, committed, stuck
        (0, 100, 100, False),
        (100, 100, 100, False),  # nothing to do
        (110, 101, 100, False),
        (160, 300, 100, False),
        (161, 300, 100, True),  # 61 s after it last had nothing to do
        (170, 300, 101, False),  # it moves
        (231, 300, 101, True),
        (240, 300, 300, False),
    ]
    for at_s, end, committed, stuck in table:
        partitions.sampled(at_s * 1000, {"t/0": Position(end, committed), "t/1": Position(5, 5)})
        assert (list(partitions.stuck(at_s * 1000)) == ["t/0"]) is stuck, at_s


def test_a_group_that_never_committed_is_not_called_stuck() -> None:
    partitions = Partitions(1000)
    for at_ms in (0, 5000):
        partitions.sampled(at_ms, {"t/0": Position(50, None)})
    assert not partitions.stuck(5000)
