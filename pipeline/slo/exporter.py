"""What Prometheus is shown of the SLO app. Read where it is asked for: nothing is counted twice."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from features.duration import in_words
from pipeline.slo.burn import budget_left_of, burn_of
from pipeline.slo.duty import Duty
from pipeline.slo.notify import Notifier, now_ms
from pipeline.slo.rules import BAD, EVALUATED, FAILED, GOOD
from pipeline.slo.watch import WatchedSlo

QUANTILES = (0.5, 0.99, 0.999)
_SLO = ("slo", "pipeline")


class SloCollector(Collector):
    """Metrics of the process on duty; one that stands by shows only that."""

    def __init__(self, duty: Duty, notifier: Notifier) -> None:
        self._duty = duty
        self._notifier = notifier

    def collect(self) -> Iterator[Metric]:
        """One scrape."""
        on_duty = self._duty.state == "on duty"
        yield GaugeMetricFamily(
            "headrace_slo_on_duty", "1 in the process that evaluates, 0 in one that stands by", on_duty
        )
        if not on_duty:
            return
        yield from self._promises()
        yield from self._alerts()
        yield from self._pipelines()
        yield from self._own()

    def _promises(self) -> Iterator[Metric]:
        good = CounterMetricFamily(GOOD, "Events that kept the SLO", labels=_SLO)
        bad = CounterMetricFamily(BAD, "Events that broke it, unanswered ones too", labels=_SLO)
        burn = GaugeMetricFamily(
            "headrace_slo_burn", "Times the sustainable burn, by window", labels=(*_SLO, "window")
        )
        left = GaugeMetricFamily("headrace_slo_budget_left", "Error budget left over the longest window", labels=_SLO)
        objective = GaugeMetricFamily("headrace_slo_objective", "Share of events that has to be good", labels=_SLO)
        for slo in self._duty.watch.slos.values():
            labels = (slo.promise.name, slo.promise.pipeline)
            good.add_metric(labels, slo.good)
            bad.add_metric(labels, slo.bad)
            objective.add_metric(labels, slo.promise.objective)
            left.add_metric(labels, budget_left_of(slo.burn.counts(now_ms()), slo.burn.budget))
            for window, value in burns_of(slo).items():
                burn.add_metric((*labels, window), value)
        yield from (good, bad, burn, left, objective)

    def _alerts(self) -> Iterator[Metric]:
        firing = GaugeMetricFamily(
            "headrace_slo_firing", "1 while an alert fires", labels=(*_SLO, "severity", "kind", "subject")
        )
        for alert in self._duty.watch.firing.values():
            firing.add_metric((alert.slo, alert.pipeline, alert.severity, alert.kind, alert.subject), 1)
        yield firing

    def _pipelines(self) -> Iterator[Metric]:
        heard = GaugeMetricFamily(
            "headrace_slo_record_age_seconds",
            "Since the end of the last metrics record of a process",
            labels=("pipeline", "instance_id"),
        )
        unanswered = GaugeMetricFamily(
            "headrace_slo_unanswered_events", "Events overdue, without an outcome", labels=["pipeline"]
        )
        lag = GaugeMetricFamily(
            "headrace_slo_lag_events", "End offset less committed offset", labels=("pipeline", "partition")
        )
        age = GaugeMetricFamily(
            "headrace_slo_age_seconds", "Age at delivery, all processes, 5 minutes", labels=("pipeline", "quantile")
        )
        for name, watched in self._duty.watch.pipelines.items():
            unanswered.add_metric([name], watched.expected.unanswered)
            for instance, to_ms in watched.instances.last_ms().items():
                heard.add_metric((name, instance), (now_ms() - to_ms) / 1000)
            for partition, events in watched.partitions.lag.items():
                lag.add_metric((name, partition), events)
            merged = watched.ages.merged(now_ms())
            for quantile in QUANTILES:
                if (age_us := merged.quantile(quantile)) is not None:
                    age.add_metric((name, str(quantile)), age_us / 1e6)
        yield from (heard, unanswered, lag, age)

    def _own(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(EVALUATED, "When SLOs were last evaluated", self._duty.evaluated_ms / 1000)
        yield GaugeMetricFamily(
            "headrace_slo_sampled_timestamp_seconds", "When Kafka last told offsets", self._duty.sampled_ms / 1000
        )
        tallies = self._duty.watch.tallies
        records = CounterMetricFamily(
            "headrace_slo_records_total", "Metrics records, by what they were", labels=["kind"]
        )
        for kind, count in (
            ("counted", tallies.taken),
            ("repeated", tallies.repeated),
            ("foreign", tallies.foreign),
            ("unreadable", self._duty.unreadable),
        ):
            records.add_metric([kind], count)
        failed = CounterMetricFamily(FAILED, "Posts that a receiver did not take", labels=["receiver"])
        for receiver, count in self._notifier.failures.items():
            failed.add_metric([receiver], count)
        dropped = CounterMetricFamily("headrace_slo_notify_dropped_total", "Alerts given up", labels=["receiver"])
        dropped.add_metric(["alertmanager"], self._notifier.levels.dropped)
        dropped.add_metric(["webhook"], self._notifier.changes.dropped)
        dropped.add_metric(["topic"], self._duty.unwritten.dropped)
        yield from (records, failed, dropped)


def burns_of(slo: WatchedSlo) -> dict[str, float]:
    """The burn of each window of an SLO, by the window's name."""
    at_ms = now_ms()
    return {in_words(span): burn_of(held.counts(at_ms), slo.burn.budget) for span, held in slo.burn.windows.items()}


def registry_of(duty: Duty, notifier: Notifier) -> CollectorRegistry:
    """A registry that holds nothing else."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SloCollector(duty, notifier))
    return registry
