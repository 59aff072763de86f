"""What frames cost: decoding is no part of the warm-up, and is known after a few runs, whatever their sizes."""

import numpy as np
import pytest

from models.frame_cost import FIRST_RUNS, FrameCost

BUCKETS = (1, 2, 4, 8, 16, 32)
SESSION_NS, DECODE_NS = 500_000, 5_000_000


def warmed() -> FrameCost:
    cost = FrameCost(BUCKETS)
    for bucket in BUCKETS:
        cost.seed(bucket, [SESSION_NS * bucket] * 5)
    return cost


@pytest.mark.parametrize("decode_ns", [0, 150_000, DECODE_NS])
def test_a_few_runs_tell_what_decoding_adds_to_every_size(decode_ns: int) -> None:
    cost, random = warmed(), np.random.default_rng(3)
    for rows in (1, 3, 1, 8, 2, 32, 5, 1, 1, 2):
        cost.observe(rows, round(rows * (SESSION_NS + decode_ns) * random.lognormal(0, 0.1)))
        for size in BUCKETS:
            true_ns = size * (SESSION_NS + decode_ns)
            assert 0.6 * true_ns < cost.expected_ns(size) < 1.6 * true_ns
            assert true_ns < cost.promised_ns(size) < 3.5 * true_ns


def test_a_cold_first_run_is_forgotten() -> None:
    cost = warmed()
    cost.observe(1, 100_000_000)
    for _ in range(FIRST_RUNS - 1):
        cost.observe(1, SESSION_NS + DECODE_NS)
    assert cost.expected_ns(1) < 1.3 * (SESSION_NS + DECODE_NS)
    assert cost.promised_ns(1) < 4 * (SESSION_NS + DECODE_NS)


def test_noise_of_the_warm_up_does_not_count_as_noise_of_runs() -> None:
    """The promise after many runs is as near as their own noise lets it be."""
    cost, random = warmed(), np.random.default_rng(5)
    for _ in range(120):
        cost.observe(1, round((SESSION_NS + DECODE_NS) * random.lognormal(0, 0.1)))
    assert cost.promised_ns(1) < 2.1 * (SESSION_NS + DECODE_NS)
