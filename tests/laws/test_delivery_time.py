"""What deadlines leave room for: the last seconds of deliveries, one stall feared neither long nor by all."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.delivery_time import PART_NS, PROMISED_PARTS, REFRESH_NS, SEED_NS, TYPICAL_PARTS, DeliveryTime

MS = 1_000_000
BUDGET_HALF_NS = 50 * MS


def delivered(learned, took_ms, now_ns, rows=100, score_ns=MS):
    slots = np.arange(rows, dtype=np.int64)
    began_ns = np.full(rows, now_ns - int(took_ms * MS) - score_ns, np.int64)
    learned.observe(slots, began_ns, np.full(rows, score_ns, np.int64), now_ns)


def test_before_anything_was_delivered_it_is_the_seed():
    learned = DeliveryTime(BUDGET_HALF_NS)
    assert (learned.learned.typical_ns, learned.learned.promised_ns) == (SEED_NS, SEED_NS)


@settings(max_examples=100)
@given(took_ms=st.lists(st.floats(0.1, 40.0), min_size=1, max_size=200), start=st.integers(0, 10**15))
def test_it_is_the_quantiles_of_the_last_seconds(took_ms, start):
    learned = DeliveryTime(BUDGET_HALF_NS)
    delivered(learned, 45.0, start)
    now = start + (PROMISED_PARTS + 1) * PART_NS
    for each in took_ms:
        delivered(learned, each, now, rows=1)
    delivered(learned, took_ms[0], now + REFRESH_NS, rows=1)
    seen = np.array([*took_ms, took_ms[0]]) * MS
    for got, share in ((learned.learned.typical_ns, 0.5), (learned.learned.promised_ns, 0.999)):
        expected = np.quantile(seen, share, method="inverted_cdf")
        assert abs(got - expected) <= 0.02 * expected + 2_000


def test_a_stall_does_not_take_more_than_its_share_of_the_budget_and_is_forgotten():
    learned = DeliveryTime(BUDGET_HALF_NS)
    now = 10**12
    for _ in range(50):
        delivered(learned, 3.0, now)
        now += REFRESH_NS
    delivered(learned, 90.0, now)
    delivered(learned, 3.0, now + REFRESH_NS)
    assert learned.learned.promised_ns == BUDGET_HALF_NS
    assert learned.learned.typical_ns < 4 * MS
    delivered(learned, 20.0, now + (TYPICAL_PARTS + 1) * PART_NS)
    assert learned.learned.typical_ns > 15 * MS
    assert learned.learned.promised_ns == BUDGET_HALF_NS
    now += 2 * (PROMISED_PARTS + 1) * PART_NS
    delivered(learned, 3.0, now)
    assert learned.learned.promised_ns < 4 * MS


def test_a_broker_that_is_always_slow_is_believed():
    learned = DeliveryTime(BUDGET_HALF_NS)
    now = 10**12
    for _ in range(10):
        delivered(learned, 80.0, now)
        now += REFRESH_NS
    assert learned.learned.typical_ns > 75 * MS
    assert learned.learned.promised_ns >= learned.learned.typical_ns


def test_what_was_scored_counts_more_than_what_expired():
    learned = DeliveryTime(BUDGET_HALF_NS)
    delivered(learned, 2.0, 10**12, rows=500, score_ns=0)
    delivered(learned, 20.0, 10**12 + REFRESH_NS, rows=100)
    assert learned.learned.typical_ns > 19 * MS
