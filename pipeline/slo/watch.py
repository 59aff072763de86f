"""Everything the app knows and decides, without Kafka, threads and clocks: records and offsets in, alerts out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from features.duration import in_words
from pipeline.slo.burn import SloBurn, Verdict, budget_left_of
from pipeline.slo.config import SloConfig, SloSection, WatchedPipeline
from pipeline.slo.counting import counts_of, counts_owed, late_answers
from pipeline.slo.expected import Expected, Partition, Position
from pipeline.slo.fleet import RecentAges, Stretches
from pipeline.slo.silence import Instances, Partitions
from pipeline.slo.windows import Counts
from pipeline.wire.alert import AlertKind, AlertRecord, AlertSeverity
from pipeline.wire.metrics import MetricsRecord

Positions = Mapping[str, Mapping[Partition, Position]]
"""By pipeline, then by partition."""


@dataclass
class WatchedSlo:
    """One SLO: its promise, its windows, and the running totals that Prometheus is shown."""

    promise: SloSection
    burn: SloBurn
    good: int = 0
    bad: int = 0

    def add(self, at_ms: int, counts: Counts) -> None:
        """Count events of a time."""
        if counts.good or counts.bad:
            self.burn.add(at_ms, *counts)
            self.good += max(0, counts.good)
            self.bad += counts.bad


@dataclass
class Watched:
    """One pipeline: what is expected of it, and who speaks for it."""

    name: str
    section: WatchedPipeline
    expected: Expected
    instances: Instances
    partitions: Partitions
    stretches: Stretches
    ages: RecentAges
    slos: list[WatchedSlo]


@dataclass
class Tallies:
    """What was not counted, and why: repeated records, and those of pipelines that nobody asked about."""

    taken: int = 0
    repeated: int = 0
    foreign: int = 0


class Watch:
    """All SLOs of a configuration. One thread; times are wall times in ms and are told, never looked up."""

    def __init__(self, config: SloConfig) -> None:
        rules = config.burn.rules()
        self.config = config
        self.tallies = Tallies()
        self.slos = {slo.name: WatchedSlo(slo, SloBurn(slo.budget, rules)) for slo in config.slos}
        self.pipelines = {
            name: Watched(
                name,
                section,
                Expected(section.overdue_ms),
                Instances(round(config.silence.instance_s * 1000)),
                Partitions(round(config.silence.stuck_s * 1000)),
                Stretches(),
                RecentAges(),
                [slo for slo in self.slos.values() if slo.promise.pipeline == name],
            )
            for name, section in config.pipelines.items()
        }
        self.firing: dict[str, AlertRecord] = {}

    def take(self, record: MetricsRecord, now_ms: int) -> None:
        """Count a metrics record, unless it was counted before; at its end, or at `now_ms` if that is earlier."""
        watched = self.pipelines.get(record.pipeline)
        if watched is None:
            self.tallies.foreign += 1
            return
        if not watched.stretches.is_new(record):
            self.tallies.repeated += 1
            return
        self.tallies.taken += 1
        at_ms = min(record.to_ms, now_ms)
        ages = record.histograms.get("age", {})
        watched.instances.heard(record.instance, at_ms, record.ended)
        watched.ages.add(at_ms, ages)
        settled = watched.expected.settled(late_answers(ages, watched.section.overdue_ms))
        for slo in watched.slos:
            slo.add(at_ms, counts_of(record, slo.promise.kind, slo.promise.threshold_ms or 0, settled))

    def sampled(self, at_ms: int, positions: Positions) -> None:
        """Take what Kafka says of the pipelines' topics and groups; one that is not in it could not be asked."""
        for name, partitions in positions.items():
            watched = self.pipelines[name]
            watched.partitions.sampled(at_ms, partitions)
            unanswered = watched.expected.sampled(at_ms, partitions)
            for slo in watched.slos:
                slo.add(at_ms, counts_owed(slo.promise.kind, unanswered))

    def evaluate(self, now_ms: int, *, hears_all: bool = True) -> list[AlertRecord]:
        """Decide; returns the alerts that begin or end now.

        `hears_all`: the app has read all there is of the metrics topic. While it has not, nobody is called silent or
        stuck who was not, and nobody is taken back.
        """
        changed = [
            _burn_alert(slo, verdict, now_ms)
            for slo in self.slos.values()
            for verdict in slo.burn.evaluate(now_ms)
            if verdict.changed
        ]
        if hears_all:
            changed += self._quiet(now_ms)
        for watched in self.pipelines.values():
            watched.stretches.forget_all_but(watched.instances.known())
        for alert in changed:
            if alert.firing:
                self.firing[alert.key] = alert
            else:
                self.firing.pop(alert.key, None)
        return changed

    def _quiet(self, now_ms: int) -> list[AlertRecord]:
        found = {alert.key: alert for watched in self.pipelines.values() for alert in _quiet_alerts(watched, now_ms)}
        begun = [alert for key, alert in found.items() if key not in self.firing]
        over = [
            resolved(alert, now_ms) for key, alert in self.firing.items() if alert.kind != "burn" and key not in found
        ]
        return begun + over


def _burn_alert(slo: WatchedSlo, verdict: Verdict, now_ms: int) -> AlertRecord:
    reading, promise = verdict.reading, slo.promise
    left = budget_left_of(slo.burn.counts(now_ms), slo.burn.budget)
    long, short = in_words(reading.pair.long_ms), in_words(reading.pair.short_ms)
    burns = f"{reading.long_burn:,.1f} times over {long} and {reading.short_burn:,.1f} times over {short}"
    if verdict.firing:
        summary = (
            f"{promise.name}: the error budget of {promise.kind} (objective {promise.objective:.6g}) burns {burns}, "
            f"limit {reading.pair.factor:g}; {_left(left)}"
        )
    else:
        summary = f"{promise.name}: the error budget no longer burns too fast: {burns}"
    return AlertRecord(
        slo=promise.name,
        severity=verdict.severity,
        state="firing" if verdict.firing else "resolved",
        long_burn=reading.long_burn,
        short_burn=reading.short_burn,
        budget_left=left,
        since_ms=verdict.since_ms,
        summary=summary,
        kind="burn",
        pipeline=promise.pipeline,
    )


def _left(budget_left: float) -> str:
    return (
        f"{budget_left:.0%} of it is left" if budget_left >= 0 else f"it is spent {1 - budget_left:,.1f} times over"
    )


def _quiet_alerts(watched: Watched, now_ms: int) -> Iterator[AlertRecord]:
    for instance, last_ms in watched.instances.silent(now_ms).items():
        text = f"process {instance} of {watched.name} has published no metrics for {_ago(last_ms, now_ms)}"
        yield _alert("instance-silent", watched.name, "ticket", text, now_ms, instance)
    if watched.instances.all_silent(now_ms):
        text = f"no process of {watched.name} publishes metrics any more"
        yield _alert("silent", watched.name, "page", text, now_ms)
    for partition, since_ms in watched.partitions.stuck(now_ms).items():
        text = (
            f"{partition}: group {watched.section.group} has committed nothing for {_ago(since_ms, now_ms)} and lags "
            f"by {watched.partitions.lag[partition]:,}"
        )
        yield _alert("stuck", watched.name, "page", text, now_ms, partition)


def _alert(
    kind: AlertKind, pipeline: str, severity: AlertSeverity, text: str, now_ms: int, subject: str = ""
) -> AlertRecord:
    return AlertRecord(
        slo=f"{pipeline}-{kind}",
        severity=severity,
        state="firing",
        long_burn=None,
        short_burn=None,
        budget_left=None,
        since_ms=now_ms,
        summary=text,
        kind=kind,
        pipeline=pipeline,
        subject=subject,
    )


def resolved(alert: AlertRecord, now_ms: int) -> AlertRecord:
    """The end of an alert that fired."""
    return msgspec.structs.replace(alert, state="resolved", since_ms=now_ms, summary=f"over: {alert.summary}")


def _ago(then_ms: int, now_ms: int) -> str:
    return in_words((now_ms - then_ms) // 1000 * 1000)
