"""With the cache each row has the score that it has without, to the bit, by any session and in any batch."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.rule import Rule
from models.cost import CostModel
from models.repository import Repository
from models.session import CPU, ModelSession
from pipeline.answering import Answerers
from pipeline.batch import Batch
from pipeline.bill.savings import Savings
from pipeline.config.load import load
from pipeline.row_cache import RowCache
from pipeline.row_layout import features_of
from pipeline.row_reuse import RowCaches
from pipeline.rows import Rows
from pipeline.runner import Runner
from pipeline.scorer import InlineScorer, ThreadScorer
from pipeline.servings import TierLabel
from pipeline.tier import ModelTier, RuleTier, Tier
from pipeline.ways import Remembered

BATCH_MAX, CAPACITY = 32, 64
NAMES = features_of(load("fraud", environ={}).config).names
KNOWN = np.random.default_rng(5).gamma(0.7, 60.0, (20, len(NAMES))).astype(np.float32)
KNOWN[0, 0], KNOWN[1, 0], KNOWN[2, 3] = 0.0, -0.0, np.nan


@pytest.fixture(scope="module")
def tiers() -> list[Tier]:
    entry = Repository.shipped().load("fraud-gbt", "1")
    session = ModelSession(entry, providers=[CPU], buckets=[1, BATCH_MAX], feature_names=NAMES)
    cost = CostModel([1, BATCH_MAX])
    cost.seed(1, [20_000])
    cost.seed(BATCH_MAX, [100_000])
    label = TierLabel("primary", "fraud-gbt", "1", CPU)
    rule = RuleTier("rule", Rule("rule", "1", NAMES), TierLabel("rule", None, None, None), (0.5,))
    return [ModelTier("primary", session, cost, label, (0.5,)), rule]


class Clock:
    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


def rows_of(kinds: Sequence[int]) -> Rows:
    rows = Rows(CAPACITY, len(NAMES))
    rows.score[:] = 7
    rows.features32[: len(kinds)] = KNOWN[list(kinds)]
    return rows


batches = st.lists(
    st.tuples(st.lists(st.integers(0, len(KNOWN) - 1), min_size=1, max_size=BATCH_MAX), st.integers(0, 40)),
    min_size=1,
    max_size=12,
)


@given(batches, st.integers(1, 30), st.integers(0, 60))
@settings(max_examples=60)
def test_a_score_has_the_same_bits_with_and_without(
    tiers: list[Tier], stream: list[tuple[list[int], int]], rows_max: int, age_ns: int
) -> None:
    clock, cache, asked = Clock(), RowCache(len(NAMES), rows_max, age_ns), 0
    for kinds, passed_ns in stream:
        clock.ns += passed_ns
        slots = np.arange(len(kinds), dtype=np.int32)[::-1].copy()
        with_it, without = rows_of(kinds), rows_of(kinds)
        scored = Runner(with_it, Answerers(tiers), BATCH_MAX, clock, Remembered(cache_of=lambda _: cache)).run(
            Batch(0, slots)
        )
        Runner(without, Answerers(tiers), BATCH_MAX, clock).run(Batch(0, slots))
        assert with_it.score.tobytes() == without.score.tobytes()
        assert with_it.serving.tolist() == without.serving.tolist()
        assert scored.cost_rows <= len(kinds)
        asked += scored.cost_rows
        assert cache.rows <= min(rows_max, asked)


def test_rows_that_are_known_are_not_run_and_what_that_spared_is_told(tiers: list[Tier]) -> None:
    cache, savings, kinds = RowCache(len(NAMES), 100, 1 << 60), Savings(tiers), list(range(20)) + [3] * 12
    rows, slots = rows_of(kinds), np.arange(32, dtype=np.int32)
    ticks = iter(range(0, 10**9, 1000))
    runner = Runner(rows, Answerers(tiers), BATCH_MAX, lambda: next(ticks), Remembered(cache_of=lambda _: cache))
    first, second, third = (runner.run(Batch(0, at)) for at in (slots[:20], slots[10:], slots[:10]))
    assert (first.cost_rows, second.cost_rows, third.cost_rows) == (20, 0, 0)
    for scored in (first, second, third, runner.run(Batch(1, slots))):
        savings.observe(scored)
    cost = tiers[0].cost  # type: ignore[union-attr]
    counts = savings.counts()
    assert (counts["reuse_rows/primary"], counts["reuse_spared/primary"]) == (52, 32)
    assert counts["saved_us/primary"] == (cost.expected_ns(22) + cost.expected_ns(10)) // 1000
    assert counts["lookup_us/primary"] == 4
    assert not [name for name in counts if name.endswith("/rule")]


def test_the_run_is_billed_to_all_rows_of_the_batch(tiers: list[Tier]) -> None:
    cpu = iter((100, 350))
    slots = np.arange(5, dtype=np.int32)
    (run,) = (
        Runner(rows_of([1] * 5), Answerers(tiers), BATCH_MAX, Clock(), None, lambda: next(cpu))
        .run(Batch(0, slots))
        .runs
    )
    assert (run.serving, run.slots.tolist(), run.cpu_ns, run.gpu_ns) == (1, [0, 1, 2, 3, 4], 250, 0)


@pytest.mark.parametrize("threads", [0, 2])
def test_sessions_share_what_is_known(tiers: list[Tier], threads: int) -> None:
    cache, rows, clock = RowCache(len(NAMES), 100, 1 << 60), rows_of(list(range(20)) * 3), Clock()
    scorer = (
        ThreadScorer(rows, tiers, BATCH_MAX, threads, clock, lambda: None, Remembered(cache_of=lambda _: cache))
        if threads
        else InlineScorer(rows, tiers, BATCH_MAX, clock, Remembered(cache_of=lambda _: cache))
    )
    asked = 0
    for first in (0, 20, 40):
        scorer.submit(Batch(0, np.arange(first, first + 20, dtype=np.int32)))
        done = threading.Event()
        while not (found := scorer.finished()):
            done.wait(0.001)
        asked += sum(scored.cost_rows for scored in found)
    assert scorer.close()
    assert asked == 20
    assert rows.score[:20].tobytes() == rows.score[20:40].tobytes() == rows.score[40:60].tobytes()


def test_a_session_of_ours_starts_no_thread(tiers: list[Tier]) -> None:
    """What the bill rests on: the CPU time of a run is that of the thread that called it."""
    before = threads_of_the_process()
    entry = Repository.shipped().load("fraud-gbt", "1")
    session = ModelSession(entry, providers=[CPU], buckets=[BATCH_MAX], feature_names=NAMES)
    session.run(KNOWN, np.zeros(len(KNOWN), np.float32))
    assert threads_of_the_process() == before


def threads_of_the_process() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Threads:"))


def test_each_answerer_has_a_cache_of_its_own_for_as_long_as_it_answers() -> None:
    alive = {1, 3}
    caches = RowCaches(len(NAMES), 100, 1 << 60, lambda: frozenset(alive))
    stable, canary = caches.of(1), caches.of(3)
    assert stable is not canary
    assert caches.of(1) is stable
    alive.symmetric_difference_update({1, 4})
    assert caches.of(4) is not canary
    assert caches.of(3) is canary
    assert caches.of(1) is not stable
