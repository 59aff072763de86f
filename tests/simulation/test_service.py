"""Service times: what was measured between the points, and what each disturbance adds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sim.service import Curve, Drift, Noise, Stalls, at_random, every

MEASURED = {1: 100.0, 8: 240.0, 32: 200.0}


class Fixed:
    def __init__(self, ns: int) -> None:
        self.ns = ns

    def took_ns(self, rows: int, at_ns: int) -> int:
        return self.ns


def test_a_curve_goes_through_its_points_and_straight_between_them():
    curve = Curve(MEASURED, 128)
    assert [curve.took_ns(rows, 0) for rows in (1, 8, 32)] == [100, 240, 200]
    assert curve.took_ns(2, 0) == 120
    assert curve.took_ns(20, 0) == 220


def test_beyond_its_points_a_curve_is_flat_below_and_grows_with_the_rows_above():
    curve = Curve({4: 100.0, 8: 160.0}, 32)
    assert [curve.took_ns(rows, 0) for rows in (1, 3, 4)] == [100, 100, 100]
    assert [curve.took_ns(rows, 0) for rows in (16, 24)] == [320, 480]


def test_a_padded_run_takes_what_its_bucket_takes():
    curve = Curve(MEASURED, 64, padded=True)
    assert [curve.took_ns(rows, 0) for rows in (1, 2, 8, 9, 32, 64)] == [100, 240, 240, 200, 200, 400]


@pytest.mark.parametrize("points", [{}, {0: 1.0}, {1: 0.0}, {1: -5.0}, {1: float("nan")}])
def test_a_curve_that_cannot_be_is_refused(points):
    with pytest.raises(ValueError, match="a cost curve needs"):
        Curve(points, 8)


def test_noise_keeps_the_mean_and_has_the_spread_asked_for():
    noisy = Noise(Fixed(1_000_000), 0.3, np.random.default_rng(1))
    took = np.array([noisy.took_ns(1, 0) for _ in range(20_000)])
    assert took.mean() == pytest.approx(1_000_000, rel=0.01)
    assert np.log(took).std() == pytest.approx(0.3, rel=0.03)


def test_no_noise_is_no_change():
    noisy = Noise(Fixed(777), 0.0, np.random.default_rng(1))
    assert {noisy.took_ns(1, 0) for _ in range(50)} == {777}


def test_drift_slows_the_runs_that_begin_in_it():
    drift = Drift(Fixed(100), 3.0, 1_000, 2_000)
    assert [drift.took_ns(1, at) for at in (0, 999, 1_000, 1_999, 2_000)] == [100, 100, 300, 300, 100]


@given(
    edges=st.lists(st.integers(0, 200), min_size=0, max_size=12, unique=True).map(sorted),
    at=st.integers(0, 220),
    work=st.integers(1, 60),
)
def test_work_stands_still_during_stalls(edges, at, work):
    windows = np.array(edges[: len(edges) // 2 * 2], np.int64).reshape(-1, 2)
    stalled = [any(start <= ns < end for start, end in windows) for ns in range(1000)]
    done, left = at, work
    while left:
        left -= not stalled[done]
        done += 1
    assert Stalls(Fixed(work), windows).took_ns(1, at) == done - at


def test_windows_come_every_period():
    assert every(1_000, 200, 3_000, first_ns=500).tolist() == [[500, 700], [1_500, 1_700], [2_500, 2_700]]


def test_random_windows_are_apart_and_of_the_length_asked_for():
    windows = at_random(1_000_000, 50_000, 2_000_000_000, np.random.default_rng(3))
    assert (windows[:, 1] > windows[:, 0]).all()
    assert (windows[1:, 0] > windows[:-1, 1]).all()
    assert (windows[:, 1] - windows[:, 0]).mean() == pytest.approx(50_000, rel=0.1)
    assert len(windows) == pytest.approx(2_000_000_000 / 1_050_000, rel=0.1)
