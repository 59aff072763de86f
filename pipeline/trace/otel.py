"""Spans of OpenTelemetry made of what the loop told, sent by OTLP over HTTP; imported only where that is asked."""

import logging
import os
import random
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags

from pipeline.servings import TierLabel
from pipeline.trace.told import BatchTold
from pipeline.wire.trace_context import FLAGS, PARENT_ID, TRACE_ID

_SCOPE = InstrumentationScope("headrace")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_ENDPOINTS = (("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""), ("OTEL_EXPORTER_OTLP_ENDPOINT", "/v1/traces"))
_EXPORTERS_LOGGER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


def endpoint_in_force(configured: str) -> str:
    """Where spans go, for people to read: without a password that may stand in it."""
    found = ((os.environ[name].rstrip("/") + path) for name, path in _ENDPOINTS if os.environ.get(name))
    parts = urlsplit(configured or next(found, "http://localhost:4318/v1/traces"))
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _resource(pipeline: str, instance: str) -> Resource:
    """What OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say comes first."""
    found = Resource.create()
    named = {"service.name": "headrace", "service.namespace": pipeline, "service.instance.id": instance}
    unknown = "unknown_service"  # the SDK's own word where nobody says a name
    return found.merge(
        Resource({k: v for k, v in named.items() if str(found.attributes.get(k, unknown)).startswith(unknown)})
    )


class _Heard(logging.Filter):
    """What the exporter says of its attempts, a line each: kept for the one line that is ours."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Nothing passes."""
        if not record.getMessage().startswith("Failed to export spans batch due to timeout"):
            self.last = record.getMessage()
        return False


class OtlpSender:
    """Makes and sends spans; see `Sender`. Of a batch one, and one of each of its events that are told of."""

    def __init__(
        self, *, pipeline: str, instance: str, topic: str, labels: Sequence[TierLabel], endpoint: str = ""
    ) -> None:
        self._resource = _resource(pipeline, instance)
        self._pipeline = pipeline
        self._topic = topic
        self._labels = labels
        self.endpoint = endpoint_in_force(endpoint)
        self._heard = _Heard()
        logging.getLogger(_EXPORTERS_LOGGER).addFilter(self._heard)
        self._exporter = OTLPSpanExporter(endpoint=endpoint or None)

    def send(self, spans: Sequence[ReadableSpan]) -> str | None:
        """Send them; the exporter tries for OTEL_EXPORTER_OTLP_TIMEOUT, 10 s by default."""
        if self._exporter.export(spans) is SpanExportResult.SUCCESS:
            return None
        return self._heard.last or "not taken"

    def stop(self) -> None:
        """Also lets the exporter's own log speak again."""
        stop: Callable[[], None] = self._exporter.shutdown
        stop()
        logging.getLogger(_EXPORTERS_LOGGER).removeFilter(self._heard)

    def spans(self, told: BatchTold) -> list[ReadableSpan]:
        """The batch's span first."""
        batch = SpanContext(random.getrandbits(128) | 1, random.getrandbits(64) | 1, False, _SAMPLED)
        contexts = [_context(bytes(row)) for row in told.events.context]
        return [self._batch(told, batch, contexts), *self._events(told, batch, contexts)]

    def _batch(self, told: BatchTold, context: SpanContext, links: Sequence[SpanContext]) -> ReadableSpan:
        epoch_ns, scored = told.epoch_ns, told.tier >= 0
        attributes: dict[str, str | int | float] = {
            "headrace.pipeline": self._pipeline,
            "headrace.rows": told.rows,
            "headrace.expired_rows": told.expired_rows,
            "headrace.queue_us_max": (told.dispatch_ns - told.first_arrival_ns) // 1000,
            "messaging.system": "kafka",
            "messaging.destination.name": self._topic,
            "messaging.batch.message_count": told.rows,
        }
        if scored:
            label = self._labels[told.tier]
            named = {"headrace.model": label.model, "headrace.model.version": label.version}
            attributes |= {name: value for name, value in named.items() if value is not None}
            attributes |= {"headrace.tier": label.tier, "headrace.bucket": told.bucket}
            costs = {"expected": told.expected_ns, "promised": told.promised_ns, "actual": told.cost_ns}
            attributes |= {f"headrace.cost.{name}_us": ns / 1000 for name, ns in costs.items() if told.cost_ns}
        events = [Event("scored", timestamp=epoch_ns + told.dispatch_ns + told.score_ns)] if scored else []
        return ReadableSpan(
            name="score batch" if scored else "expire rows",
            context=context,
            resource=self._resource,
            attributes=attributes,
            events=events,
            links=[Link(link) for link in links],
            kind=SpanKind.INTERNAL,
            start_time=epoch_ns + told.dispatch_ns,
            end_time=epoch_ns + told.end_ns,
            instrumentation_scope=_SCOPE,
        )

    def _events(self, told: BatchTold, batch: SpanContext, contexts: Sequence[SpanContext]) -> list[ReadableSpan]:
        """Each in the trace of its event, from the event's arrival in the process to its decision."""
        events, epoch_ns, scored = told.events, told.epoch_ns, told.tier >= 0
        spans = []
        for index, parent in enumerate(contexts):
            span_id = int(bytes(events.span_id[index]), 16)
            arrival_ns = int(events.arrival_ns[index])
            moments = {"features computed": arrival_ns + int(events.features_ns[index])}
            if scored:
                moments |= {"dispatched": told.dispatch_ns, "scored": told.dispatch_ns + told.score_ns}
            partition = str(events.partition[index])
            attributes: dict[str, str | int] = {
                "headrace.pipeline": self._pipeline,
                "headrace.tier": self._labels[told.tier].tier if scored else "expired",
                "messaging.system": "kafka",
                "messaging.operation.type": "process",
                "messaging.destination.name": self._topic,
                "messaging.destination.partition.id": partition,
                "messaging.kafka.offset": int(events.offset[index]),
            }
            spans.append(
                ReadableSpan(
                    name=f"decide {self._topic}",
                    context=SpanContext(parent.trace_id, span_id, False, parent.trace_flags),
                    parent=parent,
                    resource=self._resource,
                    attributes=attributes,
                    events=[Event(name, timestamp=epoch_ns + at_ns) for name, at_ns in moments.items()],
                    links=[Link(batch)],
                    kind=SpanKind.CONSUMER,
                    start_time=epoch_ns + arrival_ns,
                    end_time=epoch_ns + told.end_ns,
                    instrumentation_scope=_SCOPE,
                )
            )
        return spans


def _context(text: bytes) -> SpanContext:
    ids = int(text[TRACE_ID], 16), int(text[PARENT_ID], 16)
    return SpanContext(*ids, is_remote=True, trace_flags=TraceFlags(int(text[FLAGS], 16)))
