"""What clients say of themselves goes where the process logs, at their level, and not line after line."""

import logging
import time
from collections.abc import Callable

import pytest

from pipeline.committing import OffsetCommitter
from pipeline.group import Group, GroupLimits
from pipeline.kafka.client_log import grade_of
from pipeline.kafka.consumer import ConsumerError, LaneConsumer, TopicPartition
from pipeline.kafka.consumer_trouble import ConsumerTrouble
from pipeline.kafka.control import CommitResult
from pipeline.kafka.embedded import EmbeddedCluster
from pipeline.kafka.librdkafka import ffi, lib
from pipeline.kafka.wake import Wake
from pipeline.offsets import Commits, Watermarks

NOWHERE = "127.0.0.1:1"
PATIENCE_S = 20.0
OFFSET_COMMIT, NOT_AUTHORIZED = 8, 30


def test_syslogs_levels_are_loggings() -> None:
    grades = [logging.ERROR] * 4 + [logging.WARNING, logging.INFO, logging.DEBUG, logging.DEBUG]
    assert [grade_of(level) for level in range(8)] == grades


def test_a_consumer_whose_cluster_is_gone_says_so_once_and_nothing_reaches_the_standard_error(
    wake: Wake, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    consumer = LaneConsumer({"bootstrap.servers": NOWHERE, "group.id": "g"}, wake)
    consumer.subscribe(["t"])
    trouble, heard = ConsumerTrouble("consumer", consumer.address), 0
    until_s = time.monotonic() + PATIENCE_S
    while heard < 4:
        assert time.monotonic() < until_s
        for event in consumer.control():
            if isinstance(event, ConsumerError):
                trouble.heard(event, heard)
                heard += 1
        wake.wait(50)
    consumer.close(100)
    (line,) = caplog.messages
    assert line.startswith(f"consumer: no connection to {NOWHERE}: ")
    trouble.reached(10**10)
    assert caplog.messages[1] == f"consumer: {NOWHERE} answers again, after 10 s"
    assert capfd.readouterr().err == ""


def test_lines_of_a_consumer_are_logged_with_their_facility(
    wake: Wake, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG, "librdkafka"):
        consumer = LaneConsumer({"bootstrap.servers": NOWHERE, "group.id": "g", "debug": "generic"}, wake)
        until_s = time.monotonic() + PATIENCE_S
        while not caplog.records:
            assert time.monotonic() < until_s
            consumer.control()
        consumer.close(100)
    assert {record.name for record in caplog.records} == {"librdkafka"}
    assert caplog.records[0].levelno == logging.DEBUG
    assert vars(caplog.records[0])["facility"]
    assert capfd.readouterr().err == ""


def test_commits_that_fail_are_told_once_and_once_that_they_go_through_again(
    wake: Wake, caplog: pytest.LogCaptureFixture
) -> None:
    ffi.cdef("int rd_kafka_mock_push_request_errors_array(void *cluster, int16_t key, size_t n, const int *errors);")
    with EmbeddedCluster({"t": 1}) as cluster:
        settings = {"bootstrap.servers": cluster.bootstrap, "group.id": "g", "auto.offset.reset": "earliest"}
        consumer, watermarks = LaneConsumer(settings, wake), Watermarks[TopicPartition]()
        committer = OffsetCommitter(consumer, watermarks, Commits(0), 20_000)
        group = Group(consumer, None, watermarks, committer, GroupLimits(0, 20_000, "earliest", 20_000, "stop"))
        answers: list[bool] = []
        answered = committer.answered

        def note(result: CommitResult) -> None:
            answers.append(result.error is None)
            answered(result)

        committer.answered = note  # type: ignore[method-assign]
        consumer.subscribe(["t"])
        turn_until(group, wake, lambda: bool(group.owned))
        lib.rd_kafka_mock_push_request_errors_array(
            cluster._cluster, OFFSET_COMMIT, 3, ffi.new("int[]", [NOT_AUTHORIZED] * 3)
        )
        watermarks.open(TopicPartition("t", 0), 5, 0)
        turn_until(group, wake, lambda: True in answers, commit=True)
        consumer.close(1000)
    assert answers[:4] == [False, False, False, True]
    told = [line for line in caplog.messages if line.startswith("offsets are")]
    assert len(told) == 2
    assert told[0].startswith("offsets are not committed, 1 failures in 0.0 s, will be tried again: ")
    assert told[1].startswith("offsets are committed again, after 3 failures in ")


def turn_until(group: Group, wake: Wake, done: Callable[[], bool], *, commit: bool = False) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < until_s
        now_ns = time.monotonic_ns()
        group.serve(now_ns)
        if commit:
            group.commit(now_ns)
        wake.wait(5)
