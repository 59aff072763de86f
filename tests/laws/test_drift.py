"""Drift: distances that are what they are called, quiet while nothing changes, told by name when something does."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from models.divergence import PRIOR, ks, psi
from models.reference import BINS, SCORE, bins_of, reference_of
from pipeline.config.drift_section import DriftSection
from pipeline.drift import Drift
from pipeline.drift_window import BACK_AT, Crossings, Distance, PaneCounts
from pipeline.rows import Rows

COUNTS = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=2, max_size=22).filter(
    lambda pairs: all(sum(side) for side in zip(*pairs, strict=True))
)
NUMBERS = st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 7.0, np.nan]) | st.floats(-9, 9, width=32), min_size=1)
S = 1_000_000_000


@given(COUNTS)
def test_distances_are_symmetric_and_nothing_between_equals(pairs: list[tuple[int, int]]) -> None:
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    assert psi(left, right) == pytest.approx(psi(right, left), abs=1e-12)
    assert ks(left, right) == pytest.approx(ks(right, left), abs=1e-12)
    assert psi(left, right) >= 0 <= ks(left, right) <= 1 + 1e-12
    assert psi(left, left) == ks(left, left) == 0
    assert ks(left, left * 3) == pytest.approx(0, abs=1e-12)


@given(COUNTS)
def test_psi_is_both_relative_entropies_and_ks_is_scipys_of_the_binned(pairs: list[tuple[int, int]]) -> None:
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    both = stats.entropy(left + PRIOR, right + PRIOR) + stats.entropy(right + PRIOR, left + PRIOR)
    assert psi(left, right) == pytest.approx(both, abs=1e-9)
    samples = [np.repeat(np.arange(len(side)), side) for side in (left, right)]
    assert ks(left, right) == pytest.approx(stats.ks_2samp(*samples, method="asymp").statistic, abs=1e-9)


@given(NUMBERS)
def test_every_number_lies_in_one_bin_and_edges_rise(numbers: list[float]) -> None:
    found = np.array(numbers, np.float32)
    bins = bins_of(found)
    assert len(bins.edges) < BINS
    assert len(bins.counts) == len(bins.edges) + 2
    assert (np.diff(bins.edges) > 0).all()
    assert bins.counts.sum() == len(numbers)
    assert bins.counts[-1] == np.isnan(found).sum()
    for number, edge in enumerate(bins.edges):
        assert bins.counts[: number + 1].sum() == (found <= edge).sum()


def test_what_is_constant_or_nearly_so_is_seen_to_move() -> None:
    constant = bins_of(np.full(1000, 3.0, np.float32))
    assert constant.counts.tolist() == [0, 1000, 0, 0]
    rare = bins_of(np.array([0.0] * 980 + list(range(1, 21)), np.float32))
    assert rare.edges.tolist() == [0.0, 6.0, 11.0, 16.0]


FEATURES = ("amount", "count", "risk")


def drawn(rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    risk = np.where(rng.random(rows) < 0.02, rng.random(rows), 0)
    return np.column_stack([rng.gamma(2, 30, rows), rng.poisson(9, rows), risk]).astype(np.float32)


def scores(features: np.ndarray) -> np.ndarray:
    return (features[:, 2] * 0.8 + features[:, 0] / 5000).astype(np.float32)


REFERENCE = reference_of(FEATURES, drawn(50_000, 1), scores(drawn(50_000, 1)))


class Ground:
    """Rows that are decided in batches, a clock, and windows of ten seconds in five panes."""

    def __init__(self, every_rows: int = 7, rows_min: int = 1000, *, scores: bool = True) -> None:
        self.rows = Rows(100_000, len(FEATURES))
        self.now_ns = 0
        section = DriftSection.model_validate(
            {"enabled": True, "every_rows": every_rows, "window": "10s", "panes": 5, "rows_min": rows_min}
        )
        self.drift = Drift(section, self.rows, REFERENCE, "m/1", lambda: self.now_ns, scores=scores)

    def second(self, features: np.ndarray, serving: int = 1, seed: int = 0) -> dict[str, float]:
        """A second in which these are decided; returns what is told at its end."""
        count = len(features)
        self.rows.features32[:count] = features
        self.rows.score[:count] = scores(features)
        self.rows.serving[:count] = serving
        cuts = np.sort(np.random.default_rng(seed).integers(0, count, 20))
        for batch in np.split(np.arange(count, dtype=np.int32), cuts):
            self.drift.sample(batch)
        self.now_ns += S
        return self.drift.levels()


@pytest.mark.parametrize("every_rows", [1, 7, 101])
def test_one_of_so_many_rows_is_counted_however_they_are_batched(every_rows: int) -> None:
    ground = Ground(every_rows, rows_min=100)
    for second in range(10):
        told = ground.second(drawn(5_003, second), seed=second)
    assert told["drift_rows"] == -(-10 * 5_003 // every_rows)


def test_what_is_counted_is_what_the_reference_would_count() -> None:
    ground = Ground(every_rows=1)
    parts = [drawn(2_000, 40 + second) + np.float32(second) for second in range(10)]
    for part in parts:
        told = ground.second(part)
    whole = np.concatenate(parts)
    for column, name in enumerate(FEATURES):
        bins = REFERENCE.features[name]
        own = np.bincount(np.searchsorted(bins.edges, whole[:, column]), minlength=len(bins.edges) + 2)
        assert told[f"drift_psi/{name}"] == pytest.approx(psi(bins.counts, own))
        assert told[f"drift_ks/{name}"] == pytest.approx(ks(bins.counts, own))


def test_nothing_is_told_before_a_window_is_whole_or_of_too_few_rows() -> None:
    ground = Ground()
    told = [ground.second(drawn(2_000, second)) for second in range(10)]
    assert told[:9] == [{}] * 9
    assert told[9]["drift_rows"] == pytest.approx(20_000 / 7, abs=1)
    quiet = Ground()
    assert [quiet.second(drawn(500, second)) for second in range(11)][9:] == [{"drift_rows": 715}] * 2


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000))
def test_a_stream_that_stays_as_it_was_is_never_called_drifted(seed: int) -> None:
    """By the bound of Dvoretzky, Kiefer and Wolfowitz one in 10**8 would be; so would PSI by its chi-squared."""
    ground = Ground(every_rows=2)
    for second in range(30):
        told = ground.second(drawn(2_000, 1_000 * seed + second + 7))
        assert not any(value for name, value in told.items() if name.startswith("drift_found/"))
        assert max((value for name, value in told.items() if name.startswith("drift_psi/")), default=0) < 0.02


def test_the_one_feature_that_moves_is_named_once_and_so_is_its_return(caplog: pytest.LogCaptureFixture) -> None:
    ground = Ground(every_rows=2)
    with caplog.at_level(logging.INFO, "pipeline.drift"):
        for second in range(60):
            features = drawn(2_000, second)
            if 20 <= second < 40:
                features[:, 1] += 3
            told = ground.second(features)
            if second == 35:
                found = {name for name, value in told.items() if name.startswith("drift_found/") and value}
                assert found == {"drift_found/count"}
    lines = [record.message for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith("count is not what m/1 was made with: PSI ")
    assert "(limit 0.2), KS " in lines[0]
    assert lines[0].endswith("(limit 0.1) over 10s")
    assert lines[1] == "count is as when m/1 was made again"


def test_a_feature_that_is_not_known_any_more_and_scores_that_move_are_found() -> None:
    ground = Ground(every_rows=1)
    for second in range(10):
        features = drawn(2_000, second)
        features[:1_000, 1] = np.nan
        features[:, 2] = np.where(features[:, 2] > 0, features[:, 2], 0.3)
        told = ground.second(features)
    found = {name for name, value in told.items() if name.startswith("drift_found/") and value}
    assert found == {"drift_found/count", "drift_found/risk", f"drift_found/{SCORE}"}


def test_scores_of_other_tiers_are_not_the_models() -> None:
    ground = Ground(every_rows=1)
    for second in range(10):
        told = ground.second(drawn(2_000, second), serving=second % 4)
    assert told["drift_rows"] == 20_000
    assert f"drift_psi/{SCORE}" in told
    assert ground.drift.levels() == told
    for none, serving in (
        (Ground(every_rows=1), 2),
        (Ground(every_rows=1), 0),
        (Ground(every_rows=1, scores=False), 1),
    ):
        for second in range(10):
            told = none.second(drawn(2_000, second), serving=serving)
        assert "drift_psi/amount" in told
        assert f"drift_psi/{SCORE}" not in told


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=40), st.integers(1, 5))
def test_a_window_holds_the_panes_that_ended_last(steps: list[tuple[int, int]], panes: int) -> None:
    counts, now, seen = PaneCounts(1, panes, 10, 0), 0, []
    for passed, rows in steps:
        now += passed
        total = counts.turn(now)
        if total is not None:
            # What was counted since the last call belongs to the pane that ran then.
            assert total[0] == sum(r for pane, r in seen if now // 10 - panes <= pane < now // 10)
            assert now // 10 >= panes
        counts.running[0] += rows
        seen.append((now // 10, rows))


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=30))
def test_a_crossing_is_told_once_until_it_is_well_below_again(values: list[float]) -> None:
    crossings, on = Crossings(Distance(0.2, 1.0)), False
    for value in values:
        begun, back = crossings.take({"x": Distance(value, 0.0)})
        if not on and value > 0.2:
            on = True
            assert (begun, back) == (["x"], [])
        elif on and value <= BACK_AT * 0.2:
            on = False
            assert (begun, back) == ([], ["x"])
        else:
            assert (begun, back) == ([], [])
        assert crossings.found == ({"x"} if on else set())
