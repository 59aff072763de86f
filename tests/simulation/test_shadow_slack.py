"""In virtual time at 90 % of the capacity: a shadow lives on slack alone, and costs no deadlines."""

import pytest

from bench._shadow_slack import Slack, simulated


@pytest.mark.parametrize(
    ("us_a_row", "budget_ms", "run_us_max"), [(1000.0, 100.0, 5000), (100.0, 50.0, 1000), (2.0, 20.0, 1000)]
)
def test_a_shadow_costs_at_most_one_percent_of_the_deadlines(
    us_a_row: float, budget_ms: float, run_us_max: int
) -> None:
    kept = {way: simulated(Slack(us_a_row, budget_ms, 0.9, 20_000, way, run_us_max)) for way in (False, True)}
    assert kept[True].missed_share - kept[False].missed_share <= 0.01
    assert kept[True].shadow_rows > 0


def test_without_slack_nothing_runs() -> None:
    full = simulated(Slack(1000.0, 100.0, 1.3, 10_000, True, 5000))
    idle = simulated(Slack(1000.0, 100.0, 0.3, 10_000, True, 5000))
    assert full.shadow_rows < 0.02 * 10_000
    assert idle.shadow_rows > 0.9 * 10_000
