"""The sample of the latest decisions is small, seldom taken, and has rare kinds in it."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.clock import NS_PER_MS
from pipeline.rows import Outcome, Rows
from pipeline.servings import Servings, TierLabel
from pipeline.telemetry.latest import EVERY_MS, KEPT_OF_A_KIND, KINDS_MAX, PICKED_MAX, LatestDecisions
from pipeline.wire.decision import DecisionEncoder

ROWS = 64
KEY = b"customer-7"


class Bench:
    """Rows that are decided and encoded, offered to a sample time and again."""

    def __init__(self, decisions: int = 3) -> None:
        self.rows = Rows(ROWS, 1)
        labels = [f"label-{number}" for number in range(decisions)]
        self.encoder = DecisionEncoder(
            pipeline="fraud",
            topic="transactions",
            servings=Servings.of_ladder([(TierLabel("primary", "m", "1", "CPU"), ())]),
            decisions=labels,
        )
        self.key = np.frombuffer(KEY, np.uint8).copy()
        self.rows.key_address[:] = self.key.ctypes.data
        self.rows.key_length[:] = len(KEY)
        self.rows.outcome[:] = Outcome.SCORED
        self.rows.serving[:] = 1
        self.rows.offset[:] = np.arange(ROWS)
        self.latest = LatestDecisions()
        self.now_ms = 1_000

    def encoded(self) -> NDArray[Any]:
        slots = np.arange(ROWS, dtype=np.int32)
        return self.encoder.encode(self.rows, slots, now_ns=0, now_ms=self.now_ms, delivery_ns=0, partitions=4)

    def take(self, after_ms: int = EVERY_MS) -> None:
        self.now_ms += after_ms
        self.latest.take(self.rows, self.encoded(), self.now_ms * NS_PER_MS, self.now_ms)


def test_what_is_kept_is_what_left_and_outlives_its_memory() -> None:
    bench = Bench()
    bench.rows.decision[5] = 2
    expected = bench.encoded()[5]
    assert expected["_private"] == 6
    bench.take()
    bench.rows.offset[:] = 99  # the encoder's memory is written again
    bench.encoded()
    bench.key[:] = 0
    common, rare = bench.latest.after(0)
    assert json.loads(rare.value)["decision"] == "label-2"
    assert json.loads(rare.value)["source"] == ["transactions", 0, 5]
    assert json.loads(common.value)["decision"] == "label-0"
    assert (rare.key, rare.at_ms) == (KEY, bench.now_ms)


def test_it_is_taken_no_oftener_than_it_says() -> None:
    bench = Bench()
    for _ in range(1000):
        bench.take(after_ms=1)
    assert bench.latest.number == 1000 // EVERY_MS


def test_a_batch_gives_a_few_and_no_two_alike() -> None:
    bench = Bench(decisions=10)
    bench.rows.decision[:] = np.arange(ROWS) % 10
    bench.take()
    kinds = [json.loads(each.value)["decision"] for each in bench.latest.after(0)]
    assert len(kinds) == len(set(kinds)) == PICKED_MAX
    for _ in range(9):
        bench.take()
    taken = [json.loads(each.value)["decision"] for each in bench.latest.after(0)]
    assert sorted(taken) == sorted(f"label-{number}" for number in range(10) for _ in range(PICKED_MAX))


def test_common_decisions_do_not_push_out_rare_ones_and_all_have_a_bound() -> None:
    bench = Bench(decisions=100)
    bench.rows.decision[0] = 1
    bench.take()
    bench.rows.decision[0] = 0
    for _ in range(200):
        bench.take()
    kept = [json.loads(each.value)["decision"] for each in bench.latest.after(0)]
    assert kept.count("label-1") == 1
    assert kept.count("label-0") == KEPT_OF_A_KIND
    for kind in range(100):
        bench.rows.decision[:] = kind
        for _ in range(KEPT_OF_A_KIND + 1):
            bench.take()
    assert len(bench.latest.after(0)) == KINDS_MAX * KEPT_OF_A_KIND


def test_after_a_number_only_what_is_newer_oldest_first() -> None:
    bench = Bench()
    for _ in range(5):
        bench.take()
    assert [each.number for each in bench.latest.after(2)] == [3, 4, 5]
    assert bench.latest.after(bench.latest.number) == []


def test_nothing_is_taken_of_an_empty_batch() -> None:
    bench = Bench()
    bench.latest.take(bench.rows, bench.encoded()[:0], 10**12, 1)
    assert bench.latest.after(0) == []
