"""The SLO app's TOML file, one frozen model a table. What a key means stands beside it, once."""

from typing import Annotated, Any

from pydantic import Field, StrictFloat, StrictInt, StrictStr, model_validator

from features.duration import DurationMs
from pipeline.config.kafka_section import Settings
from pipeline.config.sections import Ms, Section, TopicName
from pipeline.slo.burn import BurnRules, Pair, Severity
from pipeline.slo.counting import Kind

Name = Annotated[StrictStr, Field(pattern=r"^[a-zA-Z0-9._-]{1,100}$")]
Positive = Annotated[StrictFloat | StrictInt, Field(gt=0)]
Url = Annotated[StrictStr, Field(pattern=r"^(https?://\S+)?$")]


class KafkaSettings(Section):
    """`[kafka]`: librdkafka's own settings under librdkafka's own dotted names."""

    common: Settings

    @model_validator(mode="before")
    @classmethod
    def _taken_as_it_is(cls, table: Any) -> Any:
        return table if not isinstance(table, dict) or "common" in table else {"common": table}

    @model_validator(mode="after")
    def _usable(self) -> "KafkaSettings":
        if not self.common.get("bootstrap.servers"):
            raise ValueError('"bootstrap.servers" is missing')
        if "group.id" in self.common:
            raise ValueError('"group.id" cannot be set: it is `app.group`')
        return self

    @property
    def bootstrap(self) -> str:
        """The addresses of brokers."""
        return self.common["bootstrap.servers"]


class AppSection(Section):
    """`[app]`: the app itself."""

    group: Name = "headrace-slo"
    """Its consumer group. All processes of the group but one stand by."""
    evaluate_s: Positive = 15
    """How often SLOs are evaluated, Kafka is asked for offsets, and the windows are kept."""


class SloTopics(Section):
    """`[topics]`: what the app reads and writes."""

    metrics: TopicName = "metrics"
    """What the pipelines publish."""
    alerts: TopicName = "alerts"
    """One record an alert that begins or ends. Made if it is not there."""
    state: TopicName = "slo-state"
    """The app's windows, compacted: what it goes on with after a restart. Made if it is not there."""

    @model_validator(mode="after")
    def _distinct(self) -> "SloTopics":
        if len({self.metrics, self.alerts, self.state}) < 3:
            raise ValueError("metrics, alerts and state need three different topics")
        return self


class HttpSection(Section):
    """`[http]`: `/metrics`, `/healthz`, `/readyz` and `/api/slo`."""

    port: Annotated[StrictInt, Field(ge=0, le=65535)] = 9480
    """0: any that is free."""
    host: StrictStr = "127.0.0.1"
    """The address to listen at."""
    token: StrictStr = ""
    """What `/api/slo` asks for (`Authorization: Bearer ...`, or `?token=`); needed where `host` is not a loopback
    address."""

    @model_validator(mode="after")
    def _guarded(self) -> "HttpSection":
        if not self.token and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(
                f"token: missing, and host {self.host} can be reached by others; expected a secret of yours"
            )
        return self


class WatchedPipeline(Section):
    """`[pipelines.NAME]`: a pipeline, by the name in its metrics, and how to know what it should have answered."""

    group: Name
    """Its consumer group, `kafka."group.id"` in its own configuration."""
    topics: Annotated[tuple[TopicName, ...], Field(min_length=1)]
    """The topics whose events get decisions."""
    overdue_ms: Annotated[Ms, Field(ge=100)] = 5000
    """An event that is that long in its topic without an outcome is bad. Well above the budget, the pipeline's
    `engine.commit_ms` and the disagreement of clocks."""


class SloSection(Section):
    """`[[slos]]`: one promise."""

    name: Name
    """In alerts and metrics."""
    pipeline: StrictStr
    """The `[pipelines.NAME]` that it is about."""
    kind: Kind
    """What is good: `latency`, decided within `threshold_ms`; `deadlines`, within the event's own deadline and not by
    the fallback; `outcomes`, answered at all; `dead_letters`, not one; `degraded`, scored by the best tier."""
    objective: Annotated[StrictFloat, Field(gt=0.0, lt=1.0)]
    """The share of events that has to be good; the rest is the error budget."""
    threshold_ms: Annotated[Ms, Field(ge=1)] | None = None
    """For `latency` alone: from the record's timestamp to the delivered decision."""

    @model_validator(mode="after")
    def _threshold_where_it_counts(self) -> "SloSection":
        if self.kind == "latency" and self.threshold_ms is None:
            raise ValueError(f"slo {self.name}: threshold_ms is missing, kind latency needs it")
        if self.kind != "latency" and self.threshold_ms is not None:
            raise ValueError(f"slo {self.name}: threshold_ms goes with kind latency alone, found kind {self.kind}")
        return self

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return 1 - self.objective


class PairSection(Section):
    """`[[burn.page]]`, `[[burn.ticket]]`: two windows that both have to burn faster than a factor."""

    factor: Positive
    """Times the burn that would use up the budget exactly."""
    long: DurationMs
    """The window that says that it matters."""
    short: DurationMs
    """The window that says that it goes on."""

    @model_validator(mode="after")
    def _ordered(self) -> "PairSection":
        if not 0 < self.short < self.long:
            raise ValueError(
                f"short {self.short} ms and long {self.long} ms, expected a short window below the long one"
            )
        return self


class BurnSection(Section):
    """`[burn]`: when an alert fires. The defaults are those of Google's SRE workbook."""

    page: tuple[PairSection, ...] = (
        PairSection.model_validate({"factor": 14.4, "long": "1h", "short": "5m"}),
        PairSection.model_validate({"factor": 6, "long": "6h", "short": "30m"}),
    )
    """Pairs that wake someone up."""
    ticket: tuple[PairSection, ...] = (PairSection.model_validate({"factor": 1, "long": "3d", "short": "6h"}),)
    """Pairs for working hours."""
    events_min: Annotated[StrictInt, Field(ge=0)] = 100
    """Fewer events in the long window say nothing."""
    bad_min: Annotated[StrictInt, Field(ge=0)] = 30
    """Fewer bad events in the long window say nothing: they may be chance."""
    hold: DurationMs = 300_000
    """An alert is resolved when for so long no evaluation found a pair exceeded."""
    time_scale: Positive = 1
    """Divides the windows and `hold`, for demos and tests: at 60, 1 h is a minute."""

    def rules(self) -> BurnRules:
        """What the alerts are decided by, scaled."""
        named: tuple[tuple[Severity, tuple[PairSection, ...]], ...] = (("page", self.page), ("ticket", self.ticket))
        pairs = tuple(
            Pair(severity, float(pair.factor), self._scaled(pair.long), self._scaled(pair.short))
            for severity, own in named
            for pair in own
        )
        return BurnRules(pairs, self.events_min, self.bad_min, self._scaled(self.hold))

    def _scaled(self, span_ms: int) -> int:
        return max(1, round(span_ms / self.time_scale))

    @model_validator(mode="after")
    def _alerts_at_all(self) -> "BurnSection":
        if not self.page and not self.ticket:
            raise ValueError("page and ticket are both empty, expected a pair of windows at least")
        return self


class AlertmanagerSection(Section):
    """`[alertmanager]`: where alerts go, by Alertmanager's v2 API."""

    url: Url = ""
    """Such as `http://alertmanager:9093`. Unset: alerts go nowhere but to the topic and the webhook."""
    repeat_s: Positive = 60
    """How often alerts that fire are posted again: Alertmanager ends those that it hears no more of."""


class WebhookSection(Section):
    """`[webhook]`: a URL of yours that gets each alert that begins or ends, the record of the topic as JSON."""

    url: Url = ""
    """Unset: none."""


class SilenceSection(Section):
    """`[silence]`: when nobody says anything."""

    instance_s: Positive = 30
    """A process that published no metrics for so long is silent."""
    stuck_s: Positive = 60
    """A partition with lag whose committed offset did not move for so long is stuck."""


class SloConfig(Section):
    """What the SLO app's TOML file says, with defaults filled in. Frozen; safe to share between threads."""

    kafka: KafkaSettings
    app: AppSection = AppSection()
    topics: SloTopics = SloTopics()
    http: HttpSection = HttpSection()
    pipelines: Annotated[dict[Name, WatchedPipeline], Field(min_length=1)]
    slos: Annotated[tuple[SloSection, ...], Field(min_length=1)]
    burn: BurnSection = BurnSection()
    alertmanager: AlertmanagerSection = AlertmanagerSection()
    webhook: WebhookSection = WebhookSection()
    silence: SilenceSection = SilenceSection()

    @model_validator(mode="after")
    def _consistent(self) -> "SloConfig":
        names = [slo.name for slo in self.slos]
        if len(set(names)) < len(names):
            raise ValueError(f"slos: {', '.join(names)} has a name twice")
        known = ", ".join(self.pipelines)
        for slo in self.slos:
            watched = self.pipelines.get(slo.pipeline)
            if watched is None:
                raise ValueError(f"slos: {slo.name}.pipeline: found {slo.pipeline!r}, expected one of {known}")
            if slo.threshold_ms is not None and watched.overdue_ms < 2 * slo.threshold_ms:
                raise ValueError(
                    f"pipelines: {slo.pipeline}.overdue_ms {watched.overdue_ms} is below twice the threshold_ms of "
                    f"{slo.name}, {slo.threshold_ms}: what is unanswered would be counted as late before it is"
                )
            self._can_fire(slo)
        return self

    def _can_fire(self, slo: SloSection) -> None:
        """At most everything is bad: the highest burn there is is 1 / budget."""
        for pair in (*self.burn.page, *self.burn.ticket):
            if pair.factor * slo.budget >= 1:
                raise ValueError(
                    f"slos: {slo.name}: at objective {slo.objective} no burn exceeds {1 / slo.budget:.3g}, and burn "
                    f"asks for {pair.factor}: it could never fire"
                )
