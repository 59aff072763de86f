"""A pipeline put together from its configuration: which object feeds which, and nothing else."""

from collections.abc import Callable, Sequence

from features.state import FeatureSet
from pipeline.answering import Answerers
from pipeline.bill.biller import biller_of
from pipeline.clock import NS_PER_MS, SystemClock
from pipeline.coalesce import Coalescer
from pipeline.committing import Committer
from pipeline.config.model import PipelineConfig
from pipeline.delivery import guarantee_of
from pipeline.drift import drift_of
from pipeline.engine import Engine
from pipeline.group import Group, GroupLimits
from pipeline.in_flight import InFlight
from pipeline.input_clients import InputClients
from pipeline.instance import instance_name
from pipeline.intake import Intake, IntakeLimits
from pipeline.kafka.consumer import LaneConsumer, TopicPartition
from pipeline.kafka.producer import ANY_PARTITION, LaneProducer
from pipeline.kafka.wake import Wake
from pipeline.ladder_build import answers_of
from pipeline.outcome_watch import OutcomeWatch
from pipeline.readings import Pulse, Readings
from pipeline.reasons import reasons_of
from pipeline.recurrence import RecurrentRows, recurrences_of
from pipeline.replay import ReplayIntake
from pipeline.replay_group import ReplayGroup
from pipeline.rollout.build import rollouts_of, with_standing_costs
from pipeline.router import router_of
from pipeline.row_layout import SUPERSEDED, layout_of
from pipeline.row_reuse import row_caches_of
from pipeline.scoring import batcher_of, decider_of, reuse_of, scorer_of, servings_of
from pipeline.servings import own_serving
from pipeline.sources import PartitionSource, RowSource
from pipeline.state.build import build_stage
from pipeline.state.positions import Positions
from pipeline.state.stage import StateStage
from pipeline.telemetry.health import Health
from pipeline.telemetry.meter import Meter
from pipeline.tier import ModelTier, Tier
from pipeline.trace.build import tracing_of
from pipeline.ways import Remembered
from pipeline.wire.metrics import MetricsRecord

Sink = Callable[[MetricsRecord, MetricsRecord], None]
CLOSE_MS_MAX = 3_000


class Assembly:
    """Everything a process of a pipeline consists of, in the order the data goes. Close it when done.

    Raises KafkaError naming the address or topic when the cluster cannot serve, within `request_ms_max`.
    """

    def __init__(
        self,
        config: PipelineConfig,
        tiers: Sequence[Tier],
        features: FeatureSet,
        sinks: Sequence[Sink],
        clock: SystemClock,
        health: Health,
    ) -> None:
        self.config = config
        self.clock = clock
        self.wake = Wake()
        opened, self.tiers = tiers, with_standing_costs(config, tiers)
        tiers = self.tiers
        self.servings = servings_of(tiers)
        self.answerers = Answerers(tiers)
        engine = config.engine
        self.producer = LaneProducer(config.kafka.plain_producer_settings(), self.wake)
        self.clients = InputClients(config, self.producer, self.wake)
        layout = layout_of(config, features, tiers)
        self.rows = layout.new_rows(engine.rows_max)
        self.in_flight = InFlight(self.rows)
        self.tracing = tracing_of(config, self.rows, tiers, instance_name())
        self.batcher = batcher_of(config, self.rows, tiers)
        self.reuse = reuse_of(config, layout, clock)
        self.biller = biller_of(config, self.rows, tiers, self.servings)
        self.decider = decider_of(config, self.rows, self.servings, layout)
        self.answers = answers_of(config, self.rows, tiers, self.servings, self.batcher, self.decider.scored)
        self.coalescer = Coalescer(self.rows, self.batcher, layout.reason(SUPERSEDED))
        self.positions = Positions()
        self.recurrences = recurrences_of(tiers, len(features.names), max(engine.buckets))
        plans = [each.plan for each in self.recurrences.values()]
        self.state = features.new_state(engine.memory_bytes_max, plans)
        self.guarantee = guarantee_of(
            config, self.servings, layout, self.producer, self.rows, self.in_flight, self.wake, clock.instant
        )
        self.outlet = self.guarantee.outlet
        self.reasons = reasons_of(config, layout, self.rows, self.servings, self.outlet, self.batcher, clock)
        self.drift = drift_of(config, self.rows, tiers, clock)
        self.state_consumer: LaneConsumer | None = None
        self.stage: StateStage | None = None
        self.replay: ReplayIntake | None = None
        self.group, self.intake = self._sources(features)
        self.recurrent = self._recurrent()
        self.scorer = scorer_of(config, self.rows, tiers, self._remembered(), clock, self.wake, self.answerers)
        rolled = (self.rows, self.tiers, self.servings, self.answerers, self.intake.columns)
        self.rollouts = rollouts_of(config, opened, rolled, clock, self.wake.ring, self.in_flight.offsets)
        self.intake.router = router_of(config, self.rows, self.intake.columns)
        self.outcomes = self._outcome_watch()
        self.readings = Readings(self)
        self.pulse = Pulse(health, self.readings)
        self.meter = self._meter(tiers, [self._publish_metrics, *sinks])
        self.outlet.on_bury = self.meter.buried
        self.engine = self._engine()

    def _sources(self, features: FeatureSet) -> tuple[PartitionSource, RowSource]:
        if self.config.pipeline.mode == "replay":
            self.consumer = self.clients.outside()
            return self._replay()
        self.consumer = self.clients.of_group()
        committer = self.guarantee.committer(self.consumer)
        self.stage = self._state_stage(features, committer.committed)
        return self._group(committer), self._intake()

    def _intake(self) -> Intake:
        engine, pipeline = self.config.engine, self.config.pipeline
        limits = IntakeLimits(
            budget_ms=pipeline.budget_ms,
            budget_ms_max=pipeline.budget_ms_max,
            deadline_header=pipeline.deadline_header,
            poll_rows_max=engine.poll_rows_max,
            future_ms_max=pipeline.future_ms_max,
            value_bytes_max=engine.value_bytes_max,
            features_published=self.config.publish.features,
        )
        name, spec = self.config.catalog.deciding_input, self.config.catalog.decided
        return Intake(
            name,
            spec,
            limits,
            self.rows,
            self.in_flight,
            self.batcher,
            self.state,
            self.positions,
            self.outlet.delivery_time,
            self.biller,
            self.tracing.reader,
        )

    def _remembered(self) -> Remembered:
        caches = row_caches_of(self.config, self.rows, self.answerers)
        return Remembered(self.reuse, caches, {own_serving(tier): way for tier, way in self.recurrent.items()})

    def _recurrent(self) -> dict[int, RecurrentRows]:
        """How tiers with state score, by number."""
        own = (self.rows, self.intake.columns, self.state)
        merged = self.replay is not None
        return {tier: RecurrentRows(*own, found, merged=merged) for tier, found in self.recurrences.items()}

    def _outcome_watch(self) -> OutcomeWatch:
        """A replay keeps all partitions' state in one slice."""
        counted = [number for number, tier in enumerate(self.tiers) if isinstance(tier, ModelTier)]
        one_slice = self.replay is not None
        slice_of = (lambda _: 0) if one_slice else (lambda partition: partition)
        return OutcomeWatch(self.rows, self.intake.columns, self.state, counted, slice_of, self.recurrent.values())

    def _replay(self) -> tuple[ReplayGroup, ReplayIntake]:
        """Everything that the topics hold now, from its oldest record."""
        engine, starts, ends = self.config.engine, {}, {}
        for spec in self.config.inputs.values():
            for partition in self.clients.partitions(spec.topic):
                starts[partition], ends[partition] = self.consumer.watermarks(partition, engine.request_ms_max)
        rows_max = min(engine.poll_rows_max, engine.rows_max // 4)
        self.replay = ReplayIntake(
            self.config.inputs,
            ends,
            self.rows,
            self.in_flight,
            self.batcher,
            self.state,
            rows_max,
            engine.value_bytes_max,
            self.biller,
        )
        return ReplayGroup(self.consumer, starts), self.replay

    def _engine(self) -> Engine:
        return Engine(
            clock=self.clock,
            wake=self.wake,
            group=self.group,
            intake=self.intake,
            state=self.replay.dead if self.replay is not None else self.stage,
            batcher=self.batcher,
            coalescer=self.coalescer,
            scorer=self.scorer,
            outcomes=self.outcomes,
            decider=self.decider,
            outlet=self.outlet,
            rows=self.rows,
            in_flight=self.in_flight,
            meter=self.meter,
            biller=self.biller,
            answers=self.answers,
            spans=self.tracing.spans,
            after_score=[
                *([self.reasons.explain] if self.reasons is not None else []),
                *([self.drift.sample] if self.drift is not None else []),
            ],
            rollouts=self.rollouts,
            pulse=self.pulse,
            poll_interval_us=self.config.poll_interval_us,
        )

    def _state_stage(self, features: FeatureSet, committed: dict[TopicPartition, int]) -> StateStage | None:
        config = self.config
        kept = bool(features.outcomes and config.checkpoint.url) or bool(self.recurrences)
        if not kept and not config.catalog.entities and all(s.role == "decide" for s in config.inputs.values()):
            return None
        self.state_consumer = self.clients.outside()
        clients = (self.state_consumer, self.clients.partitions, self._watermarks)
        of = (features, self.state, self.recurrences, self.positions)
        return build_stage(config, *of, *clients, committed, instance_name())

    def _watermarks(self, partition: TopicPartition) -> tuple[int, int]:
        """Asked of the consumer that reads the topic: another may have forgotten that there is such a partition."""
        decided = partition.topic == self.config.catalog.decided.topic
        reader = self.consumer if decided or self.state_consumer is None else self.state_consumer
        return reader.watermarks(partition, self.config.engine.request_ms_max)

    def _group(self, committer: Committer) -> Group:
        engine = self.config.engine
        reset = self.config.kafka.consumer_settings().get("auto.offset.reset", "earliest")
        drain_ns_max = engine.drain_ms_max * NS_PER_MS
        committed_ms_max = engine.request_ms_max + self.guarantee.held_back_ms_max
        limits = GroupLimits(
            drain_ns_max, engine.request_ms_max, reset, committed_ms_max, self.config.checkpoint.on_lost
        )
        return Group(self.consumer, self.stage, self.in_flight.watermarks, committer, limits)

    def _meter(self, tiers: Sequence[Tier], sinks: Sequence[Sink]) -> Meter:
        return Meter(
            self.rows,
            pipeline=self.config.pipeline.name,
            instance=instance_name(),
            tiers=[tier.name for tier in tiers],
            interval_ms=self.config.engine.metrics_ms,
            started=self.clock.instant(),
            counts=self.readings.counts,
            lag=self.readings.lag,
            levels=self.readings.levels,
            sinks=sinks,
        )

    def _publish_metrics(self, record: MetricsRecord, _totals: MetricsRecord) -> None:
        self.producer.produce(
            self.config.topics.metrics, ANY_PARTITION, record.instance.encode(), record.encode(), [], 0
        )

    def start(self) -> None:
        """Join the group; a replay reads outside any. From here on rows pay for what the process uses."""
        self.biller.begin(self.clock.now_ns())
        if self.replay is None:
            self.consumer.subscribe([self.config.catalog.decided.topic])
        if self.stage is not None:
            self.stage.start()

    def finished(self) -> bool:
        """Whether a replay has decided all there was; a live pipeline never has."""
        return self.replay is not None and self.replay.finished and not self.in_flight.used_rows

    def close(self) -> None:
        """Leave the group, stop the clients, free every message. Bounded in time."""
        if self.rollouts is not None:
            self.rollouts.close()
        idle = self.scorer.close()
        self.consumer.close(CLOSE_MS_MAX)
        if self.stage is not None:
            self.stage.close(CLOSE_MS_MAX / 1000)
        if self.state_consumer is not None:
            self.state_consumer.close(CLOSE_MS_MAX)
        self.guarantee.close()
        self.tracing.close()
        if idle:  # else a session may still be decoding what a message holds
            self.in_flight.close()
        self.producer.flush(CLOSE_MS_MAX)
        self.producer.close()
        self.wake.close()
