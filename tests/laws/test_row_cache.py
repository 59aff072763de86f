"""A score from the cache is what the model gave for the very same bytes, is young enough, and there is a bound."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.row_cache import PROBES_MAX, RowCache

FEATURES = 3


def told(row: np.ndarray, version: int) -> np.float32:
    """A model whose answers change from call to call, so that it shows which of them was kept."""
    return np.float32(row.view(np.uint32).astype(np.uint64).sum() % 997 + version / 1024)


class Kept:
    """The cache beside a dictionary that never forgets."""

    def __init__(self, rows_max: int, age_ns: int, seed: int | None = None) -> None:
        self.cache = RowCache(FEATURES, rows_max, age_ns, seed)
        self.age_ns = age_ns
        self.known: dict[bytes, tuple[np.float32, int]] = {}
        self.hits = 0

    def score(self, rows: np.ndarray, now_ns: int, version: int) -> None:
        n = len(rows)
        slots, score = np.arange(n, dtype=np.int32)[::-1].copy(), np.full(n, np.nan, np.float32)
        missed, codes = np.empty(n, np.int32), np.empty(n, np.int64)
        misses = self.cache.look_up(slots, rows, now_ns, score, missed, codes)
        asked = missed[:misses]
        assert len(set(asked.tolist())) == misses
        for slot in set(range(n)) - set(asked.tolist()):
            kept, at_ns = self.known[rows[slot].tobytes()]
            assert score[slot].tobytes() == kept.tobytes()
            assert now_ns - at_ns <= self.age_ns
            self.hits += 1
        for slot in asked.tolist():
            score[slot] = told(rows[slot], version)
            self.known[rows[slot].tobytes()] = (score[slot], now_ns)
        self.cache.keep(asked, codes[:misses], rows, now_ns, score)


values = st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf"), 1e-45])
batches = st.lists(
    st.tuples(st.lists(st.tuples(values, values, values), min_size=1, max_size=12), st.integers(0, 40)), max_size=25
)


@given(batches, st.integers(1, 40), st.integers(0, 60))
@settings(max_examples=200)
def test_a_hit_has_the_bits_of_the_last_answer_for_those_bytes(
    stream: list[tuple[list[tuple[float, float, float]], int]], rows_max: int, age_ns: int
) -> None:
    kept, now_ns = Kept(rows_max, age_ns), 0
    for version, (rows, passed_ns) in enumerate(stream):
        now_ns += passed_ns
        kept.score(np.array(rows, np.float32), now_ns, version)
        assert kept.cache.rows <= rows_max


@given(st.integers(1, 300), st.integers(0, 2**32))
@settings(max_examples=30)
def test_what_is_evicted_is_found_no_more_and_what_stays_is(rows_max: int, seed: int) -> None:
    """Many more rows than places, so that every chain is cut and mended."""
    kept, random = Kept(rows_max, 1 << 60), np.random.default_rng(seed)
    for version in range(12):
        rows = random.integers(0, 3 * rows_max, (64, 1)).astype(np.float32).repeat(FEATURES, axis=1)
        kept.score(rows, version, version)
    linked = kept.cache._table[kept.cache._table >= 0] & 0xFFFFFFFF
    assert len(set(linked.tolist())) == len(linked) == kept.cache.rows <= rows_max
    for entry in linked.tolist():  # each can be reached from its own place
        row = kept.cache._kept[entry : entry + 1].view(np.float32)
        score, missed, codes = np.zeros(1, np.float32), np.empty(1, np.int32), np.empty(1, np.int64)
        slot = np.zeros(1, np.int32)
        assert kept.cache.look_up(slot, row, 12, score, missed, codes) == 0
        assert score[0].tobytes() == kept.cache._scores[entry].tobytes()


def test_a_row_is_found_as_long_as_there_is_room_and_it_is_young() -> None:
    kept, rows = Kept(100, 50), np.arange(300, dtype=np.float32).reshape(100, FEATURES)
    kept.score(rows, 0, 0)
    kept.score(rows, 50, 1)
    assert kept.hits == 100
    kept.score(rows, 51, 2)
    assert kept.hits == 100


def test_what_is_asked_for_again_and_again_stays() -> None:
    kept, loved = Kept(64, 1 << 60), np.full((1, FEATURES), -1.0, np.float32)
    kept.score(loved, 0, 0)
    for turn in range(200):
        kept.score(loved, 0, 1)
        kept.score(np.full((20, FEATURES), turn, np.float32) + np.arange(20, dtype=np.float32)[:, None] / 32, 0, 1)
    assert kept.hits >= 200


def test_the_hash_alone_decides_nothing() -> None:
    """A stranger's row whose place and tag are forged onto a known entry is still not given that one's score."""
    kept, rows = Kept(10, 1 << 60), np.arange(2 * FEATURES, dtype=np.float32).reshape(2, FEATURES)
    kept.score(rows[:1], 0, 0)
    score, missed, codes = np.zeros(2, np.float32), np.empty(2, np.int32), np.empty(2, np.int64)
    assert kept.cache.look_up(np.array([1], np.int32), rows, 0, score, missed, codes) == 1
    table = kept.cache._table
    table[codes[0] & (len(table) - 1)] = ((codes[0] >> 32) & 0x7FFFFFFF) << 32
    assert kept.cache.look_up(np.array([1], np.int32), rows, 0, score, missed, codes) == 1


def test_a_chain_that_is_too_long_costs_an_entry_and_no_more() -> None:
    """Places taken by force: rows that find none are not kept, and their entries are used again."""
    kept = Kept(200, 1 << 60, seed=7)
    kept.cache._table[:] = 1 << 40  # tags of nobody
    rows = np.arange(3 * 300, dtype=np.float32).reshape(300, FEATURES)
    kept.score(rows, 0, 0)
    kept.score(rows, 0, 1)
    assert kept.hits == 0
    assert len(kept.cache._table) > PROBES_MAX
