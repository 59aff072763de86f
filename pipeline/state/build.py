"""The state stage of a pipeline, put together from its configuration."""

from collections.abc import Callable, Iterable, Mapping

from features.signature import signature_of, signature_of_model, signature_of_outcomes
from features.state import FeatureSet, FeatureState
from pipeline.clock import NS_PER_MS
from pipeline.config.model import PipelineConfig
from pipeline.kafka.consumer import LaneConsumer, TopicPartition
from pipeline.recurrence import Recurrence, Rescorer
from pipeline.state.checkpointer import Checkpointer
from pipeline.state.positions import Positions
from pipeline.state.restorer import Restorer
from pipeline.state.stage import StagePolicy, StateStage
from pipeline.state.store import CheckpointStore
from pipeline.state.writer import CheckpointWriter
from pipeline.state_lanes import StateLanes


def build_stage(
    config: PipelineConfig,
    features: FeatureSet,
    state: FeatureState,
    recurrences: Mapping[int, Recurrence],
    positions: Positions,
    consumer: LaneConsumer,
    partitions: Callable[[str], list[TopicPartition]],
    watermarks: Callable[[TopicPartition], tuple[int, int]],
    committed: Mapping[TopicPartition, int],
    instance: str,
) -> StateStage:
    """Lanes, and where `checkpoint.url` is set what writes and restores. Raises StoreError when that is no place."""
    catalog, engine, checkpoint = config.catalog, config.engine, config.checkpoint
    deciding = partitions(catalog.decided.topic) if features.has_global_entities else []
    sizes = (engine.poll_rows_max, engine.value_bytes_max)
    rescorer = Rescorer(state, recurrences, len(features.names), engine.poll_rows_max) if recurrences else None
    lanes = StateLanes(consumer, config.inputs, state, positions, *sizes, deciding, rescorer)
    restorer: Restorer | None = None
    checkpointer: Checkpointer | None = None
    if checkpoint.url:
        group = config.kafka.common["group.id"]
        store = CheckpointStore(checkpoint.url, config.pipeline.name, group, instance)
        signatures = {plan.name: signature_of(plan, catalog) for plan in features.entities}
        for plan in features.outcomes:
            signatures[plan.name] = signature_of_outcomes(config.outcome_state[plan.declared], catalog)
        for recurrence in recurrences.values():
            signatures[recurrence.plan.name] = signature_of_model(recurrence.plan, catalog)
        shared = {plan.name for plan in features.entities if plan.shared}

        def slice_id(partition: TopicPartition | None) -> int | None:
            return None if partition is None else partition.partition

        restorer = Restorer(
            store,
            catalog.decided.topic,
            lambda at: {name: s for name, s in signatures.items() if (name in shared) == (at is None)},
            lambda at: state.entities(slice_id(at)),
            lambda at: state.clear(slice_id(at)),
            checkpoint.on_lost,
        )
        writer = CheckpointWriter(store, checkpoint.keep)
        interval_ns = checkpoint.interval_ms * NS_PER_MS
        topic = catalog.decided.topic
        checkpointer = Checkpointer(state, topic, signatures, positions, committed, writer, interval_ns)
    return StateStage(
        lanes,
        state,
        positions,
        restorer,
        checkpointer,
        state_partitions(config, partitions),
        watermarks,
        StagePolicy(checkpoint.restore_s_max * 1_000_000_000, checkpoint.on_lost),
    )


def state_partitions(
    config: PipelineConfig, partitions: Callable[[str], list[TopicPartition]]
) -> Iterable[TopicPartition]:
    """All partitions of inputs that only feed state."""
    return [at for spec in config.inputs.values() if spec.role == "state" for at in partitions(spec.topic)]
