"""Arrival processes: rising, seeded, of the rate they are asked for, and of the shape they are named for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sim.arrivals import (
    ARRIVALS,
    NS_PER_S,
    bursty,
    diurnal,
    expected_events,
    flash_crowd,
    flash_crowd_profile,
    poisson,
)

SIGMAS = 6.0
ON_SHARE, ON_S = 0.25, 0.2


def on_off_variance(rate: float, seconds: float) -> float:
    """Of the count: Poisson's own, and that of the time that is on, whose covariance falls exponentially."""
    peak = rate / ON_SHARE
    together_s = ON_S * (1 - ON_SHARE)
    return rate * seconds + peak * peak * 2 * ON_SHARE * (1 - ON_SHARE) * together_s * seconds


@settings(max_examples=100)
@given(
    kind=st.sampled_from(sorted(ARRIVALS)),
    rate=st.floats(20, 3000),
    seconds=st.floats(10, 40),
    seed=st.integers(0, 2**32),
)
def test_every_process_rises_keeps_its_rate_and_is_its_seeds(kind, rate, seconds, seed):
    arrival_ns = ARRIVALS[kind](rate, seconds, seed)
    assert arrival_ns.dtype == np.int64
    assert (np.diff(arrival_ns) >= 0).all()
    assert arrival_ns[0] >= 0
    assert arrival_ns[-1] < seconds * NS_PER_S
    wanted = expected_events(kind, rate, seconds)
    variance = on_off_variance(rate, seconds) if kind == "bursty" else wanted
    assert abs(len(arrival_ns) - wanted) < SIGMAS * variance**0.5 + 1
    assert np.array_equal(arrival_ns, ARRIVALS[kind](rate, seconds, seed))
    assert not np.array_equal(arrival_ns, ARRIVALS[kind](rate, seconds, seed + 1))


def test_gaps_of_a_poisson_process_are_exponential():
    gaps_s = np.diff(poisson(1000, 60, 3)) / NS_PER_S
    for quantile in (0.1, 0.5, 0.9, 0.99):
        assert np.quantile(gaps_s, quantile) == pytest.approx(-np.log(1 - quantile) / 1000, rel=0.03)


def test_an_on_off_source_is_as_bursty_as_its_theory_says():
    counts = [len(bursty(200, 30, seed, on_share=ON_SHARE, on_s=ON_S)) for seed in range(2000)]
    assert np.mean(counts) == pytest.approx(200 * 30, rel=0.02)
    assert np.var(counts) == pytest.approx(on_off_variance(200, 30), rel=0.1)


def test_an_on_off_source_is_silent_while_off_and_at_its_peak_while_on():
    arrival_ns = bursty(1000, 200, 5, on_share=ON_SHARE, on_s=ON_S)
    per_10_ms = np.bincount(arrival_ns // 10_000_000, minlength=20_000)
    assert np.mean(per_10_ms == 0) == pytest.approx(1 - ON_SHARE, abs=0.06)
    assert np.median(per_10_ms[per_10_ms > 10]) == pytest.approx(1000 / ON_SHARE / 100, rel=0.05)


def test_a_day_is_quiet_at_its_ends_and_busy_in_the_middle():
    swing = 0.6 * np.sin(0.2 * np.pi) / (0.2 * np.pi)  # of the cosine's mean over a tenth of the period
    per_tenth = np.histogram(diurnal(5000, 20, 1, swing=0.6) / NS_PER_S, 10, (0, 20))[0] / 2
    assert per_tenth[0] == pytest.approx(5000 * (1 - swing), rel=0.04)
    assert per_tenth[4] == pytest.approx(5000 * (1 + swing), rel=0.04)


def test_several_days_fit_into_one_run():
    per_second = np.histogram(diurnal(2000, 12, 1, swing=0.9, period_s=4) / NS_PER_S, 12, (0, 12))[0]
    assert np.allclose(per_second[:4], per_second[4:8], rtol=0.15)
    assert per_second[0] < per_second[1] / 3


def test_a_crowd_comes_stays_and_goes():
    seconds = 50.0
    arrival_s = flash_crowd(1000, seconds, 2, peak=5) / NS_PER_S
    profile = flash_crowd_profile(1000, seconds, peak=5)
    per_second = np.histogram(arrival_s, 50, (0, seconds))[0]
    assert np.allclose(per_second[:15], 1000, rtol=0.15)
    assert np.allclose(per_second[16:26], 5000, rtol=0.1)
    assert np.allclose(per_second[46:], 1000, rtol=0.15)
    for second in range(27, 46):
        assert per_second[second] == pytest.approx(np.interp(second + 0.5, profile.at_s, profile.rates), rel=0.1)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: bursty(1, 1, 1, on_share=0), "on_share: expected above 0 and at most 1, found 0"),
        (lambda: diurnal(1, 1, 1, swing=1.5), "swing: expected from 0 to 1, found 1.5"),
        (lambda: flash_crowd_profile(1, 1, begin=0.9), "does not fit"),
    ],
)
def test_shapes_that_cannot_be_are_refused(make, told):
    with pytest.raises(ValueError, match=told):
        make()


def test_a_source_that_is_always_on_is_poisson():
    assert np.array_equal(bursty(500, 5, 9, on_share=1.0), poisson(500, 5, 9))


def test_nothing_arrives_in_no_time():
    for arrivals in ARRIVALS.values():
        assert len(arrivals(0.001, 0.001, 4)) == 0
