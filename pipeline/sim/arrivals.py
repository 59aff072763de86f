"""When events arrive: seeded arrival processes, each a pure function to rising int64 ns in [0, seconds).

The same arguments give the same array. `rate` is in events a second, and the long-run mean of every process but
the flash crowd, whose `rate` is the usual one outside the crowd.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NS_PER_S = 1_000_000_000
DIURNAL_POINTS = 289
"""Of the piecewise linear day: one every five minutes of 24 hours."""


@dataclass(frozen=True)
class Profile:
    """A rate over time: `rates` a second at `at_s`, linear between, none before the first and after the last."""

    at_s: NDArray[np.float64]
    rates: NDArray[np.float64]

    def expected(self) -> NDArray[np.float64]:
        """How many events are expected up to each point: the integral, exact as the pieces are linear."""
        pieces = np.diff(self.at_s) * (self.rates[1:] + self.rates[:-1]) / 2
        return np.concatenate(([0.0], np.cumsum(pieces)))


def poisson(rate: float, seconds: float, seed: int) -> NDArray[np.int64]:
    """Homogeneous Poisson process: given their number, arrivals are independent and uniform in time.

    Kingman, Poisson Processes (1993), section 2.4: counts of disjoint intervals are independent, a count's
    mean is rate x length, gaps are exponential.
    """
    rng = np.random.default_rng(seed)
    return _in_order(rng.uniform(0.0, seconds, rng.poisson(rate * seconds)), seconds)


def bursty(rate: float, seconds: float, seed: int, *, on_share: float = 0.25, on_s: float = 0.2) -> NDArray[np.int64]:
    """On-off source: Poisson at rate / on_share while on, silent while off; on and off last exponential times.

    The interrupted Poisson process of Kuczura (Bell System Technical Journal 52, 1973). `on_share` is the share
    of time that is on, in (0, 1]; `on_s` the mean length of a burst. It begins in the stationary state.
    """
    if not 0.0 < on_share <= 1.0:
        raise ValueError(f"on_share: expected above 0 and at most 1, found {on_share}")
    if on_share == 1.0:
        return poisson(rate, seconds, seed)
    rng = np.random.default_rng(seed)
    off_s = on_s * (1 - on_share) / on_share
    pairs = 16 + int(2 * seconds / (on_s + off_s))
    begins_on = bool(rng.random() < on_share)
    edges = np.zeros(1)
    while edges[-1] < seconds:
        lengths = rng.exponential((on_s, off_s) if begins_on else (off_s, on_s), (pairs, 2)).reshape(-1)
        edges = np.concatenate((edges, edges[-1] + np.cumsum(lengths)))
    edges = np.minimum(edges, seconds)
    first = 0 if begins_on else 1
    starts, ends = edges[first:-1:2], edges[first + 1 :: 2]
    # Poisson in the time that is on, laid end to end, then moved to where that time lies.
    on_before = np.concatenate(([0.0], np.cumsum(ends - starts)))
    on_total = float(on_before[-1])
    at_on_s = np.sort(rng.uniform(0.0, on_total, rng.poisson(rate / on_share * on_total)))
    burst = np.clip(np.searchsorted(on_before, at_on_s, side="right") - 1, 0, max(len(starts) - 1, 0))
    return _in_order(starts[burst] + at_on_s - on_before[burst] if len(starts) else at_on_s, seconds)


def varying(profile: Profile, seconds: float, seed: int) -> NDArray[np.int64]:
    """Nonhomogeneous Poisson process by inversion: a unit-rate process mapped by the inverse expected count.

    Cinlar, Introduction to Stochastic Processes (1975), section 4.7. Exact at the profile's points; between
    them the expected count is taken as linear, so a piece needs to be short against its change of rate.
    """
    rng = np.random.default_rng(seed)
    expected = profile.expected()
    units = rng.uniform(0.0, expected[-1], rng.poisson(expected[-1]))
    return _in_order(np.interp(units, expected, profile.at_s), seconds)


def diurnal_profile(rate: float, seconds: float, *, swing: float = 0.6, period_s: float | None = None) -> Profile:
    """A day: rate x (1 + swing x sin), least at its beginning; one whole period in `seconds` unless given.

    The sinusoidal rate is the usual one for daily traffic, e.g. Lewis and Shedler, Naval Research Logistics 26
    (1979). `swing` lies in [0, 1]; the mean over whole periods is `rate`.
    """
    if not 0.0 <= swing <= 1.0:
        raise ValueError(f"swing: expected from 0 to 1, found {swing}")
    period = period_s or seconds
    points = int(np.ceil((DIURNAL_POINTS - 1) * max(1.0, seconds / period))) + 1
    at_s = np.linspace(0.0, seconds, points)
    return Profile(at_s, rate * (1 - swing * np.cos(2 * np.pi * at_s / period)))


def diurnal(
    rate: float, seconds: float, seed: int, *, swing: float = 0.6, period_s: float | None = None
) -> NDArray[np.int64]:
    """Nonhomogeneous Poisson process with the rate of `diurnal_profile`."""
    return varying(diurnal_profile(rate, seconds, swing=swing, period_s=period_s), seconds, seed)


def flash_crowd_profile(
    rate: float, seconds: float, *, peak: float = 5.0, begin: float = 0.3, rise: float = 0.02, stay: float = 0.2
) -> Profile:
    """Usual traffic, a linear rise to `peak` times as much, a plateau, and a linear fall twice as long.

    The three phases, ramp-up, sustained and ramp-down, of Ari, Hong, Miller, Brandt and Long, Managing Flash
    Crowds on the Internet (MASCOTS 2003). `begin`, `rise` and `stay` are shares of `seconds`.
    """
    corners = np.array([0.0, begin, begin + rise, begin + rise + stay, begin + rise + 3 * stay, 1.0])
    if (np.diff(corners) < 0).any():
        raise ValueError(f"begin, rise and stay: a crowd of {corners[4]:.2f} of the time does not fit")
    shares = np.union1d(np.linspace(0.0, 1.0, 1001), corners)
    heights = np.interp(shares, corners, [1.0, 1.0, peak, peak, 1.0, 1.0])
    return Profile(shares * seconds, rate * heights)


def flash_crowd(rate: float, seconds: float, seed: int, *, peak: float = 5.0) -> NDArray[np.int64]:
    """Nonhomogeneous Poisson process with the rate of `flash_crowd_profile`."""
    return varying(flash_crowd_profile(rate, seconds, peak=peak), seconds, seed)


ARRIVALS = {"poisson": poisson, "bursty": bursty, "diurnal": diurnal, "flash-crowd": flash_crowd}
"""By the name that `headrace plan --arrivals` takes: (rate, seconds, seed) to arrivals."""


def expected_events(arrivals: str, rate: float, seconds: float) -> float:
    """How many events a process of ARRIVALS gives on average."""
    return float(flash_crowd_profile(rate, seconds).expected()[-1]) if arrivals == "flash-crowd" else rate * seconds


def _in_order(at_s: NDArray[np.float64], seconds: float) -> NDArray[np.int64]:
    at_ns = np.sort((at_s * NS_PER_S).astype(np.int64))
    return np.minimum(at_ns, np.int64(seconds * NS_PER_S) - 1)
