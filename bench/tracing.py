"""What tracing costs: CPU of the loop's thread a record, with it and without, in turns; each at its fastest."""

import time
from collections.abc import Callable

import numpy as np
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from bench._machine import save
from bench.encode import ROWS, fraud_rows
from pipeline.batch import Batch
from pipeline.kafka.consumer import LaneConsumer, TopicPartition
from pipeline.kafka.embedded import EmbeddedCluster
from pipeline.kafka.headed import RowHeaders
from pipeline.kafka.messages import Messages
from pipeline.kafka.producer import LaneProducer
from pipeline.kafka.wake import Wake
from pipeline.rows import Rows
from pipeline.runner import Scored
from pipeline.servings import Servings, TierLabel
from pipeline.tier import RuleTier
from pipeline.trace.batches import BatchSpans, SpanLimits
from pipeline.trace.otel import OtlpSender
from pipeline.trace.reader import TraceReader
from pipeline.trace.told import BatchTold
from pipeline.wire.decision import DecisionEncoder
from pipeline.wire.trace_context import TRACEPARENT, TRACESTATE

ROUNDS, BATCH_ROWS = 31, 64
CONTEXT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LABEL = TierLabel("primary", "fraud-gbt", "1", "CPUExecutionProvider")


def ns_a_record(run: Callable[[], None], records: int) -> float:
    """CPU time of this thread."""
    began = time.thread_time_ns()
    run()
    return (time.thread_time_ns() - began) / records


def traced_rows(rows: Rows) -> Rows:
    rows.traceparent[:, :55] = np.frombuffer(CONTEXT, np.uint8)
    rows.header_address[0] = rows.traceparent.ctypes.data + np.arange(rows.capacity_rows) * rows.traceparent.shape[1]
    rows.header_length[0] = len(CONTEXT)
    return rows


def reading() -> dict[str, float]:
    """Headers are parsed when they are first asked for, so each message is read once."""
    spent: dict[str, list[float]] = {"none": [], "two others": [], "traceparent and two others": []}
    kinds = {"none": [], "two others": [("a", b"x"), ("b", b"y")]}
    kinds["traceparent and two others"] = [*kinds["two others"], ("traceparent", CONTEXT)]
    rows = Rows(ROWS, 1, traced=True)
    with EmbeddedCluster(dict.fromkeys(map(str, range(len(kinds))), 1)) as cluster:
        settings, wake = {"bootstrap.servers": cluster.bootstrap}, Wake()
        producer = LaneProducer(settings)
        for number, headers in enumerate(kinds.values()):
            producer.partition_count(str(number), 20_000)
            for _ in range(ROWS):
                producer.produce(str(number), 0, b"7", b"x" * 100, headers, 1)
        producer.flush(20_000)
        producer.close()
        for _ in range(5):
            for number, kind in enumerate(kinds):
                consumer = LaneConsumer(settings, wake)
                at = TopicPartition(str(number), 0)
                consumer.assign({at: 0})
                left, reader = ROWS, TraceReader(rows)
                while left:
                    messages: Messages = consumer.lanes[at].read(1024)
                    if messages.count:
                        left -= messages.count
                        run = _reading(reader, messages)
                        spent[kind].append(ns_a_record(run, messages.count))
                    else:
                        wake.wait(100)
                    messages.free()
                consumer.close(1000)
        wake.close()
    return {kind: round(min(each)) for kind, each in spent.items()}


def _reading(reader: TraceReader, messages: Messages) -> Callable[[], None]:
    return lambda: reader.take(0, messages.pointers)


def _encoder(*, traceparent: bool) -> DecisionEncoder:
    labels = ["approve", "review", "decline"]
    return DecisionEncoder(
        pipeline="fraud",
        topic="transactions",
        servings=Servings.of_ladder([(LABEL, ())]),
        decisions=labels,
        traceparent=traceparent,
    )


def writing() -> tuple[dict[str, float], dict[str, float]]:
    """Encoding with the field and without, and handing over in one call and with a header each."""
    rows, owner = fraud_rows(traced=True)
    traced_rows(rows)
    slots = np.arange(ROWS, dtype=np.int32)
    encoders = {name: _encoder(traceparent=name == "field") for name in ("off", "field")}
    headers = RowHeaders((TRACEPARENT, TRACESTATE), rows.header_address, rows.header_length)
    encoded: dict[str, list[float]] = {name: [] for name in encoders}
    handed: dict[str, list[float]] = {"off": [], "field": [], "header": []}
    clocks = {"now_ns": 10**12 + 2_000_000, "now_ms": 1_700_000_000_007, "delivery_ns": 3_000_000, "partitions": 1}
    with EmbeddedCluster({"decisions": 1}) as cluster:
        producer = LaneProducer({"bootstrap.servers": cluster.bootstrap})
        producer.partition_count("decisions", 20_000)
        for _ in range(ROUNDS):
            for name, encoder in encoders.items():
                encoded[name].append(ns_a_record(lambda e=encoder: e.encode(rows, slots, **clocks), ROWS))
            for name in handed:
                messages = encoders["field" if name == "field" else "off"].encode(rows, slots, **clocks)
                given = headers if name == "header" else None
                hand_over = lambda m=messages, h=given: producer.produce_batch("decisions", m, h)  # noqa: E731
                handed[name].append(ns_a_record(hand_over, ROWS))
                producer.flush(20_000)
                producer.deliveries()
        producer.close()
    del owner
    return (
        {name: round(min(each)) for name, each in encoded.items()},
        {name: round(min(each)) for name, each in handed.items()},
    )


def spans() -> dict[str, float]:
    """Us a batch: the loop's part, and the exporter's thread's without the sending."""
    found = {}
    for name, links in (("no event sampled", 0), ("16 events sampled", 16)):
        rows, told = traced_rows(Rows(BATCH_ROWS, 1, traced=True)), list[BatchTold]()
        rule = RuleTier("rule", None, LABEL, ())  # type: ignore[arg-type]
        made = BatchSpans(rows, [rule], [BATCH_ROWS], SpanLimits(1.0, links), told.append)
        batch = Batch(0, np.arange(BATCH_ROWS, dtype=np.int32))
        done = Scored(batch, batch.slots, [], 1, 1)

        def loop(made: BatchSpans = made, batch: Batch = batch, done: Scored = done) -> None:
            for _ in range(1000):
                made.dispatched(batch)
                made.scored(done, batch.slots)

        found[f"loop, {name}"] = round(min(ns_a_record(loop, 1000) for _ in range(7)) / 1000, 1)
        sender = OtlpSender(pipeline="fraud", instance="bench", topic="transactions", labels=[LABEL])

        def export(told: list[BatchTold] = told, sender: OtlpSender = sender) -> None:
            for each in told[:200]:
                encode_spans(sender.spans(each)).SerializeToString()

        found[f"exporter's thread, {name}"] = round(min(ns_a_record(export, 200) for _ in range(5)) / 1000, 1)
        sender.stop()
    return found


def main() -> None:
    encode_ns, hand_over_ns = writing()
    found = {
        "read_ns": reading(),
        "encode_ns": encode_ns,
        "hand_over_ns": hand_over_ns,
        "batch_us": spans(),
        "batch_rows": BATCH_ROWS,
    }
    print(found)
    save("tracing", found)


if __name__ == "__main__":
    main()
