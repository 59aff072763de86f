"""What a guarantee is made of: the outlet, and what commits. The one place where the two differ."""

import logging
from collections.abc import Callable
from typing import Any

from pipeline.clock import NS_PER_MS, Instant
from pipeline.committing import Committer, OffsetCommitter, TransactionCommitter
from pipeline.config.model import PipelineConfig
from pipeline.courier import Courier
from pipeline.delivery_time import DeliveryTime
from pipeline.hand_over import CommitPolicy
from pipeline.in_flight import InFlight
from pipeline.kafka.consumer import LaneConsumer
from pipeline.kafka.headed import RowHeaders
from pipeline.kafka.producer import LaneProducer
from pipeline.kafka.transactions import TransactionalProducer
from pipeline.kafka.wake import Wake
from pipeline.offsets import Commits
from pipeline.outlet import Outlet, OutletTopics, Publisher
from pipeline.plain_letters import PlainLetters
from pipeline.row_layout import RowLayout
from pipeline.rows import Rows
from pipeline.servings import Servings
from pipeline.transactional_outlet import TransactionalOutlet
from pipeline.transactions import Ended, Transactions
from pipeline.wire.decision import DecisionEncoder
from pipeline.wire.trace_context import TRACEPARENT, TRACESTATE

log = logging.getLogger(__name__)
CLOSE_S_MAX = 3.0
ABORT_CHECK_MS = 10_000
"""How often a broker looks for transactions whose time is up (transaction.abort.timed.out.transaction.cleanup...)."""


class AtLeastOnce:
    """Outcomes go out as they are decided; offsets follow when they are delivered."""

    held_back_ms_max = 0

    def __init__(
        self,
        config: PipelineConfig,
        encoder: DecisionEncoder,
        producer: LaneProducer,
        rows: Rows,
        in_flight: InFlight,
    ) -> None:
        self._config = config
        self._in_flight = in_flight
        topics = _topics(config, producer, rows)
        source = config.catalog.decided.topic
        self.outlet: Publisher = Outlet(producer, encoder, rows, in_flight, topics, source, _delivery_time(config))

    def committer(self, consumer: LaneConsumer) -> Committer:
        """What commits this consumer's offsets."""
        engine = self._config.engine
        commits: Commits[Any] = Commits(engine.commit_ms * NS_PER_MS)
        return OffsetCommitter(consumer, self._in_flight.watermarks, commits, engine.request_ms_max)

    def close(self) -> None:
        """Nothing of its own."""


class ExactlyOnce:
    """Outcomes and offsets commit together. `producer` is for what belongs to no transaction."""

    def __init__(
        self,
        config: PipelineConfig,
        encoder: DecisionEncoder,
        producer: LaneProducer,
        rows: Rows,
        in_flight: InFlight,
        wake: Wake,
        instant: Callable[[], Instant],
    ) -> None:
        self._config = config
        self._wake = wake
        self._instant = instant
        kafka, engine = config.kafka, config.engine
        timeout_ms = kafka.transaction_timeout_ms
        self.held_back_ms_max = timeout_ms + ABORT_CHECK_MS
        settings = {**kafka.producer_settings(), "transaction.timeout.ms": str(timeout_ms)}
        self._producer = TransactionalProducer(settings, kafka.transactional_id, wake)
        topics = _topics(config, self._producer, rows)
        self._producer.take_over(engine.request_ms_max)
        log.info("transactional id %s taken over", kafka.transactional_id)
        courier: Courier[Ended] = Courier(wake)
        self._transactions = Transactions(self._producer, courier)
        self._outlet = TransactionalOutlet(
            self._producer,
            self._transactions,
            encoder,
            rows,
            in_flight,
            topics,
            config.catalog.decided.topic,
            _delivery_time(config),
            PlainLetters(producer, topics.dead_letters),
        )
        self.outlet: Publisher = self._outlet

    def committer(self, consumer: LaneConsumer) -> Committer:
        """What commits this consumer's offsets."""
        engine = self._config.engine
        return TransactionCommitter(
            consumer,
            self._outlet,
            self._transactions,
            CommitPolicy(engine.commit_ms * NS_PER_MS, engine.rows_max // 2),
            engine.request_ms_max,
            self._wake,
            self._instant,
        )

    def close(self) -> None:
        """Take back what is open, stop the thread and the producer. Bounded in time."""
        if self._transactions.close(CLOSE_S_MAX):
            self._producer.close()


Guarantee = AtLeastOnce | ExactlyOnce


def guarantee_of(
    config: PipelineConfig,
    servings: Servings,
    layout: RowLayout,
    producer: LaneProducer,
    rows: Rows,
    in_flight: InFlight,
    wake: Wake,
    instant: Callable[[], Instant],
) -> Guarantee:
    """What the configuration asks for. Asks for every output topic before the first message to it."""
    producer.partition_count(config.topics.metrics, config.engine.request_ms_max)
    encoder = DecisionEncoder(
        pipeline=config.pipeline.name,
        topic=config.catalog.decided.topic,
        servings=servings,
        decisions=config.decide.labels,
        features=layout.published if config.publish.features else None,
        classes=layout.classes,
        reasons=layout.reasons,
        explained=layout.features if layout.explained else (),
        traceparent=config.trace.propagate == "field",
    )
    if config.exactly_once:
        producer.partition_count(config.topics.dead_letters, config.engine.request_ms_max)
        return ExactlyOnce(config, encoder, producer, rows, in_flight, wake, instant)
    return AtLeastOnce(config, encoder, producer, rows, in_flight)


def _topics(config: PipelineConfig, producer: LaneProducer, rows: Rows) -> OutletTopics:
    names, timeout_ms = config.topics, config.engine.request_ms_max
    partitions = producer.partition_count(names.decisions, timeout_ms)
    producer.partition_count(names.dead_letters, timeout_ms)
    carried = config.trace.propagate == "header"
    headers = RowHeaders((TRACEPARENT, TRACESTATE), rows.header_address, rows.header_length) if carried else None
    return OutletTopics(names.decisions, partitions, names.dead_letters, headers)


def _delivery_time(config: PipelineConfig) -> DeliveryTime:
    return DeliveryTime(config.pipeline.budget_ms * NS_PER_MS // 2)
