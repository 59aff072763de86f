"""An event's trace goes on in its decision, and whoever collects spans sees the batches it went through."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from confluent_kafka import Producer

from pipeline.cli.cluster import create_topics
from pipeline.config.problems import ConfigError
from tests.engine.test_bad_input import TOPICS, event
from tests.trace_receiver import Receiver, attributes_of
from tests.traffic import configured, read, run_until

Start = Callable[[dict[str, int]], str]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
BAD = "00-" + "0" * 32 + f"-{PARENT}-01"
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"


def produce(
    bootstrap: str,
    headers: Sequence[list[tuple[str, bytes]] | None],
    value: bytes | None = None,
    topic: str = "transactions",
) -> None:
    """An event a set of headers, its transaction the number of the set."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 200})
    for number, given in enumerate(headers):
        producer.produce(topic, value or event(transaction_id=number), b"7", headers=given)
    assert producer.flush(30) == 0


def header(text: str, *more: tuple[str, bytes]) -> list[tuple[str, bytes]]:
    return [("other", b"x"), ("traceparent", text.encode()), *more]


GIVEN = [
    header(SAMPLED, ("tracestate", STATE.encode())),
    None,
    header(BAD, ("tracestate", STATE.encode())),
    header(UNSAMPLED),
    header(SAMPLED) + header(SAMPLED),
]
CARRIED = [SAMPLED, None, None, UNSAMPLED, None]


def decided(bootstrap: str, count: int) -> dict[int, tuple[dict[str, Any], dict[str, bytes]]]:
    """Decision and headers by the number of the event."""
    found = [(json.loads(each.value()), dict(each.headers() or [])) for each in read(bootstrap, "decisions", count)]
    return {int(decision["id"]): (decision, headers) for decision, headers in found}


@pytest.mark.parametrize("way", ["off", "field", "header"])
def test_a_decision_carries_its_events_trace_as_it_is_asked_for(embedded: Start, way: str) -> None:
    bootstrap = embedded(TOPICS)
    produce(bootstrap, GIVEN)
    totals = run_until(configured(bootstrap, f"trace.propagate={way}"), len(GIVEN)).totals
    assert totals.outcomes["scored"] == len(GIVEN)
    found = decided(bootstrap, len(GIVEN))
    fields = [found[number][0].get("traceparent") for number in range(len(GIVEN))]
    headers = [found[number][1] for number in range(len(GIVEN))]
    assert fields == (CARRIED if way == "field" else [None] * len(GIVEN))
    if way == "header":
        wanted = [{} if each is None else {"traceparent": each.encode()} for each in CARRIED]
        wanted[0]["tracestate"] = STATE.encode()
        assert headers == wanted
    else:
        assert headers == [{}] * len(GIVEN)
    told = {name: totals.counts.get(name) for name in ("traces", "traceparents_invalid", "tracestates_dropped")}
    wanted_counts = (None, None, None) if way == "off" else (2, 2, 0)
    assert tuple(told.values()) == wanted_counts


def test_many_decisions_with_and_without_headers_go_where_their_keys_do(embedded: Start) -> None:
    bootstrap = embedded({**TOPICS, "decisions": 3})
    given = [header(SAMPLED) if number % 3 else None for number in range(3000)]
    produce(bootstrap, given)
    assert run_until(configured(bootstrap, "trace.propagate=header"), 3000).totals.delivered == 3000
    found = read(bootstrap, "decisions", 3000)
    assert len({each.partition() for each in found}) == 1
    for each in found:
        number = int(json.loads(each.value())["id"])
        assert each.key() == b"7"
        assert dict(each.headers() or []) == ({"traceparent": SAMPLED.encode()} if number % 3 else {})


def test_a_dead_letter_keeps_its_trace(embedded: Start) -> None:
    bootstrap = embedded(TOPICS)
    produce(bootstrap, [header(SAMPLED)], b"{")
    run_until(configured(bootstrap, "trace.propagate=header"), 1)
    (letter,) = read(bootstrap, "dead-letters", 1)
    assert dict(letter.headers())["traceparent"] == SAMPLED.encode()


def hex_of(number: bytes) -> str:
    return number.hex()


def exported(receiver: Receiver, *more: str) -> list[str]:
    return ["trace.export=true", f"trace.endpoint={receiver.endpoint}", *more]


def test_spans_of_batches_link_to_the_events_and_decisions_go_on_from_our_spans(embedded: Start) -> None:
    bootstrap = embedded(TOPICS)
    produce(bootstrap, GIVEN)
    with Receiver() as receiver:
        config = configured(bootstrap, *exported(receiver, "trace.propagate=field"))
        totals = run_until(config, len(GIVEN)).totals
    batches = [span for span in receiver.spans if span.name == "score batch"]
    (decide,) = [span for span in receiver.spans if span.name == "decide transactions"]
    found = decided(bootstrap, len(GIVEN))
    # The sampled event goes on from our span, which goes on from its own; the other's parent is what it was.
    assert (hex_of(decide.trace_id), hex_of(decide.parent_span_id)) == (TRACE, PARENT)
    assert found[0][0]["traceparent"] == f"00-{TRACE}-{hex_of(decide.span_id)}-01"
    assert hex_of(decide.span_id) != PARENT
    assert found[3][0]["traceparent"] == UNSAMPLED
    (linked,) = [span for span in batches if span.links]
    assert [(hex_of(link.trace_id), hex_of(link.span_id)) for link in linked.links] == [(TRACE, PARENT)]
    assert [link.span_id for link in decide.links] == [linked.span_id]
    told = attributes_of(linked)
    assert (told["headrace.pipeline"], told["headrace.tier"]) == ("fraud", "primary")
    assert (told["headrace.model"], told["headrace.model.version"]) == ("fraud-gbt", "1")
    assert sum(attributes_of(span)["headrace.rows"] for span in batches) == len(GIVEN)
    assert told["headrace.bucket"] >= told["headrace.rows"]
    assert min(told[f"headrace.cost.{name}_us"] for name in ("expected", "promised", "actual")) > 0
    moments = [
        decide.start_time_unix_nano,
        *(each.time_unix_nano for each in decide.events),
        decide.end_time_unix_nano,
    ]
    assert [each.name for each in decide.events] == ["features computed", "dispatched", "scored"]
    assert moments == sorted(moments)
    assert attributes_of(decide)["messaging.kafka.offset"] == 0
    assert receiver.resources[0]["service.name"] == "headrace"
    assert totals.counts["spans_dropped"] == 0


def test_no_span_without_being_chosen_and_links_are_bounded(embedded: Start) -> None:
    bootstrap = embedded(TOPICS)
    produce(bootstrap, [header(SAMPLED)] * 50)
    with Receiver() as receiver:
        run_until(configured(bootstrap, *exported(receiver, "trace.ratio=0.0")), 50)
        assert receiver.requests == 0
        suffix = ["kafka.group.id=again", "trace.links_max=2", "trace.propagate=field"]
        run_until(configured(bootstrap, *exported(receiver, *suffix)), 50)
    batches = [span for span in receiver.spans if span.name == "score batch"]
    assert batches
    assert all(len(span.links) <= 2 for span in batches)
    ours = {hex_of(span.span_id) for span in receiver.spans if span.name == "decide transactions"}
    assert len(ours) == sum(len(span.links) for span in batches)
    last = [json.loads(each.value())["traceparent"].split("-")[2] for each in read(bootstrap, "decisions", 100)[50:]]
    assert set(last) == {PARENT, *ours}


@pytest.mark.slow
def test_a_receiver_that_is_not_there_costs_spans_and_nothing_else(
    embedded: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap = embedded(TOPICS)
    produce(bootstrap, [header(SAMPLED)] * 20)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@127.0.0.1:1")
    summary = run_until(configured(bootstrap, "trace.export=true", "trace.propagate=header"), 20)
    assert summary.drained
    assert summary.totals.outcomes["scored"] == 20
    said = [line for line in caplog.messages if "spans" in line]
    assert said[0].startswith("spans: no connection to http://127.0.0.1:1/v1/traces: ")
    assert len(said) <= 2
    assert "secret" not in caplog.text


def test_a_replay_carries_no_traces() -> None:
    with pytest.raises(ConfigError, match="trace: a replay carries no traces"):
        configured("nowhere:1", "pipeline.mode=replay", "trace.propagate=field")


def test_an_endpoint_without_export_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="trace: endpoint: given, but export is false"):
        configured("nowhere:1", "trace.endpoint=http://collector:4318/v1/traces")


@pytest.mark.kafka
def test_headers_commit_with_their_decisions(kafka_bootstrap: str, topic_suffix: str) -> None:
    ours = ("delivery.guarantee=exactly_once", "kafka.group.instance.id=a", "trace.propagate=header")
    config = configured(kafka_bootstrap, *ours, suffix=f"-{topic_suffix}")
    create_topics({"bootstrap.servers": kafka_bootstrap}, dict.fromkeys(config.topic_names, 1), 1, 20_000)
    produce(kafka_bootstrap, GIVEN * 20, topic=config.catalog.decided.topic)
    summary = run_until(config, 100)
    assert summary.drained
    assert summary.totals.counts["aborted"] == 0
    found = [dict(each.headers() or []) for each in read(kafka_bootstrap, config.topics.decisions, 100)]
    assert [headers.get("traceparent", b"").decode() or None for headers in found] == CARRIED * 20
