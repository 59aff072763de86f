"""Recorded events: through features, model and decision without Kafka, or into the topics of a pipeline."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.backfill import BATCH_ROWS, Taking, backfill
from features.columns import Columns
from features.memory_bound import MemoryBound
from features.model_state import ModelState
from pipeline.config.model import PipelineConfig
from pipeline.decide import Decider
from pipeline.errors import HeadraceError
from pipeline.ladder_build import thresholds_of
from pipeline.recurrence import Recurrence
from pipeline.rows import Rows
from pipeline.scoring import servings_of
from pipeline.servings import own_serving
from pipeline.tables import json_values
from pipeline.tier import ModelTier, Recurrent, Tier
from pipeline.tiers import open_tiers

PACE_ROWS = 100
QUEUED_ROWS_MAX = 50_000


def decisions_of(config: PipelineConfig, tables: Mapping[str, Iterable[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
    """A decision for each event of the deciding input, in its own order: id, event time (ms), score, decision.

    The first tier scores all, in its largest bucket, or with a cascade what its first model is unsure of; recorded
    events have no deadline and take no routes. What a model with state remembers begins empty, and may take
    `engine.memory_bytes_max` beside the windows. The features are there too where `publish.features` asks for them.
    """
    tiers = open_tiers(config, tuple(config.features))
    rows = Rows(BATCH_ROWS, len(config.features))
    decider = Decider(rows, servings_of(tiers), config.decide.labels.index(config.decide.fallback))
    first = [tier.name for tier in tiers].index(config.cascade.first) if config.cascade.first else 0
    asked_first = tiers[first]
    recurrent = asked_first.recurrent if isinstance(asked_first, ModelTier) else None
    labels, names = np.array(config.decide.labels), list(config.features)
    rows_max = max(config.engine.buckets)
    taking = None if recurrent is None else _remembering(config, recurrent, rows)
    for batch in backfill(config.catalog, tables, config.engine.memory_bytes_max, taking):
        features = {name: batch.column(batch.schema.get_field_index(name)) for name in names}
        n = batch.num_rows
        rows.features32[:n] = np.stack([column.to_numpy() for column in features.values()], axis=1)
        for start in range(0, n, rows_max):
            slots = np.arange(start, min(n, start + rows_max), dtype=np.int32)
            if taking is None:
                _score(rows, tiers, first, slots)
            rows.serving[slots] = own_serving(first)
            if first:
                _score(rows, tiers, 0, slots[thresholds_of(config).unsure(rows.score[slots])])
        decider.scored(np.arange(n, dtype=np.int32))
        made = {
            "id": batch.column(0),
            "event_time": batch.column(1),
            "score": pa.array(rows.score[:n].copy()),
            "decision": pa.array(labels[rows.decision[:n]]),
            **(features if config.publish.features else {}),
        }
        yield pa.RecordBatch.from_arrays(list(made.values()), names=list(made))


def _score(rows: Rows, tiers: Sequence[Tier], number: int, slots: NDArray[np.int32]) -> None:
    """Score these rows by a tier."""
    tier = tiers[number]
    assert isinstance(tier, ModelTier)
    scores = np.zeros(len(slots), np.float32)
    if len(slots):
        tier.session.run(rows.features32[slots], scores)
    rows.score[slots] = scores
    rows.serving[slots] = own_serving(number)


def _remembering(config: PipelineConfig, recurrent: Recurrent, rows: Rows) -> Taking:
    """Scores events of a recurrent model in their order, into `rows.score`."""
    state = ModelState(recurrent.plan, MemoryBound(config.engine.memory_bytes_max))
    recurrence = Recurrence(recurrent.plan, recurrent.session, len(config.features), max(config.engine.buckets))
    taken = 0

    def take(columns: Columns, chosen: NDArray[np.int32], features: NDArray[np.float64]) -> None:
        rows.features32[chosen] = features[chosen]
        blocks = np.empty(len(chosen), np.int64)
        state.find(columns, chosen, blocks)
        nonlocal taken
        sequence = np.arange(taken, taken + len(chosen))
        taken += len(chosen)
        recurrence.score(rows.features32, chosen, blocks, sequence, rows.score)

    return take


def produce_events(
    config: PipelineConfig, input_name: str, batches: Iterable[pa.RecordBatch], rate: float | None
) -> int:
    """Produce the events of one input to its topic, keyed as it declares, `rate` a second (None: at once).

    Returns how many; raises HeadraceError when some were not delivered. Record timestamps are the clock's.
    """
    from confluent_kafka import Producer

    spec = config.inputs[input_name]
    failed: list[str] = []

    def delivered(error: Any, _message: Any) -> None:
        if error is not None:
            failed.append(str(error))

    defaults = {"partitioner": "murmur2_random", "enable.idempotence": "true", "linger.ms": "5"}
    producer = Producer({**defaults, **config.kafka.producer_settings(), "on_delivery": delivered})
    sent, began_s = 0, time.monotonic()
    for batch in batches:
        keys = batch.column(batch.schema.get_field_index(spec.key)).cast(pa.string()).to_pylist()
        for key, value in zip(keys, json_values(batch), strict=True):
            if rate is not None and sent % PACE_ROWS == 0:
                time.sleep(max(0.0, sent / rate - (time.monotonic() - began_s)))
            while len(producer) > QUEUED_ROWS_MAX:
                producer.poll(0.01)
            producer.produce(spec.topic, value, key)
            sent += 1
        producer.poll(0)
    left = producer.flush(60)
    if failed or left:
        why = failed[0] if failed else "no answer within 60 s"
        raise HeadraceError(f"{spec.topic}: {len(failed) + left} of {sent} events were not delivered: {why}")
    return sent
