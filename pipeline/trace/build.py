"""What a configuration asks for of traces, put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from pipeline.config.model import PipelineConfig
from pipeline.rows import Rows
from pipeline.servings import TierLabel
from pipeline.tier import Tier
from pipeline.trace.batches import BatchSpans, SpanLimits
from pipeline.trace.export import SpanExport
from pipeline.trace.extra import check_exporter
from pipeline.trace.reader import TraceReader


@dataclass(frozen=True, slots=True)
class Tracing:
    """What reads contexts and what tells of batches; None where the configuration does without."""

    reader: TraceReader | None
    spans: BatchSpans | None
    export: SpanExport | None

    def counts(self) -> dict[str, int]:
        """Running totals for the metrics; nothing where nothing is traced."""
        read = {} if self.reader is None else self.reader.counts()
        return read if self.export is None else {**read, **self.export.counts()}

    def close(self) -> None:
        """Send the spans that wait. Bounded in time."""
        if self.export is not None:
            self.export.close()


class _LabelsNow(Sequence[TierLabel]):
    """Of each tier that of its stable version, which may be another one while the process runs."""

    def __init__(self, tiers: Sequence[Tier]) -> None:
        self._tiers = tiers

    def __len__(self) -> int:
        return len(self._tiers)

    @overload
    def __getitem__(self, number: int) -> TierLabel: ...

    @overload
    def __getitem__(self, number: slice) -> Sequence[TierLabel]: ...

    def __getitem__(self, number: int | slice) -> TierLabel | Sequence[TierLabel]:
        found = self._tiers[number]
        return [tier.label for tier in found] if isinstance(found, Sequence) else found.label


def tracing_of(config: PipelineConfig, rows: Rows, tiers: Sequence[Tier], instance: str) -> Tracing:
    """Reader, spans and exporter, each only where it is asked for. Raises ConfigError."""
    section = config.trace
    reader = TraceReader(rows) if section.reads_headers else None
    if not section.export:
        return Tracing(reader, None, None)
    check_exporter(config)
    from pipeline.trace.otel import OtlpSender

    sender = OtlpSender(
        pipeline=config.pipeline.name,
        instance=instance,
        topic=config.catalog.decided.topic,
        labels=_LabelsNow(tiers),
        endpoint=section.endpoint,
    )
    export = SpanExport(sender, section.queue_batches_max)
    limits = SpanLimits(section.ratio, section.links_max)
    return Tracing(reader, BatchSpans(rows, tiers, config.engine.buckets, limits, export.offer), export)
