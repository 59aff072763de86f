"""What Prometheus is shown of quality: the last period of each model version, and what was read and fell out."""

import dataclasses
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.quality.intake import Intake
from pipeline.wire.quality import Interval, QualityRecord

WHO = ("pipeline", "tier", "model", "version")
INTERVALS = {
    "auc": "ROC AUC",
    "ap": "Average precision",
    "cards": "Card precision@k, the share of compromised cards among those that a day's investigators look at",
    "brier": "Mean squared distance of score and truth",
}
FELL_OUT = {
    "decisions_repeated": "Decisions that answer a record that another one answered",
    "decisions_late": "Decisions about a period that was told already",
    "decisions_left_out": "Decisions that found no room (quality.rows_max)",
    "labels_late": "Labels that came to be known later than quality.delay after their period",
    "labels_left_out": "Labels that found no room (quality.rows_max)",
    "labels_unmatched": "Events that were labelled and of which there is no decision",
}


class QualityCollector(Collector):
    """Read where it is asked for, from any thread."""

    def __init__(self, pipeline: str, intake: Intake) -> None:
        self._pipeline = pipeline
        self._intake = intake
        self.last: dict[tuple[str | None, ...], QualityRecord] = {}

    def collect(self) -> Iterator[Metric]:
        """One scrape."""
        records = list(self.last.values())
        for name, says in INTERVALS.items():
            metric = GaugeMetricFamily(f"headrace_quality_{name}", says, labels=(*WHO, "bound"))
            for record in records:
                found: Interval | None = getattr(record, name)
                for bound in ("value", "low", "high") if found is not None else ():
                    metric.add_metric((*_labels(record), bound), getattr(found, bound))
            yield metric
        for name, says in (
            ("ece", "Expected calibration error"),
            ("rows", "Decisions with a score in the last period"),
            ("hits", "Those of them that were labelled as hits in time"),
        ):
            metric = GaugeMetricFamily(f"headrace_quality_{name}", says, labels=WHO)
            for record in records:
                if (value := getattr(record, name)) is not None:
                    metric.add_metric(_labels(record), value)
            yield metric
        yield from self._own()

    def _own(self) -> Iterator[Metric]:
        tally = dataclasses.asdict(self._intake.join.tally)
        read = CounterMetricFamily(
            "headrace_quality_read", "Records read, by topic's kind", labels=("pipeline", "kind")
        )
        for kind in ("decisions", "labels"):
            read.add_metric((self._pipeline, kind), tally[kind])
        read.add_metric((self._pipeline, "unreadable"), self._intake.unreadable)
        yield read
        fell = CounterMetricFamily(
            "headrace_quality_fell_out", "Records that count in no period, by why", labels=("pipeline", "why")
        )
        for why in FELL_OUT:
            fell.add_metric((self._pipeline, why), tally[why])
        yield fell
        kept = GaugeMetricFamily(
            "headrace_quality_kept_rows", "Records kept until their period is over", labels=("pipeline", "kind")
        )
        for kind, rows in zip(("decisions", "labels"), self._intake.join.rows, strict=True):
            kept.add_metric((self._pipeline, kind), rows)
        yield kept


def _labels(record: QualityRecord) -> tuple[str, ...]:
    return (record.pipeline, *(part or "" for part in record.who))
