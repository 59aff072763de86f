"""The table about traces: what is carried from an event to its decision, and what is told of batches."""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from pipeline.config.sections import Section


class TraceSection(Section):
    """`[trace]`: W3C Trace Context, and spans by OpenTelemetry."""

    propagate: Literal["off", "field", "header"] = "off"
    """How an event's `traceparent` header reaches its decision. `field`: as `traceparent` in its JSON, which costs
    least. `header`: as a header, where other programs' instrumentation finds it, `tracestate` beside it."""
    export: StrictBool = False
    """Whether a span of each batch, and of the sampled events in it, is sent by OTLP over HTTP; needs the extra
    `otel`."""
    endpoint: StrictStr = ""
    """Where spans are sent, e.g. `http://collector:4318/v1/traces`. Unset: as OpenTelemetry's own variables
    (`OTEL_EXPORTER_OTLP_ENDPOINT`, ...) say, else `http://localhost:4318/v1/traces`."""
    ratio: Annotated[StrictFloat, Field(ge=0.0, le=1.0)] = 1.0
    """The share of batches of which spans are made, chosen before anything is spent on them."""
    links_max: Annotated[StrictInt, Field(ge=0, le=128)] = 16
    """The most events of a batch that its span links to and that have a span of their own."""
    queue_batches_max: Annotated[StrictInt, Field(ge=1, le=65_536)] = 4096
    """Batches that wait to be sent; those of a full queue are dropped and counted."""

    @property
    def reads_headers(self) -> bool:
        """Whether each record is looked into for its trace context."""
        return self.propagate != "off" or (self.export and self.links_max > 0)

    @model_validator(mode="after")
    def _meant(self) -> "TraceSection":
        if self.endpoint and not self.export:
            raise ValueError("endpoint: given, but export is false: expected true where spans are to be sent")
        return self
