"""The whole configuration of a pipeline, and the checks that span its tables."""

from functools import cached_property
from itertools import pairwise

from pydantic import Field, model_validator

from features.catalog import Catalog, EntitySpec, FeatureSpec, InputSpec
from features.outcome_spec import OutcomeSpec
from models.reference import SCORE
from pipeline.config.cascade_section import CascadeSection, RouteSection
from pipeline.config.cost_section import CostSection
from pipeline.config.drift_section import DriftSection
from pipeline.config.explain_section import ExplainSection
from pipeline.config.frame_sections import OverrideSection, ReuseSection
from pipeline.config.health_section import HealthSection
from pipeline.config.http_section import HttpSection
from pipeline.config.kafka_section import INSTANCE_ID, KafkaSection
from pipeline.config.ladder_checks import check_ladders
from pipeline.config.problems import near
from pipeline.config.quality_section import QualitySection
from pipeline.config.rollout_section import RolloutSection
from pipeline.config.sections import (
    CheckpointSection,
    DecideSection,
    DeliverySection,
    EngineSection,
    ModelsSection,
    PipelineSection,
    PublishSection,
    Section,
    TierSection,
    TopicsSection,
)
from pipeline.config.trace_section import TraceSection

TENANT_TYPES = ("int", "bool", "string", "id")


class PipelineConfig(Section):
    """What a pipeline's TOML file says, with defaults filled in. Frozen; safe to share between threads."""

    pipeline: PipelineSection
    kafka: KafkaSection
    topics: TopicsSection = TopicsSection()
    models: ModelsSection = ModelsSection()
    inputs: dict[str, InputSpec]
    entities: dict[str, EntitySpec] = Field(default_factory=dict)
    features: dict[str, FeatureSpec] = Field(default_factory=dict)
    tiers: tuple[TierSection, ...] = Field(min_length=1)
    cascade: CascadeSection = CascadeSection()
    routes: tuple[RouteSection, ...] = ()
    decide: DecideSection
    outcome_state: dict[str, OutcomeSpec] = Field(default_factory=dict)
    overrides: tuple[OverrideSection, ...] = ()
    reuse: ReuseSection = ReuseSection()
    publish: PublishSection = PublishSection()
    delivery: DeliverySection = DeliverySection()
    engine: EngineSection = EngineSection()
    checkpoint: CheckpointSection = CheckpointSection()
    http: HttpSection = HttpSection()
    health: HealthSection = HealthSection()
    trace: TraceSection = TraceSection()
    cost: CostSection = CostSection()
    explain: ExplainSection = ExplainSection()
    drift: DriftSection = DriftSection()
    quality: QualitySection = QualitySection()
    rollout: RolloutSection = RolloutSection()

    @property
    def exactly_once(self) -> bool:
        """Whether outcomes and offsets commit together."""
        return self.delivery.guarantee == "exactly_once"

    @cached_property
    def catalog(self) -> Catalog:
        """Inputs, entities and features, as the feature compiler takes them."""
        return Catalog(inputs=self.inputs, entities=self.entities, features=self.features)

    @property
    def poll_interval_us(self) -> int:
        """The least time between turns while little arrives, in force: at most a tenth of the budget."""
        return min(self.engine.poll_interval_us, self.pipeline.budget_ms * 100)

    @property
    def topic_names(self) -> tuple[str, ...]:
        """Every topic that is read or written, inputs first."""
        read = tuple(spec.topic for spec in self.inputs.values())
        rollouts = (self.topics.rollouts, self.topics.audit) if self.rollout.enabled else ()
        return (*read, self.topics.decisions, self.topics.dead_letters, self.topics.metrics, *rollouts)

    @model_validator(mode="after")
    def _tells_what_it_can(self) -> "PipelineConfig":
        for override in self.overrides:
            if override.decision not in self.decide.labels:
                where = f"overrides: {override.reason}: {override.decision!r}"
                raise ValueError(f"{where} is none of the labels {', '.join(self.decide.labels)}")
        for label in self.explain.decisions:
            if label not in self.decide.labels:
                raise ValueError(
                    f"explain.decisions: {label!r} is none of the labels {', '.join(self.decide.labels)}"
                )
        decided = self.catalog.decided
        if self.explain.decisions and decided.format == "image":
            raise ValueError("explain.decisions: only models of features can be explained, the topic holds images")
        if self.drift.enabled:
            self._can_drift()
        for name, spec in self.outcome_state.items():
            if spec.key != decided.key:
                raise ValueError(
                    f"outcome_state: {name}.key: found {spec.key!r}, expected {decided.key!r}, the key of topic "
                    f"{decided.topic!r}: such state moves with its partition"
                )
        for tier in self.tiers:
            if tier.state is not None and tier.state.key not in ("", decided.key):
                raise ValueError(
                    f"tiers: {tier.name}.state.key: found {tier.state.key!r}, expected {decided.key!r}, the key of "
                    f"topic {decided.topic!r}: such state moves with its partition"
                )
        if self.reuse.near_bits >= 0 and decided.format != "image":
            raise ValueError("reuse.near_bits: only images look alike, the topic holds none: expected exact_rows")
        return self

    @model_validator(mode="after")
    def _billed(self) -> "PipelineConfig":
        cost, fields = self.cost, self.catalog.decided.schema_.fields
        if cost.tenant and cost.tenant not in fields:
            raise ValueError(
                f"cost.tenant: {cost.tenant!r} is no field of the input{near(cost.tenant, list(fields))}"
            )
        if cost.tenant and fields[cost.tenant].type not in TENANT_TYPES:
            found = fields[cost.tenant].type
            raise ValueError(f"cost.tenant: {cost.tenant} is a {found}, expected one of {', '.join(TENANT_TYPES)}")
        for label in cost.detected:
            if label not in self.decide.labels:
                raise ValueError(f"cost.detected: {label!r} is none of the labels {', '.join(self.decide.labels)}")
        priced = cost.cpu_hour or cost.gpu_hour or cost.kwh
        if (cost.budget_a_day or cost.budget_per_million) and not priced:
            raise ValueError("cost: a budget needs prices to be held to, expected cpu_hour, gpu_hour or kwh")
        return self

    def _can_drift(self) -> None:
        """What drift needs of the other tables."""
        if self.catalog.decided.format == "image":
            raise ValueError("drift.enabled: only features have a reference, the topic holds images")
        if self.pipeline.mode == "replay":
            raise ValueError("drift.enabled: its window is of the clock, which says nothing of what is replayed")
        if SCORE in self.features:
            raise ValueError(f"drift.enabled: a feature is named {SCORE!r}, as the model's own is: name it otherwise")

    @model_validator(mode="after")
    def _consistent(self) -> "PipelineConfig":
        _ = self.catalog
        names = [tier.name for tier in self.tiers]
        if len(set(names)) < len(names):
            raise ValueError(f"tiers: {', '.join(names)} has a name twice")
        for number, tier in enumerate(self.tiers):
            if tier.rule and (number == 0 or number < len(self.tiers) - 1):
                raise ValueError(f"tiers: {tier.name} is a rule, expected a model first and a rule, if any, last")
            limits = tier.thresholds
            if limits is not None and self.decide.classes:
                raise ValueError(f"tiers: {tier.name} has thresholds, expected none: decide.classes decides")
            if limits is not None and len(limits) != len(self.decide.thresholds):
                raise ValueError(
                    f"tiers: {tier.name} has {len(limits)} thresholds, expected {len(self.decide.thresholds)} "
                    f"between {len(self.decide.labels)} labels"
                )
            if limits is not None and any(low >= high for low, high in pairwise(limits)):
                raise ValueError(f"tiers: thresholds of {tier.name}: expected rising numbers, found {list(limits)}")
        check_ladders(self.cascade, self.routes, self.tiers, self.pipeline, self.catalog)
        if self.decide.classes and self.catalog.decided.format != "image":
            raise ValueError("decide.classes: a model of features has no classes, expected thresholds")
        topics = self.topic_names
        if twice := sorted({topic for topic in topics if topics.count(topic) > 1}):
            raise ValueError(f"topics: {', '.join(twice)} is named twice; inputs and outputs need one each")
        if self.exactly_once:
            self._transactional()
        if self.pipeline.mode == "replay" and self.trace.reads_headers:
            raise ValueError("trace: a replay carries no traces, expected propagate = off and export = false")
        return self

    def _transactional(self) -> None:
        """What exactly-once needs of the other tables."""
        if self.pipeline.mode == "replay":
            raise ValueError(
                "delivery.guarantee: exactly_once needs offsets to commit with the outcomes, and a replay has none: "
                "expected at_least_once"
            )
        if not self.kafka.instance_id:
            raise ValueError(
                f'kafka: "{INSTANCE_ID}" is missing, which exactly_once needs: a name of this process that it keeps '
                "when it is started again and that no other process of the group has"
            )
        if 2 * self.engine.commit_ms > self.pipeline.budget_ms:
            raise ValueError(
                f"engine.commit_ms {self.engine.commit_ms} is more than half of budget_ms {self.pipeline.budget_ms}: "
                f"with exactly_once no decision is seen before its commit; expected {self.pipeline.budget_ms // 2} "
                "at most, 20 is a good value"
            )
        if 2 * self.engine.commit_ms > self.kafka.transaction_timeout_ms:
            raise ValueError(
                f"engine.commit_ms {self.engine.commit_ms} is more than half of kafka.producer.transaction.timeout.ms"
                f" {self.kafka.transaction_timeout_ms}: the broker would end transactions before they are committed"
            )
