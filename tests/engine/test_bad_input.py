"""A bad record is data: it becomes a dead letter, the process lives, the count stays exact."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.traffic import configured, decisions, read, run_until, send

NOW_MS = time.time_ns() // 1_000_000
TOPICS = {"transactions": 1, "labels": 1, "decisions": 1, "dead-letters": 1, "metrics": 1}
GOOD = {"transaction_id": 1, "event_time": NOW_MS, "customer_id": 7, "terminal_id": 9, "amount": 19.99}


def event(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def raw(old: str, new: str) -> bytes:
    """The good event with a piece of its text replaced."""
    text = json.dumps(GOOD)
    assert old in text
    return text.replace(old, new).encode(errors="surrogateescape")


WITHOUT_AMOUNT = json.dumps({name: value for name, value in GOOD.items() if name != "amount"}).encode()
BAD: dict[str, tuple[bytes | None, str]] = {
    "not JSON": (b"{not json", "invalid-json"),
    "wrong type": (event(customer_id=[1]), "wrong-type"),
    "not an object": (b"[1,2]", "wrong-type"),
    "missing field": (WITHOUT_AMOUNT, "missing-field"),
    "out of range": (event(amount=-1), "out-of-range"),
    "NaN": (raw("19.99", "NaN"), "non-finite"),
    "Infinity": (raw("19.99", "-Infinity"), "non-finite"),
    "1e400": (raw("19.99", "1e400"), "non-finite"),
    "64-bit overflow": (event(customer_id=2**64), "integer-overflow"),
    "duplicate key": (raw('"amount": 19.99', '"amount": 19.99, "amount": 5'), "duplicate-key"),
    "invalid UTF-8": (raw('"amount"', '"x": "\udcff", "amount"'), "invalid-utf8"),
    "empty": (b"", "empty"),
    "tombstone": (None, "tombstone"),
    "2 MB": (event(note="x" * 2_000_000), "too-large"),
    "nesting": (raw("19.99", "[" * 10_000 + "]" * 10_000), "too-deep"),
    "year 9999": (event(event_time=253_402_214_400_000), "bad-time"),
    "before 1970": (event(event_time=-1), "bad-time"),
}
VALID: dict[str, bytes] = {
    "plain": event(),
    "unknown fields": event(note="hello", nested={"a": [1, {"b": None}]}),
    "escapes": raw('"amount"', '"\\u0061mount"'),
    "exponent": raw("19.99", "1.999e1"),
    "17 digits": raw("19.99", "19.989999999999998"),
    "reordered": json.dumps(dict(reversed(GOOD.items()))).encode(),
    "white space": json.dumps(GOOD, indent=3).replace(" ", "\t ").encode(),
    "RFC 3339": event(event_time="2020-01-01T01:02:03.004+01:00"),
}


def produce(bootstrap: str, topic: str, records: list[tuple[bytes | None, bytes | None]]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "message.max.bytes": 4_000_000})
    for key, value in records:
        producer.produce(topic, value, key, headers=[("trace", b"abc")])
    assert producer.flush(30) == 0


@pytest.mark.parametrize("name", BAD)
def test_each_bad_record_is_a_dead_letter_as_it_came(embedded: Callable[[dict[str, int]], str], name: str) -> None:
    value, code = BAD[name]
    bootstrap = embedded(TOPICS)
    config = configured(
        bootstrap, "kafka.producer.message.max.bytes=4000000", "kafka.consumer.fetch.max.bytes=8000000"
    )
    produce(bootstrap, "transactions", [(b"7", event()), (b"key", value), (b"7", event(transaction_id=2))])
    summary = run_until(config, 3)
    assert summary.drained
    assert summary.totals.outcomes["scored"] == 2
    assert summary.totals.outcomes["dead_letter"] == 1
    assert summary.totals.dead_letter_codes == {code: 1}
    assert sum(summary.totals.outcomes.values()) == summary.totals.counts["read"] == 3
    (letter,) = read(bootstrap, "dead-letters", 1)
    headers = dict(letter.headers())
    assert (letter.key(), letter.value()) == (b"key", value)
    assert headers["trace"] == b"abc"
    assert headers["__streams.errors.exception"] == f"headrace.{code}".encode()
    assert headers["__streams.errors.topic"] == b"transactions"
    assert (headers["__streams.errors.partition"], headers["__streams.errors.offset"]) == (b"0", b"1")
    assert headers["__streams.errors.message"]


def test_every_valid_form_is_decided(embedded: Callable[[dict[str, int]], str]) -> None:
    bootstrap = embedded(TOPICS)
    produce(bootstrap, "transactions", [(b"7", value) for value in VALID.values()])
    config = configured(bootstrap, "publish.features=true")
    assert run_until(config, len(VALID)).totals.outcomes["scored"] == len(VALID)
    found = decisions(bootstrap, "decisions", len(VALID))
    assert [row["features"]["amount"] for row in found] == [19.99] * len(VALID)


def test_one_bad_among_four_thousand_good(embedded: Callable[[dict[str, int]], str]) -> None:
    bootstrap = embedded(TOPICS)
    records = [(b"7", event(transaction_id=number)) for number in range(4_000)]
    send(bootstrap, "transactions", [*records[:2_000], (b"7", b"{"), *records[2_000:]])
    totals = run_until(configured(bootstrap), 4_001).totals
    assert (totals.outcomes["scored"], totals.outcomes["dead_letter"]) == (4_000, 1)
    assert {row["id"] for row in decisions(bootstrap, "decisions", 4_000)} == {str(n) for n in range(4_000)}


def test_keys_that_disagree_are_decided_and_counted(embedded: Callable[[dict[str, int]], str]) -> None:
    bootstrap = embedded(TOPICS)
    produce(bootstrap, "transactions", [(None, event()), (b"8", event()), (b"7", event()), (b"07", event())])
    totals = run_until(configured(bootstrap), 4).totals
    assert totals.outcomes["scored"] == 4
    assert totals.counts["key_disagreements"] == 3


def test_a_label_for_an_unknown_transaction_is_absorbed_and_a_bad_one_is_a_dead_letter(
    embedded: Callable[[dict[str, int]], str],
) -> None:
    bootstrap = embedded(TOPICS)
    label = {"transaction_id": 99, "event_time": NOW_MS, "terminal_id": 9, "customer_id": 7, "fraud": True}
    known = json.dumps({**label, "reported_at": NOW_MS}).encode()
    send(bootstrap, "labels", [(b"99", known), (b"99", json.dumps(label).encode())])
    totals = run_until(configured(bootstrap), 2).totals
    assert (totals.outcomes["absorbed"], totals.outcomes["dead_letter"]) == (1, 1)
    (letter,) = read(bootstrap, "dead-letters", 1)
    assert dict(letter.headers())["__streams.errors.topic"] == b"labels"


def test_an_event_beyond_the_lateness_is_scored_counted_and_not_kept(
    embedded: Callable[[dict[str, int]], str],
) -> None:
    bootstrap = embedded(TOPICS)
    two_hours_ms = 2 * 3_600_000
    times = [NOW_MS, NOW_MS - two_hours_ms, NOW_MS + 1]
    send(bootstrap, "transactions", [(b"7", event(event_time=at)) for at in times])
    totals = run_until(configured(bootstrap, "publish.features=true"), 3).totals
    assert totals.outcomes["scored"] == 3
    assert totals.late == 1
    counts = [row["features"]["customer_count_1d"] for row in decisions(bootstrap, "decisions", 3)]
    assert counts == [1.0, 1.0, 2.0]


def test_an_event_that_brings_its_own_deadline(embedded: Callable[[dict[str, int]], str]) -> None:
    bootstrap = embedded(TOPICS)
    producer = Producer({"bootstrap.servers": bootstrap})
    for number, expiry in enumerate([b"2020-01-01T00:00:00Z", b"2999-01-01T00:00:00Z", b"tomorrow"]):
        producer.produce("transactions", event(transaction_id=number), b"7", headers=[("ce_expirytime", expiry)])
    assert producer.flush(10) == 0
    totals = run_until(configured(bootstrap, "pipeline.deadline_header=ce_expirytime"), 3).totals
    assert totals.counts["unreadable_deadlines"] == 1
    outcomes = {row["id"]: row["outcome"] for row in decisions(bootstrap, "decisions", 3)}
    assert outcomes == {"0": "expired", "1": "scored", "2": "scored"}
