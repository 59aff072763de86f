"""A decision that its topic refuses: a dead letter, and where that is refused too the process stops before it."""

import pytest
from hardship import Feed, committed, dead_letters, prepared, running, wait_for

from pipeline.cli.exit_codes import ExitCode, exit_code_of
from pipeline.errors import UndeliverableError

pytestmark = pytest.mark.kafka
SMALL = {"max.message.bytes": "620"}
LONE = "kafka.producer.batch.size=100"
"""A batch is refused as a whole, so no more than one message to a batch."""


def test_a_decision_that_is_too_large_becomes_a_dead_letter(kafka_bootstrap: str, topic_suffix: str) -> None:
    config = prepared(kafka_bootstrap, topic_suffix, LONE, topics={"decisions": SMALL})
    feed = Feed(kafka_bootstrap, f"transactions-{topic_suffix}")
    with running(config) as pipeline:
        feed.send(50)
        small = set(feed.sources)
        feed.send(3, id_bytes=250)
        large = feed.sources - small
        feed.send(50)
        wait_for(kafka_bootstrap, config, feed.sources - large)
        letters = dead_letters(kafka_bootstrap, config, 3)
        summary = pipeline.stop()
    assert {(told["topic"], int(told["partition"]), int(told["offset"])) for told in letters} == large
    assert {told["exception"] for told in letters} == {"headrace.undeliverable"}
    assert all("too large" in told["message"] for told in letters)
    assert summary.drained
    totals = summary.totals
    assert totals.counts["undeliverable"] == totals.dead_letter_codes["undeliverable"] == 3
    assert (totals.outcomes["scored"], totals.outcomes["dead_letter"]) == (100, 3)
    assert sum(totals.outcomes.values()) == totals.counts["read"]


def test_where_its_dead_letter_is_too_large_as_well_the_process_stops_before_it(
    kafka_bootstrap: str, topic_suffix: str
) -> None:
    topics = {"decisions": SMALL, "dead_letters": SMALL}
    config = prepared(kafka_bootstrap, topic_suffix, LONE, topics=topics)
    topic = f"transactions-{topic_suffix}"
    feed = Feed(kafka_bootstrap, topic)
    with running(config) as pipeline:
        feed.send(48)
        small = set(feed.sources)
        wait_for(kafka_bootstrap, config, small)
        feed.send(1, id_bytes=250)
        ((_, partition, offset),) = feed.sources - small
        error = pipeline.ended()
    assert isinstance(error, UndeliverableError)
    assert f"{topic}[{partition}] offset {offset}: neither its outcome nor a dead letter" in str(error)
    assert "too large" in str(error)
    assert exit_code_of(error) == ExitCode.FAILED
    assert committed(kafka_bootstrap, config, topic)[partition] <= offset
    with running(config) as again:
        assert str(again.ended()) == str(error), "a restart does not skip it either"
