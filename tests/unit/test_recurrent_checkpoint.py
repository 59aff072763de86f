"""A checkpoint of what models remember is read on from before events that were read and not decided yet."""

import time
from pathlib import Path

import pytest

from features.model_state import ModelStatePlan
from features.state import FeatureSet
from pipeline.config.load import load
from pipeline.kafka.lane import TopicPartition
from pipeline.state.checkpointer import Checkpointer
from pipeline.state.export import Known
from pipeline.state.manifest import decode
from pipeline.state.positions import Positions
from pipeline.state.store import CheckpointStore
from pipeline.state.writer import CheckpointWriter

FEATURES = FeatureSet(load("fraud", environ={}).config.catalog)
PLAN = ModelStatePlan("primary", "customer_id", 2, 1, 4, "")
ONE = TopicPartition("transactions", 1)
INTERVAL_NS = 10


@pytest.mark.parametrize(("plans", "lowest"), [((), 9), ((PLAN,), 5)])
def test_it_is_read_on_from_what_was_committed_when_it_was_begun(
    tmp_path: Path, plans: tuple[ModelStatePlan, ...], lowest: int
) -> None:
    positions, committed, now_ns = Positions(local={ONE: 9}), {ONE: 5}, [0]
    signatures = {name: {"key": name} for name in (*(plan.name for plan in FEATURES.entities), PLAN.name)}
    store = CheckpointStore(str(tmp_path), "fraud", "group", "here")
    checkpointer = Checkpointer(
        FEATURES.new_state(1 << 28, plans),
        "transactions",
        signatures,  # type: ignore[arg-type]
        positions,
        committed,
        CheckpointWriter(store, 2),
        INTERVAL_NS,
        lambda: now_ns[0],
    )
    checkpointer.open(ONE, Known())
    now_ns[0] = INTERVAL_NS
    checkpointer.poll()
    committed[ONE] = 9
    until_s = time.monotonic() + 30
    while not checkpointer.counts.written and time.monotonic() < until_s:
        checkpointer.poll()
    checkpointer.close(5)
    (path,) = tmp_path.rglob("transactions-1/*.manifest")
    manifest = decode(path.name, path.read_bytes())
    assert (manifest.lowest, manifest.highest) == ({"transactions/1": lowest}, {"transactions/1": 9})
