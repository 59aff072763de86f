"""How old what is not in a checkpoint may be: none where nothing was read since, told for slices that are ours."""

import time
from collections.abc import Callable
from pathlib import Path

from features.state import FeatureSet
from pipeline.config.load import load
from pipeline.kafka.lane import TopicPartition
from pipeline.state.checkpointer import Checkpointer
from pipeline.state.export import Known
from pipeline.state.positions import Positions
from pipeline.state.store import CheckpointStore
from pipeline.state.writer import CheckpointWriter

FEATURES = FeatureSet(load("fraud", environ={}).config.catalog)
SECOND = 1_000_000_000
ZERO, ONE = TopicPartition("transactions", 0), TopicPartition("transactions", 1)


class Bench:
    """A checkpointer on a clock of its own, with a writer and a folder."""

    def __init__(self, folder: Path) -> None:
        self.now_ns = 0
        self.positions = Positions()
        self.committed: dict[TopicPartition, int] = {}
        state = FEATURES.new_state(1 << 28)
        writer = CheckpointWriter(CheckpointStore(str(folder), "fraud", "group", "here"), 2)
        signatures = {plan.name: {"key": plan.name} for plan in FEATURES.entities}
        self.checkpointer = Checkpointer(
            state,
            "transactions",
            signatures,  # type: ignore[arg-type]
            self.positions,
            self.committed,
            writer,
            10 * SECOND,
            lambda: self.now_ns,
        )

    def until(self, true: Callable[[], bool]) -> None:
        until_s = time.monotonic() + 30
        while not true():
            assert time.monotonic() < until_s
            self.checkpointer.poll()

    def at(self, second: int) -> dict[str, float]:
        self.now_ns = second * SECOND
        self.checkpointer.poll()
        return self.checkpointer.ages_s()


def test_an_age_counts_from_what_was_written_last_and_not_at_all_while_nothing_is_read(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.positions.local[ONE] = 5
    bench.checkpointer.open(ONE, Known())
    assert bench.at(9) == {"1": 9}
    assert bench.at(11) == {"1": 11}
    bench.now_ns = 12 * SECOND
    assert bench.checkpointer.counts.written == 0, "the commit has not come as far"
    bench.committed[ONE] = 5
    bench.until(lambda: bench.checkpointer.counts.written == 1)
    assert bench.checkpointer.ages_s() == {"1": 1}, "it holds what there was when it was begun"
    assert bench.at(20) == {"1": 9}
    assert bench.at(21) == {"1": 0}, "nothing was read since"
    bench.positions.local[ONE] = 9
    assert bench.at(40) == {"1": 19}
    bench.checkpointer.forget(ONE)
    assert bench.at(41) == {}


def test_the_global_slice_is_told_by_the_process_that_writes_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.checkpointer.open(None, Known())
    bench.checkpointer.open(ONE, Known())
    bench.positions.shared[ZERO] = 3
    assert bench.at(3) == {}, "partition 0 is another process's, and of 1 nothing was read"
    bench.checkpointer.open(ZERO, Known())
    bench.positions.local[ZERO] = 3
    assert bench.at(4) == {"global": 4, "0": 1}
