"""What a run leaves in the log: each change of its state once, and nothing of what events hold."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from pipeline.telemetry.logs import LimitedHandler, lines_come_from, set_up_logs
from tests.engine.test_bad_input import TOPICS, event
from tests.traffic import configured, read, run_until

Start = Callable[[dict[str, int]], str]
SENTINEL = "4929-SENTINEL-1234"
NUMBER = 8_412_771_955_301_337
"""Neither may be found in a log, in whatever form."""
LABEL = {
    "transaction_id": 1,
    "event_time": 1,
    "terminal_id": 9,
    "customer_id": 7,
    "fraud": SENTINEL,
    "reported_at": 2,
}


def hostile() -> list[tuple[str, bytes, bytes | None]]:
    """Records that fail in every way there is, each with a sentinel in key, value or a field's name."""
    key = SENTINEL.encode()
    text = json.dumps({"transaction_id": SENTINEL, "event_time": 1, "customer_id": 7, "terminal_id": 9, "amount": 1})
    bad = [
        key,
        b'"' + key + b'"',
        event(customer_id=SENTINEL, amount=SENTINEL),
        event(transaction_id=[SENTINEL]),
        event(amount=-NUMBER, transaction_id=SENTINEL),
        event(amount=NUMBER),
        event(event_time=SENTINEL),
        event(event_time=NUMBER * 10),
        event(event_time=253_402_214_400_000, transaction_id=SENTINEL),
        text[:-1].encode() + b',"amount":2}',
        text[:-1].encode() + b',"' + key + b'":1,"' + key + b'":2}',
        text.replace(": 1}", f": {NUMBER}e999}}").encode(),
        text.encode() + b"\xff" + key,
        (b"[" * 100) + key,
        event(note=SENTINEL * 70_000),
        None,
    ]
    good = [
        event(transaction_id=SENTINEL + '\\u0041"\n', customer_id=SENTINEL, terminal_id=SENTINEL) for _ in range(3)
    ]
    labels = [("labels", key, value) for value in (key, json.dumps(LABEL).encode())]
    return [*(("transactions", key, value) for value in [*bad, *good]), *labels]


@pytest.fixture
def lines() -> Iterator[Callable[..., tuple[list[dict[str, Any]], str]]]:
    """Runs a pipeline over the hostile records; gives the lines of its log, and all of it as text."""
    out = io.StringIO()
    handlers: list[LimitedHandler] = []

    def run(embedded: Start, *, contents: bool) -> tuple[list[dict[str, Any]], str]:
        bootstrap = embedded(TOPICS)
        producer = Producer({"bootstrap.servers": bootstrap, "message.max.bytes": 4_000_000})
        for topic, key, value in hostile():
            headers = [("traceparent", SENTINEL.encode()), (SENTINEL, b"x")]
            producer.produce(topic, value, key, headers=headers)
        assert producer.flush(30) == 0
        handlers.append(set_up_logs("debug", "json", contents=contents, stream=out))
        lines_come_from("fraud", "host-1")
        big = ("kafka.producer.message.max.bytes=4000000", "kafka.consumer.fetch.max.bytes=8000000")
        config = configured(bootstrap, *big, "trace.propagate=header", "engine.value_bytes_max=1000000")
        summary = run_until(config, len(hostile()))
        assert summary.drained
        assert summary.totals.outcomes["dead_letter"] == 18
        letters = read(bootstrap, "dead-letters", 18)
        assert any(SENTINEL.encode() in dict(each.headers())["__streams.errors.message"] for each in letters)
        handlers[0].close()
        return [json.loads(line) for line in out.getvalue().splitlines()], out.getvalue()

    yield run
    for handler in handlers:
        logging.getLogger().removeHandler(handler)


def test_nothing_of_what_events_hold_is_in_the_log(
    lines: Callable[..., tuple[list[dict[str, Any]], str]], embedded: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    told, text = lines(embedded, contents=False)
    assert "SENTINEL" not in text
    assert str(NUMBER) not in text
    assert capfd.readouterr().err == ""
    letters = [line for line in told if line["logger"] == "pipeline.dead_letter_log"]
    codes = [line["code"] for line in letters]
    assert len(codes) == len(set(codes)) >= 8, "each kind once"
    assert {line["topic"] for line in letters} == {"transactions", "labels"}
    assert all(line["pipeline"] == "fraud" and line["instance"] == "host-1" for line in told)
    changes = ["is being joined", "epoch 1: assigned transactions[0]", "told to stop", "drained in"]
    messages = [line["message"] for line in told]
    found = [next(index for index, message in enumerate(messages) if change in message) for change in changes]
    assert found == sorted(found)
    assert all(sum(change in message for message in messages) == 1 for change in changes)


def test_contents_are_told_when_they_are_asked_for(
    lines: Callable[..., tuple[list[dict[str, Any]], str]], embedded: Start
) -> None:
    told, _ = lines(embedded, contents=True)
    contents = [line["message"] for line in told if line["logger"] == "pipeline.contents"]
    assert contents
    assert all(SENTINEL in message for message in contents)
